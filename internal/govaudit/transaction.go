package govaudit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"unicode/utf8"

	"synod"
	"synod/internal/kv"
	"synod/internal/tables"
)

// transaction is one entry that wrote to tables of governance, with the state
// before it.
type transaction struct {
	*replay
	id      synod.TxID
	maps    []kv.MapWrites
	private bool // it wrote to private tables
	roots   roots
	before  *kv.Tx
}

// row is one key of a table.
type row struct{ table, key string }

// rows are values after a transaction; nil for a row that it removed.
type rows map[row][]byte

func rowsOf(maps []kv.MapWrites) rows {
	all := rows{}
	for _, m := range maps {
		for _, k := range m.Removes {
			all[row{m.Name, string(k)}] = nil
		}
		for _, w := range m.Writes {
			all[row{m.Name, string(w.Key)}] = w.Value
		}
	}
	return all
}

// writes are the writes to one table, nil if it was not written.
func (t *transaction) writes(table string) *kv.MapWrites {
	for i := range t.maps {
		if t.maps[i].Name == table {
			return &t.maps[i]
		}
	}
	return nil
}

// unitValue is the value written to a table that holds one.
func (t *transaction) unitValue(table string) ([]byte, bool) {
	m := t.writes(table)
	if m == nil || len(m.Writes) != 1 || len(m.Removes) != 0 || !bytes.Equal(m.Writes[0].Key, tables.UnitKey()) {
		return nil, false
	}
	return m.Writes[0].Value, true
}

// tableNames are the tables that the transaction wrote, but for those that
// every request of a member writes.
func (t *transaction) tableNames() []string {
	var names []string
	for _, m := range t.maps {
		switch m.Name {
		case tables.COSEHistory, tables.COSERecentProposals, tables.Proposals, tables.ProposalsInfo:
		default:
			names = append(names, m.Name)
		}
	}
	return names
}

func (t *transaction) found(k Kind, table, key, format string, args ...any) {
	t.report.Findings = append(t.report.Findings, Finding{
		TxID: t.id, Kind: k, Table: table, Key: shownKey(key), Text: fmt.Sprintf(format, args...),
	})
}

func (t *transaction) violation(format string, args ...any) {
	t.found(Violation, "", "", format, args...)
}

func (t *transaction) event(e Event) {
	e.TxID = t.id
	t.report.Events = append(t.report.Events, e)
}

// shownKey is a key as text; the key of a table with one value is none.
func shownKey(key string) string {
	switch {
	case key == string(tables.UnitKey()):
		return ""
	case !utf8.ValidString(key):
		return fmt.Sprintf("hex:%x", key)
	}
	return key
}

// difference is a row that is not what a run gives.
type difference struct {
	row
	text string
}

// compare says where the transaction's writes differ from what a run wrote.
// A write that changes nothing counts on neither side.
func (t *transaction) compare(want *kv.WriteSet) []difference {
	wanted, got := rowsOf(want.Maps), rowsOf(t.maps)
	var all []difference
	for r, v := range wanted {
		g, written := got[r]
		switch {
		case written && t.sameRow(r.table, v, g):
		case written:
			all = append(all, difference{r, "is not what the replay gives"})
		case !t.judged(r.table), t.unchanged(r, v):
		default:
			all = append(all, difference{r, "is missing"})
		}
	}
	for r, v := range got {
		if _, expected := wanted[r]; !expected && !t.unchanged(r, v) {
			all = append(all, difference{r, "was changed by nobody: it does not follow from what was signed"})
		}
	}
	slices.SortFunc(all, func(a, b difference) int {
		return bytes.Compare([]byte(a.table+"\x00"+a.key), []byte(b.table+"\x00"+b.key))
	})
	return all
}

// judged says whether a row of a table must be there if a run wrote it. The
// state of application tables is not kept, so what is removed from them may
// not have been there. A service before 4.0 keeps no recent proposals, one
// before 6.0 has its JWT keys elsewhere.
func (t *transaction) judged(table string) bool {
	switch table {
	case tables.COSERecentProposals:
		return t.window
	case tables.JWTSigningKeys:
		return t.before.Len(tables.JWTSigningCerts) == 0 && t.before.Len(legacySigningKeys) == 0
	}
	return tables.Access(table).Category != tables.Application
}

// unchanged says that a value is what the row holds already.
func (t *transaction) unchanged(r row, v []byte) bool {
	if tables.Access(r.table).Category == tables.Application {
		return false
	}
	old, ok := t.before.Get(r.table, []byte(r.key))
	if v == nil || !ok {
		return v == nil && !ok
	}
	return bytes.Equal(old, v)
}

// sameRow compares values as their table has them: JSON by what it says,
// anything else by its bytes. nil is a row that was removed.
func (t *transaction) sameRow(table string, want, got []byte) bool {
	if want == nil || got == nil {
		return want == nil && got == nil
	}
	if bytes.Equal(want, got) {
		return true
	}
	switch table {
	case tables.ModulesBytecode, tables.ModulesVersion:
		return len(got) > 0 // each engine's own
	case tables.Proposals, tables.Modules, tables.MemberCerts, tables.UserCerts, tables.MemberEncryptionKeys,
		tables.NodeEndorsedCertificates, tables.JWTSigningKeyV1, tables.JWTSigningKeyIssuer:
		return false
	case tables.ProposalsInfo:
		return t.sameProposal(want, got)
	}
	return sameJSON(want, got)
}

// sameJSON compares JSON texts by what they say: the nodes and the
// constitution order their keys differently.
func sameJSON(a, b []byte) bool {
	decode := func(b []byte) (v any, err error) {
		dec := json.NewDecoder(bytes.NewReader(b))
		dec.UseNumber()
		err = dec.Decode(&v)
		return v, err
	}
	va, errA := decode(a)
	vb, errB := decode(b)
	return errA == nil && errB == nil && json.Valid(a) && json.Valid(b) && reflect.DeepEqual(va, vb)
}

// sameProposal compares records of proposals. The words of a failure are each
// engine's own. Some services before 6.0 do not record the final votes.
func (t *transaction) sameProposal(want, got []byte) bool {
	var w, g tables.ProposalInfo
	if json.Unmarshal(want, &w) != nil || json.Unmarshal(got, &g) != nil {
		return false
	}
	if w.ProposerID != g.ProposerID || w.State != g.State || !maps.Equal(w.Ballots, g.Ballots) || (w.Failure == nil) != (g.Failure == nil) {
		return false
	}
	if !t.counted && g.FinalVotes == nil && g.VoteFailures == nil {
		return true
	}
	return maps.Equal(w.FinalVotes, g.FinalVotes) && (w.FinalVotes == nil) == (g.FinalVotes == nil) &&
		slices.Equal(slices.Sorted(maps.Keys(w.VoteFailures)), slices.Sorted(maps.Keys(g.VoteFailures)))
}
