package kv

import "bytes"

// A keyRead is one key that a transaction read: the cell if it was present
// (which stays as long as the snapshot is pinned), otherwise the key.
type keyRead struct {
	table *table
	name  string // if table is nil
	cell  uint32
	key   []byte
}

// A rangeRead is a part of a map that a transaction read; nil bounds are open.
type rangeRead struct {
	table    *table
	name     string
	from, to []byte
}

// manyReads is the number of reads after which repeats are no longer looked
// for.
const manyReads = 8

func (tx *Tx) recordKey(m *txMap, cell uint32, key []byte) {
	if len(tx.reads) < manyReads {
		for i := range tx.reads {
			if r := &tx.reads[i]; r.table == m.table && r.cell == cell && (cell != 0 || r.name == m.name && bytes.Equal(r.key, key)) {
				return
			}
		}
	}
	if tx.reads == nil {
		tx.reads = tx.reads1[:0]
	}
	r := keyRead{table: m.table, name: m.name, cell: cell}
	if cell == 0 {
		r.key = key
	}
	tx.reads = append(tx.reads, r)
}

func (tx *Tx) recordRange(mapName string, from, to []byte) {
	m := tx.use(mapName)
	if m.whole {
		return
	}
	m.whole = from == nil && to == nil
	tx.ranges = append(tx.ranges, rangeRead{table: m.table, name: m.name, from: from, to: to})
}

// Check returns ErrConflict if anything that the transaction read has changed
// since its snapshot, and nil otherwise. A transaction that was released
// before is refused as well if it read anything. Only the writer calls Check.
func (s *Store) Check(tx *Tx) error {
	if len(tx.reads) == 0 && len(tx.ranges) == 0 {
		return nil
	}
	if tx.released.Load() {
		return ErrConflict
	}
	stamp := tx.place.stamp
	if stamp == s.tip.stamp {
		return nil
	}
	for i := range tx.reads {
		if s.keyChanged(&tx.reads[i], stamp) {
			return ErrConflict
		}
	}
	for i := range tx.ranges {
		if s.rangeChanged(&tx.ranges[i], stamp) {
			return ErrConflict
		}
	}
	return nil
}

func (s *Store) keyChanged(r *keyRead, stamp uint64) bool {
	t := r.table
	if t == nil {
		if t = s.table(r.name); t == nil {
			return false
		}
	}
	id := r.cell
	if id == 0 {
		if id = t.find(r.key); id == 0 {
			return false
		}
	}
	return t.cells.at(id).stamp > stamp
}

// walkedWrites is how many recent writes are compared with a range before
// looking at the range itself.
const walkedWrites = 1024

func (s *Store) rangeChanged(r *rangeRead, stamp uint64) bool {
	t := r.table
	if t == nil {
		if t = s.table(r.name); t == nil {
			return false
		}
	}
	if t.lastStamp() <= stamp {
		return false
	}
	if r.from == nil && r.to == nil {
		return true
	}
	if n, ok := s.writesSince(stamp); ok && n <= walkedWrites {
		for i := s.writes.len() - n; i < s.writes.len(); i++ {
			if w := s.writes.at(i); w.table == t && r.has(t.cells.at(w.cell).key()) {
				return true
			}
		}
		return false
	}
	changed := false
	t.order.scan(&t.cells, r.from, func(id uint32) bool {
		c := t.cells.at(id)
		if r.to != nil && bytes.Compare(c.key(), r.to) >= 0 {
			return false
		}
		changed = c.stamp > stamp
		return !changed
	})
	return changed
}

func (r *rangeRead) has(key []byte) bool {
	return (r.from == nil || bytes.Compare(key, r.from) >= 0) && (r.to == nil || bytes.Compare(key, r.to) < 0)
}

// writesSince counts the writes after a stamp, if all of them are still in the
// queue.
func (s *Store) writesSince(stamp uint64) (n int, ok bool) {
	if stamp < s.floor.stamp {
		return 0, false
	}
	for i := s.commits.len() - 1; i >= 0 && s.commits.at(i).stamp > stamp && n <= walkedWrites; i-- {
		n += s.commits.at(i).writes
	}
	return n, true
}
