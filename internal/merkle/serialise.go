package merkle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// ErrMalformed is wrapped by every error of Deserialise.
var ErrMalformed = errors.New("merkle: malformed tree")

const (
	headerSize = 16
	hashSize   = len(Hash{})
)

// Serialise writes the tree over 0..to with the leaves from..to, as the table
// public:ccf.internal.tree holds it (CCF: merklecpp.h, TreeT::serialise):
//
//	u64 number of leaves, u64 from   both big-endian
//	the leaves
//	for each set bit of from, lowest first, the root of that many leaves that
//	end where the one before begins
//
// It fails with ErrRange unless MinIndex <= from <= to <= MaxIndex.
func (t *Tree) Serialise(from, to uint64) ([]byte, error) {
	if err := t.check(from); err != nil {
		return nil, err
	}
	if err := t.check(to); err != nil {
		return nil, err
	}
	if from > to {
		return nil, fmt.Errorf("%w: serialise %d..%d", ErrRange, from, to)
	}
	count := to - from + 1
	out := make([]byte, 0, headerSize+hashSize*(int(count)+bits.OnesCount64(from)))
	out = binary.BigEndian.AppendUint64(out, count)
	out = binary.BigEndian.AppendUint64(out, from)
	for i := from; i <= to; i++ {
		out = append(out, t.levels[0].at(i)[:]...)
	}
	for k := 0; from>>k != 0; k++ {
		if from>>k&1 == 1 {
			out = append(out, t.levels[k].at(from>>k - 1)[:]...)
		}
	}
	return out, nil
}

// Deserialise reads what Serialise writes. The input must be exactly one tree
// with at least one leaf; every error wraps ErrMalformed.
func Deserialise(b []byte) (*Tree, error) {
	if len(b) < headerSize {
		return nil, fmt.Errorf("%w: %d bytes are too short for its header", ErrMalformed, len(b))
	}
	count, from := binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	b = b[headerSize:]
	held := uint64(len(b) / hashSize)
	extras := uint64(bits.OnesCount64(from))
	switch {
	case len(b)%hashSize != 0:
		return nil, fmt.Errorf("%w: %d bytes of hashes", ErrMalformed, len(b))
	case count == 0:
		return nil, fmt.Errorf("%w: no leaf", ErrMalformed)
	case held < extras || held-extras != count:
		return nil, fmt.Errorf("%w: %d hashes where %d leaves and %d subtrees are announced", ErrMalformed, held, count, extras)
	case from >= 1<<63:
		return nil, fmt.Errorf("%w: %d leaves from index %d", ErrMalformed, count, from)
	}
	t := &Tree{count: from, min: from}
	extra := b[count*uint64(hashSize):]
	for k := 0; from>>k != 0; k++ {
		l := level{first: from >> k &^ 1}
		if from>>k&1 == 1 {
			l.hashes = append(l.hashes, Hash(extra[:hashSize]))
			extra = extra[hashSize:]
		}
		t.levels = append(t.levels, l)
	}
	for i := uint64(0); i < count; i++ {
		t.Append(Hash(b[i*uint64(hashSize):][:hashSize]))
	}
	return t, nil
}
