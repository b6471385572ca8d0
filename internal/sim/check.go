package sim

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"

	"synod"
	"synod/internal/ledger"
)

var errSealed = errors.New("two entries were sealed with the same initialisation vector")

// seen is what the nodes have shown so far.
type seen struct {
	sealed  map[synod.TxID][32]byte // bytes that left a node, by place
	entries map[synod.SeqNo][]byte  // committed, by seqno
	roots   map[synod.SeqNo][32]byte
	views   map[synod.SeqNo]synod.View // of committed entries
	leaders map[synod.View]uint64
	given   []uint64 // who got the ledger secrets
}

func newSeen() seen {
	return seen{
		sealed: map[synod.TxID][32]byte{}, entries: map[synod.SeqNo][]byte{}, roots: map[synod.SeqNo][32]byte{},
		views: map[synod.SeqNo]synod.View{}, leaders: map[synod.View]uint64{},
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
	return w.answers()
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
	root, err := n.tree.RootAt(commit.SeqNo)
	if err != nil {
		return err
	}
	if was, ok := w.seen.roots[commit.SeqNo]; ok && was != root {
		return fmt.Errorf("it has another root at %s than the others", commit)
	}
	w.seen.roots[commit.SeqNo] = root
	if view := w.seen.views[commit.SeqNo]; view != commit.View {
		return fmt.Errorf("its commit is %s, the entry there is of view %d", commit, view)
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
	e, err := ledger.ParseEntry(raw)
	if err != nil {
		return err
	}
	if before := w.seen.views[seqno-1]; seqno > 1 && e.TxID.View < before {
		return fmt.Errorf("it committed %s after an entry of view %d", e.TxID, before)
	}
	w.seen.entries[seqno], w.seen.views[seqno] = raw, e.TxID.View
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
	majority := func(voters []uint64) bool {
		have := 0
		for _, name := range voters {
			if holds(name) {
				have++
			}
		}
		return len(voters) == 0 || have > len(voters)/2
	}
	for _, n := range w.nodes {
		if slices.ContainsFunc(n.confs, func(c *pb.ConfState) bool {
			return majority(c.GetVoters()) && majority(c.GetVotersOutgoing())
		}) {
			return true
		}
	}
	return false
}
