package sim

import (
	"fmt"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"synod"
	"synod/internal/kv"
)

// step lets one thing happen.
func (w *world) step() error {
	if w.rng.IntN(1000) < w.temper.rate {
		return w.fault()
	}
	switch r := w.rng.IntN(984); {
	case r < 610:
		w.deliver()
	case r < 730:
		w.pass()
	case r < 870:
		return w.sync()
	case r < 920:
		w.sign()
	case r < 965:
		w.write()
	case r < 980:
		w.read()
	case r < 982:
		return w.fetchAny()
	default:
		return w.admit()
	}
	return nil
}

// deliver lets a message arrive, whichever; now and then twice or never.
func (w *world) deliver() {
	if len(w.flying) == 0 {
		w.pass()
		return
	}
	// Mostly the old ones, so that some order remains.
	const window, rarely = 8, 50
	i := w.rng.IntN(min(len(w.flying), window))
	if w.rng.IntN(rarely) == 0 {
		i = w.rng.IntN(len(w.flying))
	}
	m := w.flying[i]
	switch w.rng.IntN(40) {
	case 0: // lost
		w.drop(i)
		return
	case 1: // twice
	default:
		w.drop(i)
	}
	w.hand(m)
}

func (w *world) drop(i int) { w.flying = append(w.flying[:i], w.flying[i+1:]...) }

func (w *world) hand(m *pb.Message) {
	n := w.named(m.GetTo())
	switch {
	case n == nil || !n.up || w.cut[[2]uint64{m.GetFrom(), m.GetTo()}]:
	case n.paused:
		n.backlog = append(n.backlog, m)
	default:
		n.Deliver(m)
	}
}

// pass lets time pass for all. Clocks are not quite alike: a node may miss a
// tick, or have one more.
func (w *world) pass() {
	const seldom = 20
	w.now = w.now.Add(tick)
	for _, n := range w.awake() {
		ticks := 1
		if w.snapshot == nil {
			switch w.rng.IntN(seldom) {
			case 0:
				ticks = 0
			case 1:
				ticks = 2
			}
		}
		for range ticks {
			n.Tick()
		}
	}
}

// sync lets a disk finish some of what it has to do.
func (w *world) sync() error {
	if nodes := w.awake(); len(nodes) > 0 {
		n := nodes[w.rng.IntN(len(nodes))]
		if n.Appends() > 0 && !n.stuck {
			return w.store(n, 1+w.rng.IntN(n.Appends()))
		}
	}
	return nil
}

// store has a node write its oldest appends. What it then tells raft must be
// on its disk.
func (w *world) store(n *node, appends int) error {
	entries := n.Entries(appends)
	w.seen.seal(entries)
	n.Sync(appends)
	if err := n.Err(); err != nil {
		return err
	}
	if len(entries) > 0 {
		last := entries[len(entries)-1]
		n.durable = synod.TxID{View: synod.View(last.GetTerm()), SeqNo: synod.SeqNo(last.GetIndex())}
	}
	return nil
}

func (w *world) sign() {
	for _, n := range w.awake() {
		if n.Signing() && !n.hanging {
			n.Sign(time.Millisecond)
		}
	}
}

// fetchAny lets a node that was offered a snapshot have it, and others ask for one.
func (w *world) fetchAny() error {
	for _, n := range w.awake() {
		n.takeWanted()
		if n.fetching != 0 {
			return w.fetch(n)
		}
	}
	return nil
}

// wish is what governance is to make of a member.
type wish struct {
	name  uint64
	state string
}

// asked are wishes with the transaction that they are.
type asked struct {
	id     synod.TxID
	wishes []wish
}

// askFor has governance set members' states in one transaction, if somebody
// leads.
func (w *world) askFor(wishes ...wish) bool {
	l := w.leader()
	if l == nil {
		return false
	}
	id, err := l.order(func(tx *kv.Tx) {
		for _, o := range wishes {
			tx.Get(members, key(o.name))
			tx.Put(members, key(o.name), []byte(o.state))
		}
	})
	if err != nil {
		return false
	}
	w.client.ordered = append(w.client.ordered, id)
	w.asked = append(w.asked, asked{id, wishes})
	w.cfg.Trace("%s: %v", id, wishes)
	return true
}

// wants says whether the committed state of some node trusts a name.
func (w *world) wants(name uint64) bool { return w.trusting(name) != nil }

// trusting is a node whose committed state trusts a name.
func (w *world) trusting(name uint64) *node {
	for _, n := range w.awake() {
		trust := n.wanted()
		if w.cfg.Bug == EarlySecrets {
			trust = n.wantedAt(n.store.Tip().SeqNo)
		}
		if trust[name] {
			return n
		}
	}
	return nil
}

// summary is what every running node knows.
func (w *world) summary() string {
	s := ""
	for _, n := range w.alive() {
		s += fmt.Sprintf("[%d: %+v log %d stored %s commit %s signing %v appends %d paused %v %s] ",
			n.name, n.Role(), n.Ordered(), n.durable, n.Committed(), n.Signing(), n.Appends(), n.paused, n.Peers().Configuration)
	}
	return s
}
