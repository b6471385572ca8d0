package kv

import "strings"

// WriteSet is what one transaction writes, by map. Names are in ascending
// byte order, and keys within Writes and within Removes, when it comes from a
// Tx.
type WriteSet struct{ Maps []MapWrites }

// MapWrites is what one transaction writes to one map. The slices must not be
// changed.
type MapWrites struct {
	Name    string
	Writes  []Write
	Removes [][]byte
}

// Write sets one key.
type Write struct{ Key, Value []byte }

// publicPrefix makes a map plain text in the ledger
// (CCF: src/kv/kv_types.h).
const publicPrefix = "public:"

func isPublic(name string) bool { return strings.HasPrefix(name, publicPrefix) }

// HasPrivate says whether a map is written that the ledger encrypts.
func (ws *WriteSet) HasPrivate() bool {
	for i := range ws.Maps {
		if m := &ws.Maps[i]; !isPublic(m.Name) && len(m.Writes)+len(m.Removes) > 0 {
			return true
		}
	}
	return false
}

// EncodedSize is the number of bytes of the map blocks of both domains.
func (ws *WriteSet) EncodedSize() int {
	n := 0
	for i := range ws.Maps {
		n += ws.Maps[i].encodedSize()
	}
	return n
}

func (m *MapWrites) encodedSize() int {
	if len(m.Writes)+len(m.Removes) == 0 {
		return 0
	}
	n := 8 + len(m.Name) + 4*8
	for i := range m.Writes {
		n += 16 + len(m.Writes[i].Key) + len(m.Writes[i].Value)
	}
	for _, k := range m.Removes {
		n += 8 + len(k)
	}
	return n
}
