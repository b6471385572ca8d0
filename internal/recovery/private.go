package recovery

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"

	"synod"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/machine"
	"synod/internal/merkle"
	"synod/internal/secrets"
)

// ErrDiffers says that what is read now is not what the public part was read
// from.
var ErrDiffers = errors.New("the ledger is not what was read before")

// Private reads the private maps back.
type Private struct {
	log     *ledger.Log
	secrets *secrets.Chain
	base    *kv.Base
	tree    *merkle.Tree
	at      atomic.Uint64 // the entry that the base is after
}

// NewPrivate starts after an entry: base holds the private maps then, tree is
// over all up to it. For a ledger that is read from its beginning, they are
// empty.
func NewPrivate(log *ledger.Log, chain *secrets.Chain, base *kv.Base, tree *merkle.Tree, after synod.SeqNo) *Private {
	p := &Private{log: log, secrets: chain, base: base, tree: tree}
	p.at.Store(uint64(after))
	return p
}

// At is the entry that the maps are after. Any goroutine may ask.
func (p *Private) At() synod.SeqNo { return synod.SeqNo(p.at.Load()) }

// Run reads up to an entry, which must be on disk.
func (p *Private) Run(ctx context.Context, to synod.SeqNo) error {
	if p.At() >= to {
		return ctx.Err()
	}
	return ahead(ctx, p.log, p.At()+1, to, p.open, func(entries []opened) error {
		for _, o := range entries {
			if want := p.At() + 1; o.id.SeqNo != want {
				return fmt.Errorf("%w: %s in the place of %d", ErrDiffers, o.id, want)
			}
			p.base.Apply(o.ws, o.id.SeqNo)
			p.tree.Append(o.leaf)
			p.at.Store(uint64(o.id.SeqNo))
		}
		p.tree.FlushTo(p.tree.MaxIndex())
		return nil
	})
}

// opened is an entry that its ledger secret has opened.
type opened struct {
	id   synod.TxID
	leaf merkle.Hash
	ws   *kv.WriteSet
}

// open checks and decrypts an entry. It runs on several goroutines.
func (p *Private) open(b []byte) (opened, error) {
	e, err := ledger.ParseEntry(b)
	if err != nil {
		return opened{}, err
	}
	secret, err := p.secrets.At(e.TxID.SeqNo)
	if err != nil {
		return opened{}, err
	}
	if e.Type.HasEvidence() {
		var text [evidenceRoom]byte
		if sha256.Sum256(secret.CommitEvidence(text[:0], e.TxID)) != e.Evidence {
			return opened{}, fmt.Errorf("entry %s: the commit evidence is not that of its ledger secret", e.TxID)
		}
	}
	ws, err := machine.Open(e, secret)
	if err != nil {
		return opened{}, fmt.Errorf("entry %s: %w", e.TxID, err)
	}
	return opened{e.TxID, e.Leaf(), ws}, nil
}

// evidenceRoom is enough for any commit evidence, in bytes.
const evidenceRoom = 128

// Base hands out the maps. root is that of the tree over the entries up to At, as
// the public part has it; the error is ErrDiffers if it is another. The Private
// is not used any more.
func (p *Private) Base(root [32]byte) (*kv.Base, error) {
	if p.tree.Root() != root {
		return nil, fmt.Errorf("%w: the root over the entries up to %d is another", ErrDiffers, p.At())
	}
	return p.base, nil
}
