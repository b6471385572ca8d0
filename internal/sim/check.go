package sim

import (
	"crypto/sha256"
	"errors"
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"

	"synod"
	"synod/internal/evidence"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/machine"
	"synod/internal/secrets"
	"synod/internal/tables"
)

var errSealed = errors.New("two entries were sealed with the same initialisation vector")

// seal notes entries that leave a node's memory: no place may ever have two
// contents.
func (w *world) seal(entries []*pb.Entry) {
	for _, e := range entries {
		id := synod.TxID{View: synod.View(e.GetTerm()), SeqNo: synod.SeqNo(e.GetIndex())}
		digest := sha256.Sum256(e.GetData())
		if was, ok := w.sealed[id]; ok && was != digest {
			panic(fmt.Errorf("%w: %s", errSealed, id))
		}
		w.sealed[id] = digest
	}
}

// check looks at what must always hold.
func (w *world) check() error {
	for _, n := range w.alive() {
		if err := n.Err(); err != nil {
			return fmt.Errorf("node %d ended: %w", n.name, err)
		}
		if r := n.Role(); r.Leading {
			if other, ok := w.leaders[r.View]; ok && other != n.name {
				return fmt.Errorf("nodes %d and %d both lead view %d", other, n.name, r.View)
			}
			w.leaders[r.View] = n.name
		}
		if err := w.compare(n); err != nil {
			return fmt.Errorf("node %d: %w", n.name, err)
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
	for seqno := n.checked + 1; seqno <= commit.SeqNo; seqno++ {
		raw, err := n.Entry(seqno)
		if err != nil {
			return fmt.Errorf("committed entry %d: %w", seqno, err)
		}
		e, err := ledger.ParseEntry(raw)
		if err != nil {
			return err
		}
		digest := sha256.Sum256(raw)
		if was, ok := w.committed[seqno]; ok && was != digest {
			return fmt.Errorf("it committed another entry %d than the others", seqno)
		}
		w.committed[seqno], w.views[seqno] = digest, e.TxID.View
	}
	if commit.SeqNo > n.checked {
		if tip := n.store.Tip().SeqNo; tip < commit.SeqNo {
			return fmt.Errorf("its store is at %d below its commit %s", tip, commit)
		}
		root, err := n.tree.RootAt(commit.SeqNo)
		if err != nil {
			return err
		}
		if was, ok := w.roots[commit.SeqNo]; ok && was != root {
			return fmt.Errorf("it has another root at %s than the others", commit)
		}
		w.roots[commit.SeqNo] = root
		if w.views[commit.SeqNo] != commit.View {
			return fmt.Errorf("its commit is %s, the entry there is of view %d", commit, w.views[commit.SeqNo])
		}
	}
	n.checked = commit.SeqNo
	return nil
}

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
			if n.Appends() > 0 {
				w.store(n, n.Appends())
			}
		}
		w.sign()
		if len(w.flying) == 0 {
			w.pass()
		}
		if err := w.check(); err != nil {
			return err
		}
	}
	return fmt.Errorf("not in good weather: %s; %s", what, w.summary())
}

// summary is what every running node knows.
func (w *world) summary() string {
	s := ""
	for _, n := range w.alive() {
		s += fmt.Sprintf("[%d: %+v log %d commit %s signing %v appends %d %s] ",
			n.name, n.Role(), n.Ordered(), n.Committed(), n.Signing(), n.Appends(), n.Peers().Configuration)
	}
	return s
}

// end heals everything and sees that the service comes back, and that all
// nodes say the same of everything.
func (w *world) end() error {
	clear(w.cut)
	// A write that is taken may yet be lost with its leader: then another is.
	var id synod.TxID
	err := w.calm("a write is committed by all voters", func() bool {
		l := w.leader()
		if l == nil {
			return false
		}
		if id.View != l.Role().View {
			if next, err := l.put(records, []byte("end"), []byte("end")); err == nil {
				id = next
			}
			return false
		}
		return w.allHave(id.SeqNo)
	})
	if err != nil {
		return err
	}
	for _, n := range w.voters() {
		for _, id := range append(w.answered, id) {
			want := synod.TxInvalid
			if w.views[id.SeqNo] == id.View {
				want = synod.TxCommitted
			}
			if got := n.Status(id); got != want && id.SeqNo <= n.Committed().SeqNo {
				return fmt.Errorf("node %d says %s of %s, which is %s", n.name, got, id, want)
			}
		}
		if err := w.replay(n); err != nil {
			return fmt.Errorf("node %d: replay: %w", n.name, err)
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

func (w *world) allHave(seqno synod.SeqNo) bool {
	voters := w.voters()
	for _, n := range voters {
		if n.Committed().SeqNo < seqno {
			return false
		}
	}
	return len(voters) > 0
}

// replay reads a node's committed log into an empty store, as a new node does,
// and compares. On the way it sees that signatures are never neighbours in a
// view.
func (w *world) replay(n *node) error {
	chain := secrets.NewChain()
	chain.Set(1, w.secret)
	store := kv.New()
	m := machine.New(store, evidence.NewTree(), chain, 4<<10)
	var signed synod.TxID
	for seqno := synod.SeqNo(1); seqno <= n.Committed().SeqNo; seqno++ {
		raw, err := n.Entry(seqno)
		if err != nil {
			return err
		}
		rec, err := m.Receive(raw)
		if err != nil {
			return err
		}
		m.Install(rec.ID, rec.WriteSet)
		if rec.Signature != nil {
			if signed.View == rec.ID.View && signed.SeqNo+1 == rec.ID.SeqNo {
				return fmt.Errorf("%s and %s are both signatures", signed, rec.ID)
			}
			signed = rec.ID
		}
	}
	if m.Tree.Root() != w.roots[n.Committed().SeqNo] {
		return errors.New("the root is another")
	}
	mine, err := n.store.BeginAt(n.Committed().SeqNo)
	if err != nil {
		return err
	}
	defer mine.Release()
	again := store.Begin()
	defer again.Release()
	for _, table := range []string{records, members, tables.Raft} {
		if a, b := contents(mine, table), contents(again, table); a != b {
			return fmt.Errorf("table %s holds %s, its log says %s", table, a, b)
		}
	}
	return nil
}

func contents(tx *kv.Tx, table string) string {
	s := ""
	tx.ForEach(table, func(k, v []byte) bool { s += fmt.Sprintf("%s=%x ", k, v); return true })
	return s
}
