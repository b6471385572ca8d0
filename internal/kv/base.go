package kv

import (
	"slices"

	"synod"
)

// A Base is private maps as they are after one transaction, without a past: what
// a recovery reads back once it has the secrets, for a store that has lived on
// its public maps until then. One goroutine uses it.
type Base struct {
	tables map[string]*table
}

// NewBase makes a base without maps.
func NewBase() *Base { return &Base{tables: map[string]*table{}} }

// BaseOf takes the private maps out of a store that was loaded and not written
// to since. The store is of no use afterwards.
func BaseOf(loaded *Store) *Base {
	b := NewBase()
	for _, t := range loaded.sortedTables() {
		if isPublic(t.name) {
			continue
		}
		for id := uint32(1); id <= t.cells.used; id++ {
			t.cells.at(id).stamp = 0
		}
		last := *t.hist.at(t.hist.len() - 1)
		b.tables[t.name] = t
		t.settle(last.seqno, last.count)
	}
	return b
}

// settle makes the table's state one that every snapshot sees.
func (t *table) settle(seqno uint64, count int) {
	t.hist = fifo[tableVersion]{}
	t.hist.push(tableVersion{seqno: seqno, count: count})
}

// Apply brings the base to after the next transaction. Public maps in the write
// set are left out; keys and values are copied.
func (b *Base) Apply(ws *WriteSet, seqno synod.SeqNo) {
	for i := range ws.Maps {
		m := &ws.Maps[i]
		if isPublic(m.Name) || len(m.Writes)+len(m.Removes) == 0 {
			continue
		}
		t := b.tables[m.Name]
		if t == nil {
			t = newTable(m.Name)
			t.settle(0, 0)
			b.tables[m.Name] = t
		}
		count := t.hist.at(0).count
		for _, w := range m.Writes {
			t.overwrite(w, uint64(seqno), &count)
		}
		for _, key := range m.Removes {
			if id := t.find(key); id != 0 {
				t.drop(id)
				count--
			}
		}
		*t.hist.at(0) = tableVersion{seqno: uint64(seqno), count: count}
	}
}

func (t *table) overwrite(w Write, seqno uint64, count *int) {
	v := newVersion(w.Key, w.Value, false, 0, seqno)
	if id := t.find(w.Key); id != 0 {
		t.cells.at(id).version = v
		return
	}
	h := t.hash(w.Key)
	id := t.add(h, t.index[h], v)
	t.order.insert(&t.cells, id)
	*count++
}

// Adopt adds the maps of a base, of which the store has none: every snapshot
// sees them from now on, those that were begun before too. Only the writer calls
// Adopt, with the base of the store's compacted transaction and with no private
// write above it; a map that is there already is a broken invariant and panics.
func (s *Store) Adopt(b *Base) {
	for name, t := range b.tables {
		if s.table(name) != nil {
			panic("kv: adopt a map that is there already")
		}
		s.tables.Store(name, t)
	}
}

// Public is the write set without its private maps.
func (ws *WriteSet) Public() *WriteSet {
	if !ws.HasPrivate() {
		return ws
	}
	return &WriteSet{Maps: slices.DeleteFunc(slices.Clone(ws.Maps), func(m MapWrites) bool { return !isPublic(m.Name) })}
}
