package sim

import (
	"errors"
	"fmt"
	"slices"

	"synod"
)

// calmRounds bounds how long a service in good weather may take.
const calmRounds = 4000

// calm lets everything work, in order, until ok.
func (w *world) calm(what string, ok func() bool) error {
	for range calmRounds {
		if ok() {
			return nil
		}
		flying := w.flying
		w.flying = nil
		for _, m := range flying {
			w.hand(m)
		}
		for _, n := range w.alive() {
			n.noteConfiguration() // the next may come before the check
		}
		for _, n := range w.awake() {
			if n.Appends() > 0 {
				if err := w.store(n, n.Appends()); err != nil {
					return fmt.Errorf("node %d: %w", n.name, err)
				}
			}
		}
		w.sign()
		for _, n := range w.awake() {
			n.takeWanted()
			if err := w.fetch(n); err != nil {
				return fmt.Errorf("node %d: %w", n.name, err)
			}
		}
		if len(w.flying) == 0 {
			w.pass()
		}
		if err := w.check(); err != nil {
			return err
		}
	}
	return fmt.Errorf("not in good weather: %s; %s", what, w.summary())
}

// end heals everything and sees that the service comes back, and that all
// nodes say the same of everything.
func (w *world) end() error {
	clear(w.cut)
	for _, n := range w.alive() {
		w.resume(n)
	}
	// A write that is taken may yet be lost with its leader: then another is.
	var id synod.TxID
	err := w.calm("a write is committed by all voters", func() bool {
		l := w.leader()
		if l == nil {
			return false
		}
		if id.View != l.Role().View {
			if next, err := l.put([]byte("end"), []byte("0")); err == nil {
				id = next
			}
			return false
		}
		return w.allHave(id.SeqNo)
	})
	if err == nil {
		err = w.calm("the configuration is the wanted one", w.configured)
	}
	if err != nil {
		return err
	}
	for _, n := range w.alive() {
		if err := errors.Join(w.statuses(n, append(w.client.ordered, id)), w.log.sameViews(n)); err != nil {
			return fmt.Errorf("node %d %w", n.name, err)
		}
	}
	voters := w.voters()
	commit := voters[0].Committed()
	w.result.Committed, w.result.View, w.result.Nodes = commit.SeqNo, commit.View, len(w.nodes)
	return w.linearizable()
}

// statuses sees that a node says of each transaction what came of it.
func (w *world) statuses(n *node, ordered []synod.TxID) error {
	for _, op := range w.client.finished {
		if op.write && !op.lost && w.seen.views[op.id.SeqNo] != op.id.View {
			return fmt.Errorf("never had %s, which was confirmed", op.id)
		}
	}
	for _, id := range ordered {
		want := synod.TxInvalid
		if w.seen.views[id.SeqNo] == id.View {
			want = synod.TxCommitted
		}
		if got := n.Status(id); got != want && id.SeqNo <= n.Committed().SeqNo {
			return fmt.Errorf("says %s of %s, which is %s", got, id, want)
		}
	}
	return nil
}

// voters are the running nodes that the leader counts on.
func (w *world) voters() []*node {
	var list []*node
	if l := w.leader(); l != nil {
		for _, name := range l.Peers().Configuration.GetVoters() {
			if n := w.named(name); n != nil && n.up {
				list = append(list, n)
			}
		}
	}
	return list
}

// configured says whether those vote who should, and nobody else if
// they are enough.
func (w *world) configured() bool {
	l := w.leader()
	if l == nil {
		return false
	}
	c, wanted := l.Peers().Configuration, l.wanted()
	var remain []uint64 // if those left who are to
	for _, name := range c.GetVoters() {
		if wanted[name] {
			remain = append(remain, name)
		}
	}
	enough := len(remain) > 0 && majority(remain, func(name uint64) bool { return w.named(name) != nil && w.named(name).up })
	for _, n := range w.alive() {
		votes := slices.Contains(c.GetVoters(), n.name)
		if wanted[n.name] && !votes || enough && votes && !wanted[n.name] {
			return false
		}
	}
	return len(c.GetVotersOutgoing()) == 0
}

func (w *world) allHave(seqno synod.SeqNo) bool {
	voters := w.voters()
	for _, n := range voters {
		if n.Committed().SeqNo < seqno {
			return false
		}
	}
	return len(voters) > 0
}
