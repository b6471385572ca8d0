package snapshot

import (
	"slices"

	"github.com/dchest/siphash"

	"synod"
	"synod/internal/kv"
)

// The key of the hash that orders a map's entries
// (CCF: src/ds/siphash.h, src/ds/champ_map.h).
const (
	hashKey0 = 0x7720796f726c694b
	hashKey1 = 0x2165726568207361
)

// hashes is how many hash values there are.
const hashes = 1 << 32

// orderOf is what a map's entries rise by.
func orderOf(key []byte) uint32 { return uint32(siphash.Hash(hashKey0, hashKey1, key)) }

// rowsMax is how many keys of a map are put in order at once, at 64 bytes
// each: a map with more is walked once for each part. Keys that were chosen to
// have hashes close together make for more walks, not for larger parts.
const rowsMax = 1 << 19

// A row is one entry; its slices are the store's.
type row struct {
	key, value []byte
	version    synod.SeqNo
}

// A part is the rows of a map whose hashes are in from..to-1, in order.
type part struct {
	from, to uint64
	rows     []row
	places   []uint64 // hash, then place in rows: rising
}

// load fills the part with the hashes from p.from up to p.to, which it lowers
// when there are too many rows.
func (p *part) load(tx *kv.Tx, mapName string, most int) {
	p.rows, p.places = p.rows[:0], p.places[:0]
	tx.EachKey(mapName, func(key, value []byte, version synod.SeqNo) bool {
		h := uint64(orderOf(key))
		if h < p.from || h >= p.to {
			return true
		}
		p.places = append(p.places, h<<32|uint64(len(p.rows)))
		p.rows = append(p.rows, row{key, value, version})
		if len(p.rows) > most && p.to-p.from > 1 {
			p.halve()
		}
		return true
	})
	slices.Sort(p.places)
}

// halve drops the rows in the upper half of the part's hashes.
func (p *part) halve() {
	p.to = p.from + (p.to-p.from)/2
	n := 0
	for i, place := range p.places {
		if place>>32 < p.to {
			p.rows[n] = p.rows[i]
			p.places[n] = place>>32<<32 | uint64(n)
			n++
		}
	}
	clear(p.rows[n:])
	p.rows, p.places = p.rows[:n], p.places[:n]
}
