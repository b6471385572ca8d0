package sim

import (
	"errors"
	"fmt"
	"strconv"

	"synod"
	"synod/internal/evidence"
	"synod/internal/kv"
	"synod/internal/machine"
	"synod/internal/secrets"
	"synod/internal/tables"
)

// replay reads the committed log into an empty store, as a new node does and
// entry by entry as it becomes known, and is what the nodes are compared with.
type replay struct {
	store   *kv.Store
	machine *machine.Machine
	last    synod.TxID
	signed  map[synod.SeqNo]bool // where signatures are
	trusted map[string]bool      // members that ever were
	views   []synod.TxID         // what a node shows of them: the first of each
}

func newReplay(secret *secrets.Secret) *replay {
	chain := secrets.NewChain()
	chain.Set(1, secret)
	store := kv.New()
	return &replay{
		store: store, machine: machine.New(store, evidence.NewTree(), chain, chunkSize),
		signed: map[synod.SeqNo]bool{}, trusted: map[string]bool{},
	}
}

// follow takes the next committed entry. On the way it sees that the entry can
// be read, that a view begins with a signature that verifies, and that no two
// signatures of a view are neighbours.
func (r *replay) follow(raw []byte, verify func(*evidence.Signature) error) error {
	rec, err := r.machine.Receive(raw)
	if err != nil {
		return err
	}
	r.machine.Install(rec.ID, rec.WriteSet)
	id, newView := rec.ID, rec.ID.View != r.last.View
	switch {
	case id.SeqNo != r.last.SeqNo+1 || id.View < r.last.View:
		return fmt.Errorf("%s follows %s", id, r.last)
	case newView && rec.Signature == nil && id.SeqNo > 1:
		return fmt.Errorf("%s opens a view and is no signature", id)
	case !newView && rec.Signature != nil && r.signed[id.SeqNo-1]:
		return fmt.Errorf("%s and %s are both signatures", r.last, id)
	}
	if rec.Signature != nil {
		r.signed[id.SeqNo] = true
		if err := verify(rec.Signature); err != nil {
			return fmt.Errorf("the signature at %s: %w", id, err)
		}
	}
	for view := r.last.View + 1; view <= id.View; view++ {
		r.views = append(r.views, synod.TxID{View: view, SeqNo: id.SeqNo})
	}
	for _, m := range rec.WriteSet.Maps {
		for _, write := range m.Writes {
			if m.Name == members && string(write.Value) == trusted {
				r.trusted[string(write.Key)] = true
			}
		}
	}
	r.last = id
	return nil
}

// everTrusted says whether the service has committed that it trusts a name.
func (r *replay) everTrusted(name uint64) bool { return r.trusted[strconv.FormatUint(name, 10)] }

// same compares a node's committed state with the one that the log makes.
func (r *replay) same(n *node, at synod.SeqNo) error {
	want, err := r.machine.Tree.RootAt(at)
	if err != nil {
		return err
	}
	if root, err := n.tree.RootAt(at); err != nil || root != want {
		return errors.Join(errors.New("its root is another"), err)
	}
	mine, err := n.store.BeginAt(at)
	if err != nil {
		return err
	}
	defer mine.Release()
	replayed, err := r.store.BeginAt(at)
	if err != nil {
		return err
	}
	defer replayed.Release()
	for _, table := range []string{records, members, tables.Raft} {
		if a, b := contents(mine, table), contents(replayed, table); a != b {
			return fmt.Errorf("table %s holds %q, the log says %q", table, a, b)
		}
	}
	return nil
}

func contents(tx *kv.Tx, table string) string {
	var s []byte
	tx.ForEach(table, func(k, v []byte) bool {
		s = append(append(append(append(s, k...), '='), v...), ' ')
		return true
	})
	return string(s)
}

// sameViews compares what a node says of the views up to its commit.
func (r *replay) sameViews(n *node) error {
	commit := n.Committed()
	shown := n.ViewHistory(1)
	for i, id := range r.views {
		if id.View > commit.View || id.SeqNo > commit.SeqNo {
			break
		}
		if i >= len(shown) || shown[i] != id {
			return fmt.Errorf("shows the views %v, the log says %v", shown, r.views)
		}
	}
	return nil
}
