package audit

import (
	"fmt"

	"synod"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/merkle"
	"synod/internal/tables"
)

// Decoded is an entry with all of what its verification needs that does not
// depend on the entries before it, which is most of the work.
type Decoded struct {
	Maps []kv.MapWrites // what it writes to public maps; points into the entry

	entry *ledger.Entry
	leaf  merkle.Hash
	tree  serialisedTree
	fault error // the public domain cannot be decoded
}

// serialisedTree is what the tree beside a signature says.
type serialisedTree struct {
	last  synod.SeqNo
	root  merkle.Hash
	fault error
}

// Decode decodes an entry. It may run on any goroutine.
func Decode(e *ledger.Entry) *Decoded {
	d := &Decoded{entry: e, leaf: e.Leaf()}
	var err error
	if d.Maps, err = kv.DecodeDomain(e.PublicMaps, true); err != nil {
		d.fault = fmt.Errorf("public domain: %w", err)
		return d
	}
	for _, m := range d.Maps {
		if m.Name != tables.Tree || len(m.Writes) != 1 {
			continue
		}
		tree, err := merkle.Deserialise(m.Writes[0].Value)
		if err != nil {
			d.tree.fault = fmt.Errorf("serialised tree: %w", err)
			break
		}
		d.tree.last, d.tree.root = synod.SeqNo(tree.MaxIndex()), tree.Root()
	}
	return d
}

// TxID is the entry's.
func (d *Decoded) TxID() synod.TxID { return d.entry.TxID }
