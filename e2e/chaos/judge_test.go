//go:build e2e

package chaos

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"synod"
	"synod/internal/kv"
	"synod/internal/ledger"
)

// known is a service of ten entries in view 2 and ten in view 3. The key k has
// the value a from 2.3 on, and b from 3.12 on.
func known() *truth {
	t := &truth{
		keys:   map[string][]version{"k": {{3, "a"}, {12, "b"}}},
		values: map[string]synod.TxID{"a": {View: 2, SeqNo: 3}, "b": {View: 3, SeqNo: 12}},
	}
	for i := range 20 {
		t.entries = append(t.entries, entry{view: synod.View(2 + i/10)})
	}
	return t
}

func id(view, seqno uint64) synod.TxID {
	return synod.TxID{View: synod.View(view), SeqNo: synod.SeqNo(seqno)}
}

// TestLiesAreFound gives the checks what no service may tell its clients, and
// what it may.
func TestLiesAreFound(t *testing.T) {
	committed := func(value string, at synod.TxID, call, answer time.Duration) *operation {
		return &operation{Kind: kindCommitted, Key: "k", Value: value, Code: 204, TxID: at, Status: "Committed", Call: call, Answer: answer}
	}
	read := func(kind kind, value string, at synod.TxID, call time.Duration) *operation {
		return &operation{Kind: kind, Key: "k", Value: value, Code: 200, TxID: at, Call: call, Answer: call + 1}
	}
	other := func(o *operation) *operation { o.Session = 1; return o }
	a, b := committed("a", id(2, 3), 1, 2), committed("b", id(3, 12), 3, 4)
	for name, c := range map[string]struct {
		history []*operation
		finds   string
	}{
		"the truth":                              {[]*operation{a, b, read(kindLinearizable, "b", id(3, 12), 5), other(read(kindRead, "a", id(2, 9), 6))}, ""},
		"a read of what was undone":              {[]*operation{read(kindRead, "x", id(2, 13), 5)}, ""},
		"a write lost before commit":             {[]*operation{{Kind: kindPlain, Key: "k", Value: "c", Code: 204, TxID: id(2, 11)}}, ""},
		"a committed write lost":                 {[]*operation{committed("c", id(2, 11), 1, 2)}, "a committed write is lost"},
		"a write elsewhere":                      {[]*operation{{Kind: kindPlain, Key: "k", Value: "a", Code: 204, TxID: id(2, 4)}}, "not where it was said"},
		"a write without an ID":                  {[]*operation{{Kind: kindPlain, Key: "k", Value: "a", Code: 204}}, "without a transaction ID"},
		"invalid and committed":                  {[]*operation{{Kind: kindCommitted, Value: "a", Code: 503, TxID: id(2, 3), Status: "Invalid"}}, "said to be invalid was committed"},
		"not done and committed":                 {[]*operation{{Kind: kindPlain, Value: "a", Code: 503, Again: true}}, "nothing was done was committed"},
		"an ID twice":                            {[]*operation{a, {Kind: kindPlain, Value: "c", Code: 204, TxID: id(2, 3)}}, "was given to the writes"},
		"a status that is too good":              {[]*operation{{Kind: kindStatus, Code: 200, TxID: id(2, 12), Status: "Committed"}}, "was said to be Committed"},
		"a status that is too bad":               {[]*operation{{Kind: kindStatus, Code: 200, TxID: id(2, 3), Status: "Invalid"}}, "was said to be Invalid"},
		"a read of another state":                {[]*operation{read(kindRead, "b", id(2, 9), 5)}, "does not show the state"},
		"a linearizable read of what was undone": {[]*operation{read(kindLinearizable, "a", id(2, 13), 5)}, "shows what was not committed"},
		"a stale linearizable read":              {[]*operation{b, read(kindLinearizable, "a", id(2, 10), 5)}, "is stale"},
		"linearizable reads that go back":        {[]*operation{read(kindLinearizable, "b", id(3, 12), 5), read(kindLinearizable, "a", id(2, 9), 7)}, "are not linearizable"},
		"a session that goes back":               {[]*operation{read(kindRead, "a", id(2, 9), 5), read(kindRead, "a", id(2, 8), 7)}, "a session was shown 9 before"},
		"a session that lost its write":          {[]*operation{{Kind: kindPlain, Key: "x", Value: "c", Code: 204, TxID: id(2, 11)}, read(kindRead, "b", id(3, 12), 7)}, "a session goes on"},
		"a session that does not see its write": {[]*operation{
			{Kind: kindPlain, Key: "s0", Value: "c", Code: 204, TxID: id(2, 11)}, {Kind: kindRead, Key: "s0", Code: 200, TxID: id(2, 13)},
		}, "does not see what it wrote"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &run{t: t, workload: &workload{history: c.history}}
			truth, counts := known(), map[string]int{}
			err := errors.Join(slices.Concat(
				r.checkWrites(truth, counts), r.checkReads(truth, counts), r.checkSessions(truth, counts), r.checkRegisters(truth, counts))...)
			if c.finds == "" && err != nil || c.finds != "" && (err == nil || !strings.Contains(err.Error(), c.finds)) {
				t.Errorf("found %v, want %q", err, c.finds)
			}
		})
	}
}

// TestForksAreFound writes ledgers that no service may have.
func TestForksAreFound(t *testing.T) {
	// What the entries of a node's ledger write, from some seqno on.
	type book struct {
		from   synod.SeqNo
		values []string
		view   uint64
		ended  bool // the node was killed before the end
	}
	for name, c := range map[string]struct {
		books []book
		finds string
	}{
		"equal ledgers":              {[]book{{1, []string{"a", "b"}, 2, false}, {1, []string{"a", "b"}, 2, false}}, ""},
		"one that begins later":      {[]book{{1, []string{"a", "b"}, 2, false}, {2, []string{"b"}, 2, false}}, ""},
		"a dead node's suffix":       {[]book{{1, []string{"a", "b"}, 3, false}, {1, []string{"c", "d"}, 2, true}}, ""},
		"two contents":               {[]book{{1, []string{"a", "b"}, 2, false}, {1, []string{"a", "c"}, 2, true}}, "2.2 has two contents"},
		"two ledgers of the living":  {[]book{{1, []string{"a", "b"}, 2, false}, {1, []string{"c", "d"}, 3, false}}, "another node has committed 2.1"},
		"a ledger that is too short": {[]book{{1, []string{"a", "b"}, 2, false}, {1, []string{"a"}, 2, false}}, "it ends at 1"},
		"a hole":                     {[]book{{2, []string{"b"}, 2, false}}, "no node has the committed entry 1"},
		"a value twice":              {[]book{{1, []string{"a", "a"}, 2, false}}, "was written at"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &service{}
			r := &run{t: t, service: s, final: id(c.books[0].view, 2)}
			for i, b := range c.books {
				n := &node{name: fmt.Sprintf("n%d", i), dir: t.TempDir()}
				writeLedger(t, filepath.Join(n.dir, "ledger"), b.from, b.view, b.values)
				s.nodes = append(s.nodes, n)
				if !b.ended {
					r.last = append(r.last, n)
				}
			}
			_, err := r.readLedgers()
			if c.finds == "" && err != nil || c.finds != "" && (err == nil || !strings.Contains(err.Error(), c.finds)) {
				t.Errorf("found %v, want %q", err, c.finds)
			}
		})
	}
}

// writeLedger writes entries that each write one value.
func writeLedger(t *testing.T, dir string, from synod.SeqNo, view uint64, values []string) {
	t.Helper()
	log, err := ledger.Open(ledger.Config{Dir: dir, After: from - 1})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	var entries [][]byte
	for i, value := range values {
		seqno := from + synod.SeqNo(i)
		store := kv.New()
		tx := store.Begin()
		tx.Put(cells, []byte("k"), []byte(value))
		public := ledger.AppendPublicHeader(nil, seqno, [32]byte{}, [32]byte{})
		public = kv.AppendDomain(public, tx.WriteSet(), true)
		tx.Release()
		entries = append(entries, ledger.Build(0, [16]byte{}, ledger.IV(id(view, uint64(seqno))), public, nil))
	}
	if err := log.Append(from, entries); err != nil {
		t.Fatal(err)
	}
}
