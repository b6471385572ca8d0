package kv

import (
	"maps"
	"slices"

	"synod"
)

// EachMap visits, in ascending order of names, the maps that were written at
// or before the snapshot, also those that are empty by now, with the
// transaction that wrote to each last and the number of keys. Own writes do
// not count and nothing is recorded as read: it is for writing snapshots.
func (tx *Tx) EachMap(visit func(name string, version synod.SeqNo, keys int) bool) {
	all := *tx.store.tables.Load()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		st := all[name].state(tx.place.stamp)
		if st.seqno != 0 && !visit(name, synod.SeqNo(st.seqno), st.count) {
			return
		}
	}
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
