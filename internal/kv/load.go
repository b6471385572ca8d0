package kv

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"synod"
)

// A Loader fills an empty store with a state that was reached elsewhere: the
// content of a snapshot. Nothing is visible before Finish; a store that is not
// finished is of no use any more. Only the writer uses it.
type Loader struct {
	store *Store
	table *table // of the map under way; nil before the first
	now   tableVersion
	cells []unordered // of the map under way
}

// unordered is a cell that the table's order does not know yet. Keys come in
// any order: putting them in order at the end touches less memory.
type unordered struct {
	start uint64 // of the key, so that most comparisons need no look at it
	id    uint32
}

// Load starts to fill the store, which must never have been written to;
// anything else is a broken invariant and panics.
func (s *Store) Load() *Loader {
	if s.stamp != 0 {
		panic("kv: load into a store that is not empty")
	}
	s.stamp = 1
	return &Loader{store: s}
}

// Map begins a map, which version wrote to last. Keys follow. It fails if the
// map was there before.
func (l *Loader) Map(name string, version synod.SeqNo) error {
	l.endMap()
	if l.store.table(name) != nil {
		return fmt.Errorf("map %q: there twice", name)
	}
	l.table = l.store.tableFor(name)
	l.now = tableVersion{stamp: l.store.stamp, seqno: uint64(version)}
	return nil
}

// Put adds a key of the map under way, which version wrote last. Both slices
// are copied. It fails if the key was there before.
func (l *Loader) Put(key, value []byte, version synod.SeqNo) error {
	t := l.table
	if t.find(key) != 0 {
		return errors.New("a key is there twice")
	}
	h := t.hash(key)
	t.lock()
	id := t.add(h, t.index[h], newVersion(key, value, false, l.now.stamp, uint64(version)))
	t.mu.Unlock()
	var start [8]byte
	copy(start[:], key)
	l.cells = append(l.cells, unordered{binary.BigEndian.Uint64(start[:]), id})
	return nil
}

// Finish makes tip the newest transaction, compacted, and then tells the local
// and the commit hooks of each map that was loaded all its keys, as if tip had
// written them.
func (l *Loader) Finish(tip synod.TxID) {
	l.endMap()
	s := l.store
	s.mu.Lock()
	s.tip = place{tip, s.stamp}
	s.floor = s.tip
	s.mu.Unlock()
	for _, t := range s.sortedTables() {
		local, commit := s.hooks.onLocal[t.name], s.hooks.onCommit[t.name]
		if len(local)+len(commit) == 0 {
			continue
		}
		w := MapWrites{Name: t.name}
		tx := s.Begin()
		tx.EachKey(t.name, func(key, value []byte, _ synod.SeqNo) bool {
			w.Writes = append(w.Writes, Write{Key: key, Value: value})
			return true
		})
		tx.Release()
		if len(w.Writes) == 0 {
			continue
		}
		for _, hook := range append(local[:len(local):len(local)], commit...) {
			hook(tip, w)
		}
	}
}

func (l *Loader) endMap() {
	if l.table == nil {
		return
	}
	t := l.table
	l.table = nil
	slices.SortFunc(l.cells, func(a, b unordered) int {
		if a.start != b.start {
			return cmp.Compare(a.start, b.start)
		}
		return bytes.Compare(t.cells.at(a.id).key(), t.cells.at(b.id).key())
	})
	t.lock()
	for _, c := range l.cells {
		t.order.insert(&t.cells, c.id)
	}
	l.now.count = len(l.cells)
	t.hist.push(l.now)
	t.mu.Unlock()
	l.cells = l.cells[:0]
}
