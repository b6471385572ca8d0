package sim

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"

	"synod"
)

var errSealed = errors.New("two entries were sealed with the same initialisation vector")

// seen is what the nodes have shown so far.
type seen struct {
	sealed  map[synod.TxID][32]byte    // bytes that left a node, by place
	entries map[synod.SeqNo][]byte     // committed, by seqno
	views   map[synod.SeqNo]synod.View // of committed entries
	leaders map[synod.View]uint64
	invalid map[synod.TxID]bool // of which a node has said so
}

func newSeen() seen {
	return seen{
		sealed: map[synod.TxID][32]byte{}, entries: map[synod.SeqNo][]byte{},
		views: map[synod.SeqNo]synod.View{}, leaders: map[synod.View]uint64{}, invalid: map[synod.TxID]bool{},
	}
}

// seal notes entries that leave a node's memory: no place may ever have two
// contents.
func (s *seen) seal(entries []*pb.Entry) {
	for _, e := range entries {
		id := synod.TxID{View: synod.View(e.GetTerm()), SeqNo: synod.SeqNo(e.GetIndex())}
		digest := sha256.Sum256(e.GetData())
		if was, ok := s.sealed[id]; ok && was != digest {
			panic(fmt.Errorf("%w: %s", errSealed, id))
		}
		s.sealed[id] = digest
	}
}

// check looks at what must always hold.
func (w *world) check() error {
	for _, n := range w.alive() {
		n.noteConfiguration()
		if err := n.Err(); err != nil {
			return fmt.Errorf("node %d ended: %w", n.name, err)
		}
		if r := n.Role(); r.Leading {
			if other, ok := w.seen.leaders[r.View]; ok && other != n.name {
				return fmt.Errorf("nodes %d and %d both lead view %d", other, n.name, r.View)
			}
			w.seen.leaders[r.View] = n.name
		}
		if err := w.compare(n); err != nil {
			return fmt.Errorf("node %d: %w", n.name, err)
		}
		if err := w.shows(n); err != nil {
			return fmt.Errorf("node %d: %w", n.name, err)
		}
	}
	if err := w.statusNow(); err != nil {
		return err
	}
	return w.answers()
}

// statusNow asks every node after one of the newest writes: what is said to be
// committed is, what is said to be invalid never will be, and whoever is as far
// says one of the two. One node is asked for the views, too.
func (w *world) statusNow() error {
	const newest = 16
	list := w.client.ordered
	if len(list) == 0 {
		return nil
	}
	nodes := w.alive()
	n := nodes[w.rng.IntN(len(nodes))]
	if err := w.log.sameViews(n); err != nil {
		return fmt.Errorf("node %d %w", n.name, err)
	}
	id := list[len(list)-1-w.rng.IntN(min(len(list), newest))]
	view, known := w.seen.views[id.SeqNo]
	for _, n := range nodes {
		said := n.Status(id)
		final := said == synod.TxCommitted || said == synod.TxInvalid
		switch {
		case said == synod.TxCommitted && view != id.View, said == synod.TxInvalid && view == id.View,
			!final && n.Committed().SeqNo >= id.SeqNo:
			return fmt.Errorf("node %d at %s says %s of %s, the view there is %d (known: %v)", n.name, n.Committed(), said, id, view, known)
		case said == synod.TxInvalid:
			w.seen.invalid[id] = true
		}
	}
	return nil
}

// compare holds what a node has newly committed against what others have.
func (w *world) compare(n *node) error {
	commit := n.Committed()
	if commit.SeqNo < n.checked {
		return fmt.Errorf("its commit went back from %d to %s", n.checked, commit)
	}
	if commit.SeqNo == n.checked {
		return nil
	}
	for seqno := n.checked + 1; seqno <= commit.SeqNo; seqno++ {
		if err := w.committed(n, seqno); err != nil {
			return err
		}
	}
	n.checked = commit.SeqNo
	if tip := n.store.Tip().SeqNo; tip < commit.SeqNo {
		return fmt.Errorf("its store is at %d below its commit %s", tip, commit)
	}
	if view := w.seen.views[commit.SeqNo]; view != commit.View {
		return fmt.Errorf("its commit is %s, the entry there is of view %d", commit, view)
	}
	if !w.log.signed[commit.SeqNo] {
		return fmt.Errorf("its commit is %s, which is no signature", commit)
	}
	if err := w.log.same(n, commit.SeqNo); err != nil {
		return fmt.Errorf("at %s: %w", commit, err)
	}
	if n.Role().Leading && !w.stored(commit) {
		return fmt.Errorf("it commits %s, which no majority has on disk; %s", commit, w.summary())
	}
	return nil
}

// shows sees that what a node that does not lead has in its store is on a
// majority's disks, committed by the service or not.
func (w *world) shows(n *node) error {
	tip := n.store.Tip()
	if tip != n.shown && !n.Role().Leading && tip.SeqNo > n.begun && !w.stored(tip) {
		return fmt.Errorf("it shows %s, which no majority has on disk; %s", tip, w.summary())
	}
	n.shown = tip
	return nil
}

// committed notes an entry that a node has committed.
func (w *world) committed(n *node, seqno synod.SeqNo) error {
	raw, err := n.Entry(seqno)
	if err != nil {
		return fmt.Errorf("committed entry %d: %w", seqno, err)
	}
	if was, ok := w.seen.entries[seqno]; ok {
		if string(was) != string(raw) {
			return fmt.Errorf("it committed another entry %d than the others", seqno)
		}
		return nil
	}
	if err := w.log.follow(raw, w.verify); err != nil {
		return fmt.Errorf("it committed what cannot follow: %w", err)
	}
	w.seen.entries[seqno], w.seen.views[seqno] = raw, w.log.last.View
	if id := w.log.last; w.seen.invalid[id] {
		return fmt.Errorf("it committed %s, which was said to be invalid", id)
	}
	return nil
}

// noteConfiguration keeps the newest configurations that the node has had.
func (n *node) noteConfiguration() {
	const kept = 3
	c := n.Peers().Configuration
	if len(n.confs) > 0 && n.confs[0] == c {
		return
	}
	n.confs = append([]*pb.ConfState{c}, n.confs[:min(len(n.confs), kept-1)]...)
}

// stored says whether a majority has a transaction on disk, by one of the newest
// configurations of any node: what is committed is so by the leader's of then. A
// disk that has a later entry of that view or of a later one has all before it.
func (w *world) stored(id synod.TxID) bool {
	holds := func(name uint64) bool {
		o := w.named(name)
		return o != nil && o.durable.SeqNo >= id.SeqNo && o.durable.View >= id.View
	}
	for _, n := range w.nodes {
		if slices.ContainsFunc(n.confs, func(c *pb.ConfState) bool {
			return majority(c.GetVoters(), holds) && majority(c.GetVotersOutgoing(), holds)
		}) {
			return true
		}
	}
	return false
}
