package kv

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"synod"
)

// modelKey is a key of a map.
type modelKey struct{ table, key string }

// modelValue is a value with the transaction that wrote it.
type modelValue struct {
	value string
	seqno synod.SeqNo
}

// modelState is a whole store by value: the naive model keeps one for each
// transaction.
type modelState struct {
	id   synod.TxID
	rows map[modelKey]modelValue
	last map[string]synod.SeqNo // newest write by map
}

func (m *modelState) clone(id synod.TxID) *modelState {
	return &modelState{id: id, rows: maps.Clone(m.rows), last: maps.Clone(m.last)}
}

func (m *modelState) keys(table, from, to string) []string {
	var out []string
	for k := range m.rows {
		if k.table == table && k.key >= from && (to == "" || k.key < to) {
			out = append(out, k.key)
		}
	}
	sort.Strings(out)
	return out
}

// modelTx is a transaction under test with what it should see.
type modelTx struct {
	tx    *Tx
	base  *modelState          // the snapshot
	own   map[modelKey]*string // nil: removed
	read  map[modelKey]bool    // keys read
	spans []modelSpan          // ranges read
	since map[modelKey]bool    // keys that were written (or undone) since the snapshot
}

type modelSpan struct{ table, from, to string } // to "" is open

type model struct {
	t       *testing.T
	rnd     *rand.Rand
	store   *Store
	history []*modelState // history[0] is the compacted one, the last the tip
	open    []*modelTx
	view    synod.View
	wrote   map[synod.SeqNo][]modelKey
	undone  map[modelKey]bool // undone at some time: Check may count that as a write
	hooked  []string          // what the commit hook should have seen and has not
	tables  []string
	keys    int
}

func (m *model) tip() *modelState { return m.history[len(m.history)-1] }

func (m *model) key() string {
	n := m.rnd.IntN(m.keys)
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%0*d", 1+n%5, n)
}

func (m *model) begin() {
	at := len(m.history) - 1
	if m.rnd.IntN(3) == 0 {
		at = m.rnd.IntN(len(m.history))
	}
	st := m.history[at]
	tx, err := m.store.BeginAt(st.id.SeqNo)
	if err != nil {
		m.t.Fatalf("BeginAt(%d): %s", st.id.SeqNo, err)
	}
	if at == len(m.history)-1 {
		tx.Release()
		tx = m.store.Begin()
	}
	if tx.ReadVersion() != st.id {
		m.t.Fatalf("ReadVersion %s, want %s", tx.ReadVersion(), st.id)
	}
	x := &modelTx{tx: tx, base: st, own: map[modelKey]*string{}, read: map[modelKey]bool{}, since: map[modelKey]bool{}}
	for n := at + 1; n < len(m.history); n++ {
		for _, k := range m.wrote[m.history[n].id.SeqNo] {
			x.since[k] = true
		}
	}
	if at < len(m.history)-1 {
		maps.Copy(x.since, m.undone)
	}
	m.open = append(m.open, x)
}

// visible is what a transaction should see: its snapshot under its writes.
func (x *modelTx) visible(table, from, to string) (keys []string, value map[string]string) {
	value = map[string]string{}
	for _, k := range x.base.keys(table, from, to) {
		value[k] = x.base.rows[modelKey{table, k}].value
	}
	for k, v := range x.own {
		if k.table != table || k.key < from || to != "" && k.key >= to {
			continue
		}
		if v == nil {
			delete(value, k.key)
		} else {
			value[k.key] = *v
		}
	}
	return slices.Sorted(maps.Keys(value)), value
}

func bound(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

// operate does one random thing in a transaction and compares.
func (m *model) operate(x *modelTx) {
	table := m.tables[m.rnd.IntN(len(m.tables))]
	k := modelKey{table, m.key()}
	switch m.rnd.IntN(14) {
	case 0, 1, 2:
		v := fmt.Sprint(m.rnd.IntN(1000))
		x.tx.Put(table, []byte(k.key), []byte(v))
		x.own[k] = &v
	case 3:
		x.tx.Delete(table, []byte(k.key))
		x.own[k] = nil
	case 4, 5, 6:
		got, ok := x.tx.Get(table, []byte(k.key))
		if _, own := x.own[k]; !own {
			x.read[k] = true
		}
		_, all := x.visible(table, k.key, k.key+"\x00")
		if want, present := all[k.key]; ok != present || string(got) != want {
			m.t.Fatalf("Get(%v) = %q %v, want %q %v", k, got, ok, want, present)
		}
	case 7:
		got, ok := x.tx.VersionOfPreviousWrite(table, []byte(k.key))
		x.read[k] = true
		if want, present := x.base.rows[k]; ok != present || got != want.seqno {
			m.t.Fatalf("VersionOfPreviousWrite(%v) = %d %v, want %d %v", k, got, ok, want.seqno, present)
		}
	case 8:
		keys, _ := x.visible(table, "", "")
		if got := x.tx.Len(table); got != len(keys) {
			m.t.Fatalf("Len(%s) = %d, want %d", table, got, len(keys))
		}
		x.spans = append(x.spans, modelSpan{table, "", ""})
	case 9:
		if m.rnd.IntN(8) == 0 {
			keys, _ := x.visible(table, "", "")
			x.tx.Clear(table)
			for _, key := range keys {
				x.own[modelKey{table, key}] = nil
			}
			x.spans = append(x.spans, modelSpan{table, "", ""})
		}
	case 10:
		got := map[string]string{}
		x.tx.EachKey(table, func(key, value []byte, v synod.SeqNo) bool {
			got[string(key)] = fmt.Sprint(string(value), v)
			return true
		})
		want := map[string]string{}
		for _, key := range x.base.keys(table, "", "") {
			r := x.base.rows[modelKey{table, key}]
			want[key] = fmt.Sprint(r.value, r.seqno)
		}
		if !maps.Equal(got, want) {
			m.t.Fatalf("EachKey(%s) = %v, want %v", table, got, want)
		}
	default:
		m.visit(x, table)
	}
}

func (m *model) visit(x *modelTx, table string) {
	from, to := "", ""
	if m.rnd.IntN(2) == 0 {
		from, to = m.key(), m.key()
		if to != "" && from > to {
			from, to = to, from
		}
	}
	keys, values := x.visible(table, from, to)
	stop := len(keys)
	if m.rnd.IntN(2) == 0 {
		stop = m.rnd.IntN(len(keys) + 1)
	}
	var got []string
	x.tx.Range(table, bound(from), bound(to), func(key, value []byte) bool {
		if string(value) != values[string(key)] {
			m.t.Fatalf("Range(%s): %q is %q, want %q", table, key, value, values[string(key)])
		}
		got = append(got, string(key))
		if m.rnd.IntN(10) == 0 { // not seen by this visit
			k := modelKey{table, m.key()}
			v := "during"
			x.tx.Put(table, []byte(k.key), []byte(v))
			x.own[k] = &v
		}
		return len(got) != stop
	})
	want := keys[:stop]
	if stop == 0 { // never asked to stop
		want = keys
	}
	if !slices.Equal(got, want) {
		m.t.Fatalf("Range(%s, %q, %q) = %q, want %q", table, from, to, got, want)
	}
	if stop > 0 {
		to = got[stop-1] + "\x00"
	}
	x.spans = append(x.spans, modelSpan{table, from, to})
}

// mustConflict says whether what the transaction read is different now.
func (m *model) mustConflict(x *modelTx) bool {
	tip := m.tip()
	for k := range x.read {
		if x.base.rows[k] != tip.rows[k] {
			return true
		}
	}
	for _, s := range x.spans {
		a, b := x.base.keys(s.table, s.from, s.to), tip.keys(s.table, s.from, s.to)
		if !slices.Equal(a, b) {
			return true
		}
		for _, k := range a {
			if x.base.rows[modelKey{s.table, k}] != tip.rows[modelKey{s.table, k}] {
				return true
			}
		}
	}
	return false
}

// mayConflict says whether something that the transaction read was written.
func (x *modelTx) mayConflict() bool {
	for k := range x.since {
		if x.read[k] {
			return true
		}
		for _, s := range x.spans {
			if k.table == s.table && k.key >= s.from && (s.to == "" || k.key < s.to) {
				return true
			}
		}
	}
	return false
}

func (m *model) commit(x *modelTx) {
	err := m.store.Check(x.tx)
	if err == nil && m.mustConflict(x) {
		m.t.Fatal("Check missed a conflict")
	}
	if errors.Is(err, ErrConflict) && !x.mayConflict() {
		m.t.Fatal("Check found a conflict where nothing read was written")
	}
	ws := x.tx.WriteSet()
	if (ws == nil) != (len(x.own) == 0) {
		m.t.Fatalf("WriteSet %v for %d writes", ws, len(x.own))
	}
	if err != nil || ws == nil {
		return
	}
	id := synod.TxID{View: m.view, SeqNo: m.tip().id.SeqNo + 1}
	st := m.tip().clone(id)
	for k, v := range x.own {
		st.last[k.table] = id.SeqNo
		if v == nil {
			delete(st.rows, k)
		} else {
			st.rows[k] = modelValue{*v, id.SeqNo}
		}
		m.wrote[id.SeqNo] = append(m.wrote[id.SeqNo], k)
		for _, o := range m.open {
			o.since[k] = true
		}
	}
	for _, w := range ws.Maps {
		if !slices.IsSortedFunc(w.Writes, func(a, b Write) int { return bytes.Compare(a.Key, b.Key) }) || !slices.IsSortedFunc(w.Removes, bytes.Compare) {
			m.t.Fatal("write set is not sorted")
		}
		for _, p := range w.Writes {
			if v := x.own[modelKey{w.Name, string(p.Key)}]; v == nil || *v != string(p.Value) {
				m.t.Fatalf("write set has %q in %s", p.Key, w.Name)
			}
		}
	}
	if err := m.store.Commit(ws, id); err != nil {
		m.t.Fatal(err)
	}
	m.history = append(m.history, st)
}

func (m *model) rollback() {
	i := m.rnd.IntN(len(m.history))
	m.store.Rollback(m.history[i].id)
	if i < len(m.history)-1 {
		for _, o := range m.open {
			maps.Copy(o.since, m.undone)
		}
	}
	for _, st := range m.history[i+1:] {
		for _, o := range m.open {
			for _, k := range m.wrote[st.id.SeqNo] {
				o.since[k] = true
			}
		}
		for _, k := range m.wrote[st.id.SeqNo] {
			m.undone[k] = true
		}
		delete(m.wrote, st.id.SeqNo)
	}
	m.history = m.history[:i+1]
	m.view++
}

func (m *model) compact() { m.compactTo(m.rnd.IntN(len(m.history))) }

func (m *model) compactTo(i int) {
	m.hooked = m.hooked[:0]
	for _, st := range m.history[1 : i+1] {
		if slices.ContainsFunc(m.wrote[st.id.SeqNo], func(k modelKey) bool { return k.table == m.tables[0] }) {
			m.hooked = append(m.hooked, st.id.String())
		}
	}
	m.store.Compact(m.history[i].id.SeqNo)
	if len(m.hooked) > 0 {
		m.t.Fatalf("commit hook was not told of %v", m.hooked)
	}
	m.history = m.history[i:]
	if m.store.Compacted() != m.history[0].id || m.store.Tip() != m.tip().id {
		m.t.Fatalf("compacted %s tip %s, want %s %s", m.store.Compacted(), m.store.Tip(), m.history[0].id, m.tip().id)
	}
}

func (m *model) step() {
	switch n := m.rnd.IntN(100); {
	case len(m.open) == 0 || n < 8 && len(m.open) < 8:
		m.begin()
	case n < 80:
		m.operate(m.open[m.rnd.IntN(len(m.open))])
	case n < 92:
		i := m.rnd.IntN(len(m.open))
		x := m.open[i]
		m.commit(x)
		x.tx.Release()
		x.tx.Release()
		m.open = slices.Delete(m.open, i, i+1)
	case n < 94:
		m.rollback()
	case n < 99:
		m.compact()
	default:
		m.checkStructure()
	}
}

// checkStructure compares what the tables hold with what they need.
func (m *model) checkStructure() {
	for _, t := range m.store.sortedTables() {
		name := t.name
		var prev []byte
		n := 0
		t.order.scan(&t.cells, nil, func(id uint32) bool {
			c := t.cells.at(id)
			if n > 0 && bytes.Compare(prev, c.key()) >= 0 {
				m.t.Fatalf("table %s is out of order", name)
			}
			if t.find(c.key()) != id {
				m.t.Fatalf("table %s: %q is not found by hash", name, c.key())
			}
			prev = c.key()
			n++
			return true
		})
		if n != t.order.size || n+len(t.cells.free) != int(t.cells.used) {
			m.t.Fatalf("table %s: %d in order, size %d, %d of %d cells free", name, n, t.order.size, len(t.cells.free), t.cells.used)
		}
	}
}

// drained checks that nothing stays behind once nobody reads and everything is
// compacted.
func (m *model) drained() {
	for _, x := range m.open {
		x.tx.Release()
	}
	m.open = nil
	for range 2 { // a compaction that has something to do, after the last release
		id := synod.TxID{View: m.view, SeqNo: m.tip().id.SeqNo + 1}
		k := modelKey{"end", "end"}
		st := m.tip().clone(id)
		st.rows[k] = modelValue{"end", id.SeqNo}
		if err := m.store.Commit(&WriteSet{[]MapWrites{{Name: "end", Writes: []Write{{[]byte("end"), []byte("end")}}}}}, id); err != nil {
			m.t.Fatal(err)
		}
		m.history = append(m.history, st)
		m.compactTo(len(m.history) - 1)
	}
	m.checkStructure()
	for _, t := range m.store.sortedTables() {
		name := t.name
		if want := len(m.tip().keys(name, "", "")); t.order.size != want {
			m.t.Fatalf("table %s keeps %d cells for %d keys", name, t.order.size, want)
		}
		if len(t.past.free) != int(t.past.used) {
			m.t.Fatalf("table %s keeps %d old versions", name, int(t.past.used)-len(t.past.free))
		}
		if t.hist.len() > 1 {
			m.t.Fatalf("table %s keeps %d states", name, t.hist.len())
		}
	}
	if m.store.commits.len() != 0 || m.store.writes.len() != 0 || len(m.store.pins.list) != 0 || len(m.store.pins.loose) != 0 {
		m.t.Fatal("the store keeps bookkeeping")
	}
}

func newModel(t *testing.T, seed uint64) *model {
	rnd := rand.New(rand.NewPCG(seed, 1))
	m := &model{
		t: t, rnd: rnd, store: New(), view: 2, wrote: map[synod.SeqNo][]modelKey{}, undone: map[modelKey]bool{},
		tables: []string{"public:a", "b", "public:c"}[:1+rnd.IntN(3)],
		keys:   []int{3, 20, 400}[rnd.IntN(3)],
	}
	m.history = []*modelState{{rows: map[modelKey]modelValue{}, last: map[string]synod.SeqNo{}}}
	m.store.OnCommit(m.tables[0], func(id synod.TxID, w MapWrites) {
		if w.Name != m.tables[0] || len(m.hooked) == 0 || m.hooked[0] != id.String() {
			t.Fatalf("commit hook told of %s, want %v", id, m.hooked)
		}
		m.hooked = m.hooked[1:]
	})
	return m
}

// TestModel compares random transactions, roll backs and compactions with a
// model that keeps every state whole.
func TestModel(t *testing.T) {
	runs := 300
	if testing.Short() {
		runs = 40
	}
	for seed := range uint64(runs) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := newModel(t, seed)
			for range 2000 {
				m.step()
			}
			m.drained()
		})
	}
}
