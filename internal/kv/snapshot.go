package kv

import (
	"slices"
	"strings"

	"synod"
)

// EachMap visits, in ascending order of names, the maps that were written at
// or before the snapshot, also those that are empty by now, with the
// transaction that wrote to each last and the number of keys. Own writes do
// not count and nothing is recorded as read: it is for writing snapshots.
func (tx *Tx) EachMap(visit func(name string, version synod.SeqNo, keys int) bool) {
	for _, t := range tx.store.sortedTables() {
		st := t.state(tx.place.stamp)
		if st.seqno != 0 && !visit(t.name, synod.SeqNo(st.seqno), st.count) {
			return
		}
	}
}

// sortedTables returns the tables in ascending order of names.
func (s *Store) sortedTables() []*table {
	var all []*table
	s.tables.Range(func(_, t any) bool {
		all = append(all, t.(*table))
		return true
	})
	slices.SortFunc(all, func(a, b *table) int { return strings.Compare(a.name, b.name) })
	return all
}

// EachKey visits the keys of a map in ascending order with the transaction
// that wrote each. Own writes do not count and nothing is recorded as read: it
// is for writing snapshots.
func (tx *Tx) EachKey(mapName string, visit func(key, value []byte, version synod.SeqNo) bool) {
	t := tx.store.table(mapName)
	if t == nil {
		return
	}
	var rows []row
	var from []byte
	for {
		rows, from = t.batch(rows[:0], tx.place.stamp, from, nil, lastBatch)
		for i := range rows {
			r := &rows[i]
			if !visit(r.key(), r.value(), synod.SeqNo(r.seqno)) {
				return
			}
		}
		if from == nil {
			return
		}
	}
}
