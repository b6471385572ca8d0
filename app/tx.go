package app

import "synod"

// Tx is one transaction's view of the key-value store: a snapshot plus its
// own writes. Map names that start with "public:" are plain in the ledger,
// all others are encrypted there. Keys and values are opaque bytes; callers
// must not change slices that they passed in or were handed.
//
// A Tx belongs to one goroutine.
type Tx interface {
	// Get returns the value and whether the key is present.
	Get(mapName string, key []byte) ([]byte, bool)
	// Has says whether the key is present.
	Has(mapName string, key []byte) bool
	// Put sets the value.
	Put(mapName string, key, value []byte)
	// Delete removes the key; it counts as a write even if the key is absent.
	Delete(mapName string, key []byte)
	// Clear deletes every key that the transaction can see in the map.
	Clear(mapName string)
	// ForEach visits the map in ascending byte order of keys, the
	// transaction's own writes included, until visit returns false. Writes
	// made during the visit are not seen by it.
	ForEach(mapName string, visit func(key, value []byte) bool)
	// Range is ForEach over from <= key < to; a nil bound is open.
	Range(mapName string, from, to []byte, visit func(key, value []byte) bool)
	// Len returns the number of keys, the transaction's own writes included.
	Len(mapName string) int
	// VersionOfPreviousWrite returns the sequence number that wrote the key
	// last, as of the snapshot; own writes do not count.
	VersionOfPreviousWrite(mapName string, key []byte) (synod.SeqNo, bool)
	// ReadVersion is the transaction that the snapshot shows the state after.
	ReadVersion() synod.TxID
}
