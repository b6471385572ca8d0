package merkle

import (
	"errors"
	"fmt"
)

// ErrRange is the error for a leaf that is flushed or not there yet.
var ErrRange = errors.New("merkle: leaf index out of range")

// Tree is the tree over leaves 0..MaxIndex. Make one with New or Deserialise.
// It is not safe for concurrent use.
type Tree struct {
	count uint64 // leaves ever appended, less those retracted
	min   uint64

	// levels[k] holds the complete subtrees of 2^k leaves from index
	// (min>>k)&^1 on: the even one of each pair is kept as long as its
	// sibling may need it in a path.
	levels []level

	root      Hash
	rootValid bool
}

// New returns the tree of an empty ledger: leaf 0 alone, 32 zero bytes.
func New() *Tree {
	t := &Tree{}
	t.Append(Hash{})
	return t
}

// Append adds the leaf with index MaxIndex+1. It costs one hash on average.
func (t *Tree) Append(leaf Hash) {
	t.push(0, leaf)
	t.count++
	t.rootValid = false
	for k := 0; t.count>>k&1 == 0; k++ {
		l := &t.levels[k]
		end := l.end()
		t.push(k+1, join(l.at(end-2), l.at(end-1)))
	}
}

func (t *Tree) push(k int, h Hash) {
	if k == len(t.levels) {
		t.levels = append(t.levels, level{})
	}
	t.levels[k].hashes = append(t.levels[k].hashes, h)
}

// MaxIndex returns the index of the newest leaf.
func (t *Tree) MaxIndex() uint64 { return t.count - 1 }

// MinIndex returns the index of the oldest leaf that is not flushed.
func (t *Tree) MinIndex() uint64 { return t.min }

// Root returns the root over leaves 0..MaxIndex. After an append it costs at
// most log2(MaxIndex) hashes; repeated calls cost nothing.
func (t *Tree) Root() Hash {
	if !t.rootValid {
		t.root, t.rootValid = t.fold(t.count), true
	}
	return t.root
}

// RootAt returns the root over leaves 0..i. It fails with ErrRange unless
// MinIndex <= i <= MaxIndex.
func (t *Tree) RootAt(i uint64) (Hash, error) {
	if err := t.check(i); err != nil {
		return Hash{}, err
	}
	return t.fold(i + 1), nil
}

func (t *Tree) check(i uint64) error {
	if i < t.min || i >= t.count {
		return fmt.Errorf("%w: %d is not in %d..%d", ErrRange, i, t.min, t.MaxIndex())
	}
	return nil
}

// fold computes the root over the first n leaves from the complete subtrees
// that n's bits stand for, smallest first.
func (t *Tree) fold(n uint64) Hash {
	var acc Hash
	have := false
	for k := 0; n>>k != 0; k++ {
		acc, have = t.edge(k, n, acc, have)
	}
	return acc
}

// edge takes the incomplete node at the right end of level k in the tree over
// n leaves (have says that there is one) and returns that of level k+1.
func (t *Tree) edge(k int, n uint64, acc Hash, have bool) (Hash, bool) {
	if n>>k&1 == 0 {
		return acc, have
	}
	peak := t.levels[k].at(n>>k - 1)
	if have {
		return join(peak, &acc), true
	}
	return *peak, true
}

// Leaf returns leaf i, or ErrRange.
func (t *Tree) Leaf(i uint64) (Hash, error) {
	if err := t.check(i); err != nil {
		return Hash{}, err
	}
	return *t.levels[0].at(i), nil
}

// Path returns the path of leaf i to the root over 0..last. It fails with
// ErrRange unless MinIndex <= i <= last <= MaxIndex.
func (t *Tree) Path(i, last uint64) (Path, error) {
	if err := t.check(i); err != nil {
		return nil, err
	}
	if last < i || last > t.MaxIndex() {
		return nil, fmt.Errorf("%w: path of leaf %d in the tree over 0..%d of 0..%d", ErrRange, i, last, t.MaxIndex())
	}
	n := last + 1
	var path Path
	var right Hash // the incomplete node at the end of the level, if any
	incomplete := false
	for k := 0; (n-1)>>k != 0; k++ {
		sibling := i>>k ^ 1
		complete := n >> k // as many subtrees of this level are complete
		switch {
		case sibling < complete:
			path = append(path, Step{Left: i>>k&1 == 1, Hash: *t.levels[k].at(sibling)})
		case sibling == complete && incomplete:
			path = append(path, Step{Hash: right})
		}
		right, incomplete = t.edge(k, n, right, incomplete)
	}
	return path, nil
}

// FlushTo forgets the leaves below i: i becomes MinIndex, or the newest leaf
// if i is beyond it. It does nothing if i is not above MinIndex.
func (t *Tree) FlushTo(i uint64) {
	i = min(i, t.MaxIndex())
	if i <= t.min {
		return
	}
	t.min = i
	for k := range t.levels {
		t.levels[k].dropBefore(i >> k &^ 1)
	}
}

// RetractTo forgets the leaves above i: i becomes MaxIndex. It fails with
// ErrRange, changing nothing, if i is flushed, and does nothing if i is not
// below MaxIndex.
func (t *Tree) RetractTo(i uint64) error {
	if i >= t.MaxIndex() {
		return nil
	}
	if err := t.check(i); err != nil {
		return err
	}
	t.count = i + 1
	t.rootValid = false
	for k := range t.levels {
		t.levels[k].cutFrom(t.count >> k)
	}
	return nil
}
