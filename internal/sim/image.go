package sim

import (
	"fmt"

	"synod"
	"synod/internal/consensus"
	"synod/internal/evidence"
	"synod/internal/kv"
	"synod/internal/tables"
)

// image is a snapshot: the state after a transaction, and what consensus needs to go
// on from there.
type image struct {
	consensus.Start
	store *kv.Store // loaded, and only read
	tree  []byte    // of the entries before, serialised
	leaf  [32]byte
}

// imageOf is a snapshot of a node's state, nil if it has none to give.
func (w *world) imageOf(source *node, at synod.TxID) (*image, error) {
	if at.SeqNo == 0 {
		return nil, nil
	}
	tx, err := source.store.BeginAt(at.SeqNo)
	if err != nil {
		return nil, err
	}
	defer tx.Release()
	i := &image{store: kv.New()}
	i.After = at
	if i.leaf, err = source.tree.Leaf(at.SeqNo); err != nil {
		return nil, err
	}
	// A signature writes the tree of what is before it.
	if i.tree, _ = tx.Get(tables.Tree, tables.UnitKey()); !signedAt(tx, at.SeqNo) {
		if i.tree, err = source.tree.Serialise(at.SeqNo - 1); err != nil {
			return nil, err
		}
	}
	configuration, found, err := tables.GetJSON[tables.RaftConfig](tx, tables.Raft, tables.UnitKey())
	if err != nil {
		return nil, err
	}
	if !found {
		configuration.ConfState = consensus.Founding(1)
	}
	i.Configuration = configuration.ConfState
	for _, id := range source.ViewHistory(1) {
		if id.View <= at.View {
			i.ViewStarts = append(i.ViewStarts, id.SeqNo)
		}
	}
	return i, copyState(tx, at, i.store, w.cfg.Bug == ChangedSnapshot)
}

func signedAt(tx *kv.Tx, seqno synod.SeqNo) bool {
	at, ok := tx.VersionOfPreviousWrite(tables.Tree, tables.UnitKey())
	return ok && at == seqno
}

// copyState loads a state into an empty store.
func copyState(tx *kv.Tx, at synod.TxID, into *kv.Store, change bool) (err error) {
	to := into.Load()
	tx.EachMap(func(name string, version synod.SeqNo, _ int) bool {
		if err = to.Map(name, version); err != nil {
			return false
		}
		tx.EachKey(name, func(k, v []byte, version synod.SeqNo) bool {
			if name == records && change {
				v, change = []byte("changed"), false
			}
			err = to.Put(k, v, version)
			return err == nil
		})
		return err == nil
	})
	if err == nil {
		to.Finish(at)
	}
	return err
}

// load puts the state into an empty store.
func (i *image) load(into *kv.Store) error {
	tx := i.store.Begin()
	defer tx.Release()
	return copyState(tx, i.After, into, false)
}

func (i *image) newTree() (*evidence.Tree, error) {
	return evidence.TreeFrom(i.tree, i.After.SeqNo, i.leaf)
}

// keep takes a snapshot that is due. The signature is being committed.
func (w *world) keep(n *node, seqno synod.SeqNo) {
	view, _ := n.ViewOf(seqno)
	i, err := w.imageOf(n, synod.TxID{View: view, SeqNo: seqno})
	if err != nil {
		panic(fmt.Errorf("no snapshot at %d: %w", seqno, err))
	}
	n.image = i
}

// offer is the newest snapshot that a node has. A newer one that is asked for comes
// with a transaction.
func (n *node) offer(fresh bool) (synod.TxID, bool) {
	n.wanting = n.wanting || fresh
	if n.image == nil {
		return synod.TxID{}, false
	}
	return n.image.After, true
}

// takeWanted orders the transaction that asks for a snapshot.
func (n *node) takeWanted() {
	if !n.wanting || !n.Role().Leading {
		return
	}
	if _, err := n.order(func(tx *kv.Tx) {
		tx.Put(records, []byte("snapshot"), nil)
		tx.SetFlag(kv.FlagSnapshot)
	}); err == nil {
		n.wanting = false
	}
}

// fetch has a node that was offered a snapshot get it, if who offered it can still
// be asked.
func (w *world) fetch(n *node) error {
	source := w.named(n.fetching)
	if source != nil && source.image != nil && source.image.After.SeqNo > source.checked {
		return nil // what it has just committed is still to be looked at
	}
	n.fetching = 0
	if source == nil || !source.up || source.paused || source.image == nil ||
		w.cut[[2]uint64{source.name, n.name}] || w.cut[[2]uint64{n.name, source.name}] {
		return nil
	}
	i := source.image
	if w.cfg.Bug == UncommittedOffer {
		var err error
		if i, err = w.imageOf(source, source.store.Tip()); err != nil {
			return err
		}
	}
	if err := w.believed(n.name, i.After); err != nil {
		return err
	}
	loaded := kv.New()
	tx := i.store.Begin()
	defer tx.Release()
	if err := copyState(tx, i.After, loaded, w.cfg.Bug == UnverifiedOffer); err != nil {
		return err
	}
	tree, err := i.newTree()
	if err != nil {
		return err
	}
	return n.Overtake(&consensus.State{Start: i.Start, Install: func() {
		w.cfg.Trace("%d goes on after the snapshot at %s", n.name, i.After)
		w.result.Overtaken++
		n.machine.Overtake(loaded, tree)
		n.begun, n.checked, n.durable, n.image = i.After.SeqNo, i.After.SeqNo, i.After, i
	}})
}
