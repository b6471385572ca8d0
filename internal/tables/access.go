package tables

import "strings"

// Category says whom a map's name reserves it for
// (CCF: src/kv/kv_types.h, parse_map_name).
type Category uint8

// The categories.
const (
	Application Category = iota // anything else
	Governance                  // ccf.gov.: written by governance
	Internal                    // ccf.internal. and, if public, synod.: written by the node alone
	Reserved                    // any other ccf. name: nobody may use it
)

// String returns the category's name in lower case.
func (c Category) String() string {
	switch c {
	case Governance:
		return "governance"
	case Internal:
		return "internal"
	case Reserved:
		return "reserved"
	default:
		return "application"
	}
}

// Kind is what a map's name says about it.
type Kind struct {
	Public   bool // plain text in the ledger
	Category Category
}

// Access classifies a map by its name. Prefixes are case-sensitive. Public
// names of Synod's own count as internal: scripts may read and never write
// them.
func Access(name string) Kind {
	rest, public := strings.CutPrefix(name, PublicPrefix)
	k := Kind{Public: public}
	switch {
	case strings.HasPrefix(rest, "ccf.internal."):
		k.Category = Internal
	case strings.HasPrefix(rest, "ccf.gov."):
		k.Category = Governance
	case strings.HasPrefix(rest, reservedCategory):
		k.Category = Reserved
	case public && strings.HasPrefix(rest, "synod."):
		k.Category = Internal
	}
	return k
}
