package evidence

import (
	"fmt"
	"sync"

	"synod"
	"synod/internal/merkle"
)

// Tree is the Merkle tree over the ledger. The replica goroutine changes it;
// any goroutine may ask it for roots and paths.
type Tree struct {
	mu   sync.Mutex
	t    *merkle.Tree // guarded by mu
	from synod.SeqNo  // guarded by mu: the last service commit, where serialised trees begin
}

// kept is how many leaves below the last commit stay in memory: a request that
// read the state before the commit may still ask for the root of then.
const kept = 1 << 13

// NewTree returns the tree of an empty ledger: leaf 0 alone.
func NewTree() *Tree { return &Tree{t: merkle.New()} }

// TreeFrom returns the tree over 0..seqno of which seqno is the last service
// commit: serialised is the tree over what is before, as the signature at seqno
// wrote it, and leaf that signature's own.
func TreeFrom(serialised []byte, seqno synod.SeqNo, leaf [32]byte) (*Tree, error) {
	t, err := merkle.Deserialise(serialised)
	if err != nil {
		return nil, err
	}
	if last := t.MaxIndex(); last+1 != uint64(seqno) {
		return nil, fmt.Errorf("the serialised tree ends at %d, the signature is at %d", last, seqno)
	}
	t.Append(leaf)
	return &Tree{t: t, from: seqno}, nil
}

// TreeOf returns a tree over 0..from, of which from is the last service commit.
// The argument is the tree's from then on.
func TreeOf(t *merkle.Tree, from synod.SeqNo) *Tree { return &Tree{t: t, from: from} }

// Release returns what the tree is made of, and is not used any more.
func (t *Tree) Release() *merkle.Tree {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.t
}

// Adopt makes this tree what another is; the other is not used any more.
func (t *Tree) Adopt(other *Tree) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.t, t.from = other.t, other.from
}

// Leaf is the leaf of an entry. It fails for one that is flushed or not there
// yet.
func (t *Tree) Leaf(seqno synod.SeqNo) ([32]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.t.Leaf(uint64(seqno))
}

// Append adds the leaf of the next entry.
func (t *Tree) Append(leaf [32]byte) {
	t.mu.Lock()
	t.t.Append(leaf)
	t.mu.Unlock()
}

// Last is the seqno of the newest leaf.
func (t *Tree) Last() synod.SeqNo {
	t.mu.Lock()
	defer t.mu.Unlock()
	return synod.SeqNo(t.t.MaxIndex())
}

// Root is the root over every leaf.
func (t *Tree) Root() [32]byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.t.Root()
}

// RootAt is the root over the leaves 0..seqno. It fails for a seqno that is
// flushed or not there yet.
func (t *Tree) RootAt(seqno synod.SeqNo) ([32]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.t.RootAt(uint64(seqno))
}

// Path is the path of an entry's leaf to the root over 0..last.
func (t *Tree) Path(seqno, last synod.SeqNo) (merkle.Path, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.t.Path(uint64(seqno), uint64(last))
}

// Serialise writes the tree over 0..last, from the last service commit on, as
// the table public:ccf.internal.tree holds it.
func (t *Tree) Serialise(last synod.SeqNo) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.t.Serialise(uint64(t.from), uint64(last))
}

// Flush notes that the service has committed seqno: the leaves below it are
// left out of later signatures, and dropped once they are old.
func (t *Tree) Flush(seqno synod.SeqNo) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.from = seqno
	if seqno > kept {
		t.t.FlushTo(uint64(seqno - kept))
	}
}

// Retract drops the leaves above seqno. It fails below the last commit.
func (t *Tree) Retract(seqno synod.SeqNo) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if seqno < t.from {
		return fmt.Errorf("retract the tree to %d: %d is committed", seqno, t.from)
	}
	return t.t.RetractTo(uint64(seqno))
}
