package kv

import (
	"slices"
	"sync/atomic"

	"synod"
)

// Flag asks for something beside the writes when the transaction is ordered.
type Flag uint8

// The flags (CCF: src/kv/committable_tx.h).
const (
	FlagForceChunk  Flag = 1 << iota // a ledger chunk ends at the next signature
	FlagSnapshot                     // a snapshot is taken at the next signature
	FlagChunkBefore                  // a ledger chunk ends before this transaction
)

// Tx is one transaction: a snapshot, what was read from it, and writes that
// nobody else sees yet. It belongs to one goroutine, except Release. Slices
// passed in and handed out must not be changed.
type Tx struct {
	store    *Store
	place    place
	pin      *pin
	released atomic.Bool

	flags Flag
	read  bool // something was read
	wrote bool

	maps  []txMap
	maps1 [2]txMap // room for the first ones

	reads  []keyRead
	reads1 [2]keyRead // room for the first ones
	ranges []rangeRead
}

// A txMap is one map as the transaction uses it.
type txMap struct {
	name  string
	table *table // nil if the store had no such map when it was first used
	own   overlay
	whole bool // the whole map was read
}

// use returns the transaction's record of a map. The pointer is good until
// the next use.
func (tx *Tx) use(name string) *txMap {
	for i := range tx.maps {
		if tx.maps[i].name == name {
			return &tx.maps[i]
		}
	}
	if tx.maps == nil {
		tx.maps = tx.maps1[:0]
	}
	tx.maps = append(tx.maps, txMap{name: name, table: tx.store.table(name)})
	return &tx.maps[len(tx.maps)-1]
}

// ReadVersion is the transaction that the snapshot shows the state after.
func (tx *Tx) ReadVersion() synod.TxID { return tx.place.id }

// Touched says whether any map was read or written.
func (tx *Tx) Touched() bool { return tx.read || tx.wrote }

// Written says whether there is anything to commit.
func (tx *Tx) Written() bool { return tx.wrote }

// SetFlag adds flags.
func (tx *Tx) SetFlag(f Flag) { tx.flags |= f }

// Flags returns the flags that were set.
func (tx *Tx) Flags() Flag { return tx.flags }

// Get returns the value and whether the key is present.
func (tx *Tx) Get(mapName string, key []byte) ([]byte, bool) {
	tx.read = true
	m := tx.use(mapName)
	if o := m.own.find(key); o != nil {
		return o.value, !o.remove
	}
	value, _, cell := tx.seen(m, key)
	return value, cell != 0
}

// Has says whether the key is present.
func (tx *Tx) Has(mapName string, key []byte) bool {
	_, ok := tx.Get(mapName, key)
	return ok
}

// seen reads the snapshot and records the read.
func (tx *Tx) seen(m *txMap, key []byte) (value []byte, seqno uint64, cell uint32) {
	if m.table != nil {
		cell, value, seqno = m.table.get(tx.place.stamp, key)
	}
	if !m.whole {
		tx.recordKey(m, cell, key)
	}
	return value, seqno, cell
}

// VersionOfPreviousWrite returns the sequence number that wrote the key last,
// as of the snapshot; own writes do not count.
func (tx *Tx) VersionOfPreviousWrite(mapName string, key []byte) (synod.SeqNo, bool) {
	tx.read = true
	_, seqno, cell := tx.seen(tx.use(mapName), key)
	return synod.SeqNo(seqno), cell != 0
}

// Put sets the value.
func (tx *Tx) Put(mapName string, key, value []byte) {
	tx.wrote = true
	if value == nil {
		value = []byte{}
	}
	tx.use(mapName).own.set(own{key: key, value: value})
}

// Delete removes the key; it counts as a write even if the key is absent.
func (tx *Tx) Delete(mapName string, key []byte) {
	tx.wrote = true
	tx.use(mapName).own.set(own{key: key, remove: true})
}

// Clear deletes every key that the transaction can see in the map. It counts
// as reading the whole map.
func (tx *Tx) Clear(mapName string) {
	tx.ForEach(mapName, func(key, _ []byte) bool {
		tx.Delete(mapName, key)
		return true
	})
}

// ForEach visits the map in ascending byte order of keys, own writes included,
// until visit returns false. Writes made during the visit are not seen by it.
// A visit to the end counts as reading the whole map, one that stops as
// reading up to where it stopped.
func (tx *Tx) ForEach(mapName string, visit func(key, value []byte) bool) {
	tx.Range(mapName, nil, nil, visit)
}

// Range is ForEach over from <= key < to; a nil bound is open.
func (tx *Tx) Range(mapName string, from, to []byte, visit func(key, value []byte) bool) {
	tx.read = true
	m := tx.use(mapName)
	w := walk{table: m.table, stamp: tx.place.stamp, from: from, to: to, own: m.own.within(from, to)}
	for {
		key, value, ok := w.next()
		if !ok {
			tx.recordRange(mapName, from, to)
			return
		}
		if !visit(key, value) {
			tx.recordRange(mapName, from, append(slices.Clip(key), 0))
			return
		}
	}
}

// Len returns the number of keys, own writes included. It counts as reading
// the whole map.
func (tx *Tx) Len(mapName string) int {
	tx.read = true
	m := tx.use(mapName)
	n := 0
	if m.table != nil {
		n = m.table.state(tx.place.stamp).count
	}
	for i := range m.own.items {
		o := &m.own.items[i]
		present := false
		if m.table != nil {
			cell, _, _ := m.table.get(tx.place.stamp, o.key)
			present = cell != 0
		}
		switch {
		case present && o.remove:
			n--
		case !present && !o.remove:
			n++
		}
	}
	tx.recordRange(mapName, nil, nil)
	return n
}

// WriteSet returns what was written, maps and keys in ascending order, or nil
// if nothing was. It shares memory with the transaction, which must not write
// any more.
func (tx *Tx) WriteSet() *WriteSet {
	if !tx.wrote {
		return nil
	}
	ws := &WriteSet{Maps: make([]MapWrites, 0, len(tx.maps))}
	for i := range tx.maps {
		m := &tx.maps[i]
		if len(m.own.items) > 0 {
			ws.Maps = append(ws.Maps, m.own.writes(m.name))
		}
	}
	if len(ws.Maps) > 1 {
		slices.SortFunc(ws.Maps, func(a, b MapWrites) int {
			if a.Name < b.Name {
				return -1
			}
			return 1 // names differ
		})
	}
	return ws
}
