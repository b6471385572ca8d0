package sim

import (
	"fmt"
	"strconv"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
)

// step lets one thing happen.
func (w *world) step() {
	switch r := w.rng.IntN(1000); {
	case r < 620:
		w.deliver()
	case r < 740:
		w.pass()
	case r < 880:
		w.sync()
	case r < 930:
		w.sign()
	case r < 985:
		w.write()
	default:
		w.fault()
	}
}

// deliver lets a message arrive, whichever; now and then twice or never.
func (w *world) deliver() {
	if len(w.flying) == 0 {
		w.pass()
		return
	}
	// Mostly the old ones, so that some order remains.
	i := w.rng.IntN(min(len(w.flying), 8))
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
	if n == nil || !n.up || w.cut[[2]uint64{m.GetFrom(), m.GetTo()}] {
		return
	}
	n.Deliver(m)
}

// pass lets time pass for all.
func (w *world) pass() {
	w.now = w.now.Add(tick)
	for _, n := range w.alive() {
		n.Tick()
	}
}

// sync lets a disk finish some of what it has to do.
func (w *world) sync() {
	nodes := w.alive()
	n := nodes[w.rng.IntN(len(nodes))]
	if n.Appends() > 0 {
		w.store(n, 1+w.rng.IntN(n.Appends()))
	}
}

func (w *world) store(n *node, appends int) {
	w.seal(n.Entries(appends))
	n.Sync(appends)
}

func (w *world) sign() {
	for _, n := range w.alive() {
		if n.Signing() {
			n.Sign(time.Millisecond)
		}
	}
}

// write has a client write, at a node that thinks that it leads.
func (w *world) write() {
	for _, n := range w.alive() {
		if !n.Role().Leading {
			continue
		}
		w.wrote++
		if id, err := n.put(records, key(uint64(w.rng.IntN(10))), []byte(strconv.Itoa(w.wrote))); err == nil {
			w.answered = append(w.answered, id)
		}
	}
}

// askFor has governance set a member's state, if somebody leads.
func (w *world) askFor(name uint64, state string) bool {
	l := w.leader()
	if l == nil {
		return false
	}
	id, err := l.put(members, key(name), []byte(state))
	if err != nil {
		return false
	}
	w.answered = append(w.answered, id)
	w.cfg.Trace("%s: %d is to be %s", id, name, state)
	return true
}

// wants says whether the committed state of some node trusts a name.
func (w *world) wants(name uint64) bool {
	for _, n := range w.alive() {
		if n.wanted()[name] {
			return true
		}
	}
	return false
}

// fault lets something go wrong, or changes who takes part.
func (w *world) fault() {
	nodes := w.alive()
	n := nodes[w.rng.IntN(len(nodes))]
	switch w.rng.IntN(10) {
	case 0, 1: // cut a node off, one way or both
		w.cfg.Trace("%d is cut off", n.name)
		both := w.rng.IntN(2) == 0
		for _, o := range nodes {
			w.cut[[2]uint64{n.name, o.name}] = true
			if both {
				w.cut[[2]uint64{o.name, n.name}] = true
			}
		}
	case 2, 3, 4: // heal
		w.cfg.Trace("the network heals")
		clear(w.cut)
	case 5: // crash, if the others can go on
		if w.expendable(n) {
			w.cfg.Trace("%d crashes", n.name)
			n.up = false
			if w.cfg.Bug == ForgetVote {
				if err := w.make(n.name, false); err != nil {
					panic(err)
				}
			}
		}
	case 6: // what crashed is retired
		for _, o := range w.nodes {
			if !o.up && w.wants(o.name) {
				w.askFor(o.name, retired)
			}
		}
	case 7: // a retired node goes
		for _, o := range w.nodes {
			if w.idle(o) {
				w.askFor(o.name, gone)
				break
			}
		}
	case 8: // a new node, once it is wanted
		switch {
		case w.wants(w.last + 1):
			if err := w.add(false); err != nil {
				panic(fmt.Sprint("add a node: ", err))
			}
		case len(nodes) < 9:
			w.askFor(w.last+1, trusted)
		}
	default:
		n.HandOver()
	}
}

// expendable says whether the voters that every node knows of stay a majority
// without one that crashes, those among them that may soon be voters.
func (w *world) expendable(crashing *node) bool {
	for _, n := range w.alive() {
		c := n.Peers().Configuration
		soon := append(append([]uint64(nil), c.GetVoters()...), c.GetLearners()...)
		next := append(append([]uint64(nil), c.GetVoters()...), crashing.name)
		for _, voters := range [][]uint64{c.GetVoters(), c.GetVotersOutgoing(), soon, next} {
			up := 0
			for _, name := range voters {
				if o := w.named(name); o != nil && o.up && o != crashing {
					up++
				}
			}
			if len(voters) > 0 && up <= len(voters)/2 {
				return false
			}
		}
	}
	return true
}

// idle says whether a member is retired and no configuration counts on it.
func (w *world) idle(o *node) bool {
	l := w.leader()
	if l == nil {
		return false
	}
	if voter, listed := l.wanted()[o.name]; !listed || voter {
		return false
	}
	for _, n := range w.alive() {
		c := n.Peers().Configuration
		for _, name := range append(append([]uint64(nil), c.GetVoters()...), c.GetVotersOutgoing()...) {
			if name == o.name {
				return false
			}
		}
	}
	return true
}
