package kv

import (
	"bytes"
	"hash/maphash"
	"sort"
	"sync"
)

// A table is one map of the store: cells found by hash and kept in order. The
// writer changes it under mu; readers hold mu for one look-up or one batch of
// a walk. The writer itself reads without the lock, since nobody else writes.
type table struct {
	name string
	seed maphash.Seed

	mu    sync.RWMutex
	index map[uint32]uint32 // hash of a key → first cell of that hash
	cells slab[cell]
	past  slab[version]
	order order
	hist  fifo[tableVersion] // rising stamps; never empty after the first write

	mark uint32 // the compaction that trimmed hist last; the writer's
}

// A tableVersion is what a whole table was from one stamp on.
type tableVersion struct {
	stamp uint64
	seqno uint64 // newest transaction that wrote to the table
	count int    // keys present
	held  bool   // a pin that sees it remembers the table
}

// lock takes mu for writing. Readers hold it for well under a microsecond, so
// asking again costs less than going to sleep and stopping new readers.
func (t *table) lock() {
	for range 32 {
		if t.mu.TryLock() {
			return
		}
	}
	t.mu.Lock()
}

// rlock takes mu for reading; see lock.
func (t *table) rlock() {
	for range 32 {
		if t.mu.TryRLock() {
			return
		}
	}
	t.mu.RLock()
}

func newTable(name string) *table {
	return &table{name: name, seed: maphash.MakeSeed(), index: map[uint32]uint32{}}
}

func (t *table) hash(key []byte) uint32 { return uint32(maphash.Bytes(t.seed, key)) }

// find returns the key's cell, or 0.
func (t *table) find(key []byte) uint32 {
	id := t.index[t.hash(key)]
	for id != 0 {
		c := t.cells.at(id)
		if c.is(key) {
			return id
		}
		id = c.next
	}
	return 0
}

// at returns the version that a snapshot sees, or nil if the key was not
// there at all. The result is valid while mu is held.
func (t *table) at(c *cell, stamp uint64) *version {
	v := &c.version
	for v.stamp > stamp {
		if v.older == 0 {
			return nil
		}
		v = t.past.at(v.older)
	}
	return v
}

// get returns what a snapshot sees of a key; cell is 0 if the key is absent.
func (t *table) get(stamp uint64, key []byte) (id uint32, value []byte, seqno uint64) {
	h := t.hash(key)
	t.rlock()
	id = t.index[h]
	for id != 0 {
		c := t.cells.at(id)
		if !c.is(key) {
			id = c.next
			continue
		}
		if v := t.at(c, stamp); v == nil || v.tomb {
			id = 0
		} else {
			value, seqno = v.value(), v.seqno
		}
		break
	}
	t.mu.RUnlock()
	return id, value, seqno
}

// state returns what the whole table is in a snapshot.
func (t *table) state(stamp uint64) tableVersion {
	t.rlock()
	defer t.mu.RUnlock()
	return t.stateLocked(stamp)
}

func (t *table) stateLocked(stamp uint64) tableVersion {
	i := sort.Search(t.hist.len(), func(i int) bool { return t.hist.at(i).stamp > stamp })
	if i == 0 {
		return tableVersion{}
	}
	return *t.hist.at(i - 1)
}

// lastStamp is the stamp of the newest write; for the writer.
func (t *table) lastStamp() uint64 {
	if t.hist.len() == 0 {
		return 0
	}
	return t.hist.at(t.hist.len() - 1).stamp
}

// push puts a new version on a key and returns its cell. The caller holds mu.
// An earlier version of the same stamp is replaced.
func (t *table) push(key, value []byte, tomb bool, stamp, seqno uint64, count *int) uint32 {
	v := newVersion(key, value, tomb, stamp, seqno)
	h := t.hash(key)
	first := t.index[h]
	for id := first; id != 0; id = t.cells.at(id).next {
		if c := t.cells.at(id); c.is(key) {
			t.replace(c, v, count)
			return id
		}
	}
	id := t.add(h, first, v)
	t.order.insert(&t.cells, id)
	if !tomb {
		*count++
	}
	return id
}

// add makes a cell of a key that has none, before the first one of its hash.
// The order is still to learn of it. The caller holds mu.
func (t *table) add(h, first uint32, v version) uint32 {
	id := t.cells.alloc()
	c := t.cells.at(id)
	c.version, c.next = v, first
	t.index[h] = id
	return id
}

func (t *table) replace(c *cell, v version, count *int) {
	switch {
	case c.tomb && !v.tomb:
		*count++
	case !c.tomb && v.tomb:
		*count--
	}
	if c.stamp == v.stamp {
		v.older = c.older
	} else {
		v.older = t.past.alloc()
		*t.past.at(v.older) = c.version
	}
	c.version = v
}

// drop forgets a cell. The caller holds mu.
func (t *table) drop(id uint32) {
	c := t.cells.at(id)
	key := c.key()
	t.order.remove(&t.cells, key)
	h := t.hash(key)
	if first := t.index[h]; first != id {
		prev := t.cells.at(first)
		for prev.next != id {
			prev = t.cells.at(prev.next)
		}
		prev.next = c.next
	} else if c.next != 0 {
		t.index[h] = c.next
	} else {
		delete(t.index, h)
	}
	t.cells.release(id)
}

// A row is one key as a snapshot sees it.
type row struct {
	data  []byte
	klen  uint32
	seqno uint64
}

func (r *row) key() []byte   { return r.data[:r.klen:r.klen] }
func (r *row) value() []byte { return r.data[r.klen:len(r.data):len(r.data)] }

// batch appends to rows up to limit keys that a snapshot sees with
// from <= key < to (nil bounds are open) and returns where to go on, nil at
// the end. It looks at a bounded number of cells, so rows may stay empty.
func (t *table) batch(rows []row, stamp uint64, from, to []byte, limit int) ([]row, []byte) {
	var resume []byte
	looked := 0
	t.rlock()
	t.order.scan(&t.cells, from, func(id uint32) bool {
		c := t.cells.at(id)
		if to != nil && bytes.Compare(c.key(), to) >= 0 {
			return false
		}
		if looked == limit {
			resume = c.key()
			return false
		}
		looked++
		if v := t.at(c, stamp); v != nil && !v.tomb {
			rows = append(rows, row{v.data, v.klen, v.seqno})
		}
		return true
	})
	t.mu.RUnlock()
	return rows, resume
}
