package sim

import (
	"bytes"
	"fmt"

	"synod"
	"synod/internal/ledger/faultfs"
)

// fault lets something go wrong, or changes who takes part.
func (w *world) fault() error {
	nodes := w.alive()
	n := nodes[w.rng.IntN(len(nodes))]
	switch w.rng.IntN(18) {
	case 0, 1:
		w.cutOff(n)
	case 2, 3, 4:
		w.cfg.Trace("the network heals")
		clear(w.cut)
	case 5:
		if w.expendable(n) {
			return w.crash(n)
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
	case 8:
		w.invite(len(nodes))
	case 9: // a node that is well leaves, the leader too
		if w.expendable(n) && w.wants(n.name) {
			w.askFor(n.name, retired)
		}
	case 10:
		w.cfg.Trace("%d is held up", n.name)
		n.paused = true
	case 11:
		for _, o := range nodes {
			w.resume(o)
		}
	case 13: // a signer hangs
		w.hang(n)
	case 14:
		for _, o := range nodes {
			o.hanging = false
		}
	case 12: // a clock jumps
		w.cfg.Trace("the clock of %d jumps", n.name)
		for range w.rng.IntN(2 * int(electionTimeout/tick)) {
			if !n.paused {
				n.Tick()
			}
		}
	default:
		if !n.paused {
			n.HandOver()
		}
	}
	return nil
}

// hang lets the signer of the node that leads hang, or that of any.
func (w *world) hang(n *node) {
	if l := w.leader(); l != nil && w.rng.IntN(2) == 0 {
		n = l
	}
	w.cfg.Trace("the signer of %d hangs", n.name)
	n.hanging = true
}

// cutOff cuts what a node sends to others, or what it gets too.
func (w *world) cutOff(n *node) {
	w.cfg.Trace("%d is cut off", n.name)
	both := w.rng.IntN(2) == 0
	for _, o := range w.alive() {
		w.cut[[2]uint64{n.name, o.name}] = true
		if both {
			w.cut[[2]uint64{o.name, n.name}] = true
		}
	}
}

// resume lets a node that was held up go on, with the messages that came
// meanwhile.
func (w *world) resume(n *node) {
	if !n.paused {
		return
	}
	w.cfg.Trace("%d goes on", n.name)
	n.paused = false
	w.flying = append(w.flying, n.backlog...)
	n.backlog = nil
}

// invite has governance trust one more node.
func (w *world) invite(running int) {
	const nodesMax = 9
	if name := w.last + 1; running < nodesMax && !w.wants(name) {
		w.askFor(name, trusted)
	}
}

// admit lets the next node begin if the service trusts it, as its polling does.
func (w *world) admit() error {
	name := w.last + 1
	source := w.trusting(name)
	if source == nil {
		return nil
	}
	w.seen.given = append(w.seen.given, name)
	return w.add(source)
}

// crash ends a node for good, in the middle of what its disk is doing, and sees
// that everything is on the disk that the node said was there.
func (w *world) crash(n *node) error {
	w.cfg.Trace("%d crashes", n.name)
	n.up = false
	sure := n.durable
	if n.Appends() > 0 {
		// What is being overwritten was never committed.
		for _, e := range n.Entries(n.Appends()) {
			sure.SeqNo = min(sure.SeqNo, synod.SeqNo(e.GetIndex()-1))
		}
		n.disk.CrashAt(n.disk.Steps() + 1 + w.rng.IntN(8))
		if w.store(n, n.Appends()) == nil {
			sure = n.durable
		}
	}
	if err := w.inspect(n, sure); err != nil {
		return fmt.Errorf("the disk of node %d after it crashed: %w", n.name, err)
	}
	if w.cfg.Bug == ForgetVote {
		return w.make(n.name, w.nodes[0])
	}
	return nil
}

func (w *world) inspect(n *node, sure synod.TxID) error {
	model := []faultfs.Model{faultfs.Ordered, faultfs.Zeroed, faultfs.Unordered}[w.rng.IntN(3)]
	log, err := n.openLog(n.disk.Reboot(model, w.rng))
	if err != nil {
		return err
	}
	if log.Last() < sure.SeqNo {
		return fmt.Errorf("it ends at %d, the node had stored up to %s", log.Last(), sure)
	}
	for seqno := n.begun + 1; seqno <= min(sure.SeqNo, n.checked); seqno++ {
		found, err := log.Read(seqno, seqno, 0)
		if err != nil {
			return err
		}
		if !bytes.Equal(found[0], w.seen.entries[seqno]) {
			return fmt.Errorf("entry %d is another", seqno)
		}
	}
	return log.Close()
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
