package snapshot

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"synod"
	"synod/internal/evidence"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/secrets"
	"synod/internal/tables"
)

// Loaded is a snapshot that is in a store.
type Loaded struct {
	Proof
	TxID synod.TxID     // the signature that the state is right after
	Tree *evidence.Tree // over everything up to it
}

// Load verifies a snapshot file and puts its state into a store that was never
// written to: the public maps alone if chain is nil, else all. On an error the
// store is of no use any more. Memory is the state's, and constant beside it
// except for the largest value.
//
// A file that is loaded twice, first its public part and later all of it, may
// have changed in between: compare the digests.
func Load(file io.ReaderAt, size int64, trust Trust, chain *secrets.Chain, store *kv.Store) (*Loaded, error) {
	r, err := open(file, size, trust)
	if err != nil {
		return nil, err
	}
	var opened *secrets.Stream
	if chain != nil {
		secret, err := chain.At(r.head.SeqNo)
		if err != nil {
			return nil, err
		}
		opened = secret.Stream(ledger.SnapshotIV(r.head.SeqNo))
	}
	w := &watcher{Loader: store.Load()}
	failure := r.maps(opened, w)
	if r.fault != nil {
		return nil, r.fault
	}
	// This first: it says more than what is wrong with the maps.
	if err := r.check(chain); err != nil {
		return nil, err
	}
	if failure != nil {
		return nil, failure
	}
	l := &Loaded{Proof: r.proof}
	if l.TxID, l.Tree, err = w.position(r.head); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInconsistent, err)
	}
	w.Finish(l.TxID)
	return l, nil
}

// maps puts the maps into a store, the public ones alone if opened is nil. It
// reads to the end of the entry in any case, for the digest.
func (r *reader) maps(opened *secrets.Stream, to sink) error {
	hashed, decrypted := func([]byte) {}, func([]byte) {}
	if opened != nil {
		opened.AAD(r.public)
		hashed, decrypted = opened.AAD, opened.Decrypt
	}
	public := r.source(r.head.MapsAt, r.head.CipherAt, hashed)
	private := r.source(r.head.CipherAt, r.head.ReceiptAt, decrypted)
	failure := (&blocks{src: public, public: true, newest: r.head.SeqNo, to: to}).run()
	if err := public.drain(); err != nil {
		return err
	}
	if opened == nil || failure != nil {
		return errors.Join(failure, private.drain())
	}
	if private.left() > secrets.StreamMax {
		return fmt.Errorf("%w: %d bytes of private maps", ErrMalformed, private.left())
	}
	failure = (&blocks{src: private, newest: r.head.SeqNo, to: to}).run()
	if err := private.drain(); err != nil {
		return err
	}
	if err := opened.Verify(r.head.Tag); err != nil {
		return fmt.Errorf("snapshot at %d: %w", r.head.SeqNo, err)
	}
	return failure
}

// A watcher passes a snapshot on to a store and keeps what says where in the
// ledger it is.
type watcher struct {
	*kv.Loader
	mapName         string
	signature, tree []byte
}

func (w *watcher) Map(name string, version synod.SeqNo) error {
	w.mapName = name
	return w.Loader.Map(name, version)
}

func (w *watcher) Put(key, value []byte, version synod.SeqNo) error {
	if bytes.Equal(key, tables.UnitKey()) {
		switch w.mapName {
		case tables.Signatures:
			w.signature = bytes.Clone(value)
		case tables.Tree:
			w.tree = bytes.Clone(value)
		}
	}
	return w.Loader.Put(key, value, version)
}

// position is the ID of the snapshot's signature and the tree up to it.
func (w *watcher) position(head *ledger.SnapshotHead) (synod.TxID, *evidence.Tree, error) {
	var rec tables.SignatureRecord
	if err := json.Unmarshal(w.signature, &rec); err != nil {
		return synod.TxID{}, nil, fmt.Errorf("signature record: %w", err)
	}
	id := synod.TxID{View: rec.View, SeqNo: head.SeqNo}
	if rec.Seqno != head.SeqNo {
		return id, nil, fmt.Errorf("its last signature is at %d, not at %d", rec.Seqno, head.SeqNo)
	}
	if n := len(head.ViewStarts); uint64(rec.View) != uint64(n) {
		return id, nil, fmt.Errorf("its view history ends in view %d, its signature is of view %d", n, rec.View)
	}
	tree, err := evidence.TreeFrom(w.tree, head.SeqNo, head.Hash)
	if err != nil {
		return id, nil, fmt.Errorf("tree: %w", err)
	}
	root, err := tree.RootAt(head.SeqNo - 1)
	if err != nil {
		return id, nil, fmt.Errorf("tree: %w", err)
	}
	if rec.Root != hex.EncodeToString(root[:]) {
		return id, nil, fmt.Errorf("its tree is not the one that was signed")
	}
	return id, tree, nil
}
