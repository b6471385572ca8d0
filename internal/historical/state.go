package historical

import (
	"bytes"
	"slices"
	"strings"

	"synod"
	"synod/app"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/merkle"
	"synod/receipt"
)

// state is one transaction that is believed. It never changes once it is
// finished.
type state struct {
	id         synod.TxID
	maps       []kv.MapWrites // ascending by name; keys ascending within
	leaf       [32]byte
	components receipt.LeafComponents // CommitEvidence "" if the entry has none
	signature  bool                   // a signature transaction
	signed     *seal                  // the signature that covers it; its own of a signature transaction
	path       merkle.Path            // to signed's root; nil of a signature transaction
	size       int64

	shown *app.State
}

// stateOverhead is what a small state takes besides its bytes: paths,
// components and the slices that point into the entry.
const stateOverhead = 2 << 10

// stateSize is about what a state takes, in bytes: the entry, its decrypted
// half, and the rest.
func stateSize(e *ledger.Entry) int64 { return int64(2*len(e.Raw)) + stateOverhead }

// finish makes what applications see.
func (s *state) finish(h *History) *state {
	for i := range s.maps {
		m := &s.maps[i]
		if !slices.IsSortedFunc(m.Writes, compareWrites) {
			m.Writes = slices.Clone(m.Writes)
			slices.SortFunc(m.Writes, compareWrites)
		}
	}
	s.shown = app.NewState(s, func() (*app.Proof, error) { return h.prove(s) }, s.eachDeleted)
	return s
}

func compareWrites(a, b kv.Write) int { return bytes.Compare(a.Key, b.Key) }

func (s *state) find(mapName string) *kv.MapWrites {
	i, ok := slices.BinarySearchFunc(s.maps, mapName, func(m kv.MapWrites, name string) int { return strings.Compare(m.Name, name) })
	if !ok {
		return &kv.MapWrites{}
	}
	return &s.maps[i]
}

// Get returns what the transaction wrote.
func (s *state) Get(mapName string, key []byte) ([]byte, bool) {
	m := s.find(mapName)
	i, ok := slices.BinarySearchFunc(m.Writes, key, compareKey)
	if !ok {
		return nil, false
	}
	return m.Writes[i].Value, true
}

func compareKey(w kv.Write, key []byte) int { return bytes.Compare(w.Key, key) }

// Has says whether the transaction wrote a key.
func (s *state) Has(mapName string, key []byte) bool {
	_, ok := s.Get(mapName, key)
	return ok
}

// ForEach visits what the transaction wrote.
func (s *state) ForEach(mapName string, visit func(key, value []byte) bool) {
	s.Range(mapName, nil, nil, visit)
}

// Range visits what the transaction wrote between two keys.
func (s *state) Range(mapName string, from, to []byte, visit func(key, value []byte) bool) {
	for _, w := range s.find(mapName).Writes {
		if bytes.Compare(w.Key, from) < 0 {
			continue
		}
		if to != nil && bytes.Compare(w.Key, to) >= 0 || !visit(w.Key, w.Value) {
			return
		}
	}
}

// Len is how many keys the transaction wrote.
func (s *state) Len(mapName string) int { return len(s.find(mapName).Writes) }

// VersionOfPreviousWrite is the transaction, for what it wrote.
func (s *state) VersionOfPreviousWrite(mapName string, key []byte) (synod.SeqNo, bool) {
	if !s.Has(mapName, key) {
		return 0, false
	}
	return s.id.SeqNo, true
}

// ReadVersion is the transaction.
func (s *state) ReadVersion() synod.TxID { return s.id }

func (s *state) eachDeleted(visit func(mapName string, key []byte) bool) {
	for _, m := range s.maps {
		for _, key := range m.Removes {
			if !visit(m.Name, key) {
				return
			}
		}
	}
}
