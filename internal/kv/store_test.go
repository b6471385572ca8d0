package kv

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"synod"
)

func id(view, seqno uint64) synod.TxID {
	return synod.TxID{View: synod.View(view), SeqNo: synod.SeqNo(seqno)}
}

// put commits one key as the next transaction of view 2.
func put(t testing.TB, s *Store, mapName, key, value string) synod.TxID {
	t.Helper()
	next := id(2, uint64(s.Tip().SeqNo)+1)
	ws := &WriteSet{Maps: []MapWrites{{Name: mapName, Writes: []Write{{[]byte(key), []byte(value)}}}}}
	if err := s.Commit(ws, next); err != nil {
		t.Fatal(err)
	}
	return next
}

func get(tx *Tx, mapName, key string) string {
	v, ok := tx.Get(mapName, []byte(key))
	if !ok {
		return "absent"
	}
	return string(v)
}

func TestWriteSet(t *testing.T) {
	s := New()
	tx := s.Begin()
	defer tx.Release()
	if tx.WriteSet() != nil || tx.Written() || tx.Touched() {
		t.Error("a fresh transaction has something")
	}
	tx.Clear("empty")
	if tx.WriteSet() != nil || tx.Written() || !tx.Touched() {
		t.Error("clearing an empty map writes")
	}
	b := func(s string) []byte { return []byte(s) }
	tx.Delete("z", b("gone"))       // absent: a remove all the same
	tx.Put("public:m", b("k"), nil) // empty value
	tx.Put("public:m", b("a"), b("1"))
	tx.Put("public:m", b("x"), b("1"))
	tx.Delete("public:m", b("x")) // only the remove stays
	tx.Delete("public:m", b("y"))
	tx.Put("public:m", b("y"), b("2")) // only the write stays
	want := &WriteSet{Maps: []MapWrites{
		{Name: "public:m", Writes: []Write{{b("a"), b("1")}, {b("k"), b("")}, {b("y"), b("2")}}, Removes: [][]byte{b("x")}},
		{Name: "z", Removes: [][]byte{b("gone")}},
	}}
	if diff := cmp.Diff(want, tx.WriteSet()); diff != "" {
		t.Error(diff)
	}
}

// TestConflicts says what does and what does not stand in the way of a
// transaction while another one commits.
func TestConflicts(t *testing.T) {
	b := func(s string) []byte { return []byte(s) }
	all := func(_, _ []byte) bool { return true }
	for name, c := range map[string]struct {
		read     func(tx *Tx)
		conflict bool // with a write of b
	}{
		"nothing":      {func(*Tx) {}, false},
		"blind write":  {func(tx *Tx) { tx.Put("m", b("b"), b("2")) }, false},
		"blind delete": {func(tx *Tx) { tx.Delete("m", b("b")) }, false},
		"own write":    {func(tx *Tx) { tx.Put("m", b("b"), b("2")); tx.Get("m", b("b")) }, false},
		"same key":     {func(tx *Tx) { tx.Get("m", b("b")) }, true},
		"other key":    {func(tx *Tx) { tx.Get("m", b("a")) }, false},
		"other map":    {func(tx *Tx) { tx.Get("n", b("b")); tx.Len("n") }, false},
		"has":          {func(tx *Tx) { tx.Has("m", b("b")) }, true},
		"version":      {func(tx *Tx) { tx.VersionOfPreviousWrite("m", b("b")) }, true},
		"many keys": {func(tx *Tx) {
			for i := range 40 {
				tx.Get("m", fmt.Append(nil, i))
			}
			tx.Get("m", b("b"))
		}, true},
		"len":                {func(tx *Tx) { tx.Len("m") }, true},
		"whole map":          {func(tx *Tx) { tx.ForEach("m", all) }, true},
		"clear":              {func(tx *Tx) { tx.Clear("m") }, true},
		"range over it":      {func(tx *Tx) { tx.Range("m", b("a"), b("c"), all) }, true},
		"range up to it":     {func(tx *Tx) { tx.Range("m", nil, b("b"), all) }, false},
		"range behind it":    {func(tx *Tx) { tx.Range("m", b("ba"), nil, all) }, false},
		"stopped before it":  {func(tx *Tx) { tx.ForEach("m", func(_, _ []byte) bool { return false }) }, false},
		"stopped at the key": {func(tx *Tx) { tx.ForEach("m", func(k, _ []byte) bool { return string(k) != "b" }) }, true},
	} {
		for _, present := range []bool{true, false} {
			for _, compact := range []bool{true, false} {
				s := New()
				put(t, s, "m", "a", "1")
				put(t, s, "m", "c", "1")
				if present {
					put(t, s, "m", "b", "1")
				}
				tx := s.Begin()
				c.read(tx)
				if err := s.Check(tx); err != nil {
					t.Errorf("%s: %v at once", name, err)
				}
				at := put(t, s, "m", "b", "3")
				if compact {
					s.Compact(at.SeqNo)
				}
				conflict := c.conflict
				if name == "stopped at the key" && !present {
					conflict = true // went to the end without meeting it
				}
				if err := s.Check(tx); errors.Is(err, ErrConflict) != conflict {
					t.Errorf("%s, key present %v, compacted %v: %v", name, present, compact, err)
				}
				tx.Release()
			}
		}
	}
}

func TestCheckAfterRelease(t *testing.T) {
	s := New()
	tx := s.Begin()
	tx.Get("m", []byte("k"))
	tx.Release()
	if err := s.Check(tx); !errors.Is(err, ErrConflict) {
		t.Errorf("read and released: %v", err)
	}
}

func TestBeginAt(t *testing.T) {
	s := New()
	for i := range 10 {
		put(t, s, "m", "k", fmt.Sprint(i+1))
	}
	pinned, err := s.BeginAt(4)
	if err != nil {
		t.Fatal(err)
	}
	s.Compact(8)
	for seqno, want := range map[synod.SeqNo]error{0: ErrCompacted, 3: ErrCompacted, 4: nil, 7: ErrCompacted, 8: nil, 10: nil, 11: ErrNotYet} {
		tx, err := s.BeginAt(seqno)
		if !errors.Is(err, want) {
			t.Errorf("BeginAt(%d): %v", seqno, err)
		}
		if err == nil {
			if got := get(tx, "m", "k"); got != fmt.Sprint(seqno) || tx.ReadVersion() != id(2, uint64(seqno)) {
				t.Errorf("BeginAt(%d) sees %s at %s", seqno, got, tx.ReadVersion())
			}
			tx.Release()
		}
	}
	pinned.Release()
	if _, err := s.BeginAt(4); !errors.Is(err, ErrCompacted) {
		t.Errorf("after release: %v", err)
	}
}

// TestRollbackKeepsSnapshots checks that a transaction of an undone branch
// still sees that branch, and cannot be found by its sequence number.
func TestRollbackKeepsSnapshots(t *testing.T) {
	s := New()
	put(t, s, "m", "k", "old")
	put(t, s, "m", "k", "undone")
	put(t, s, "new", "k", "undone")
	late := s.Begin()
	defer late.Release()
	s.Rollback(id(2, 1))
	if s.Tip() != id(2, 1) {
		t.Fatalf("tip %s", s.Tip())
	}
	ws := &WriteSet{Maps: []MapWrites{{Name: "m", Writes: []Write{{[]byte("k"), []byte("other")}}}}}
	for seqno := uint64(2); seqno <= 4; seqno++ {
		if err := s.Commit(ws, id(3, seqno)); err != nil {
			t.Fatal(err)
		}
	}
	s.Compact(4)
	if got := get(late, "m", "k") + " " + get(late, "new", "k"); got != "undone undone" || late.ReadVersion() != id(2, 3) {
		t.Errorf("late sees %s at %s", got, late.ReadVersion())
	}
	if _, err := s.BeginAt(3); !errors.Is(err, ErrCompacted) {
		t.Errorf("a dead pin was found: %v", err)
	}
	if err := s.Check(late); !errors.Is(err, ErrConflict) {
		t.Errorf("Check: %v", err)
	}
	now := s.Begin()
	defer now.Release()
	if got := get(now, "m", "k") + " " + get(now, "new", "k"); got != "other absent" {
		t.Errorf("now sees %s", got)
	}
}

func TestHooks(t *testing.T) {
	s := New()
	var got []string
	note := func(kind string) Hook {
		return func(tx synod.TxID, w MapWrites) {
			got = append(got, fmt.Sprintf("%s %s %s %s", kind, tx, w.Name, w.Writes[0].Value))
		}
	}
	s.OnLocal("m", note("local"))
	s.OnCommit("m", note("commit"))
	s.OnCommit("m", note("again"))
	put(t, s, "m", "k", "1")
	put(t, s, "other", "k", "1")
	put(t, s, "m", "k", "2")
	s.Rollback(id(2, 2))
	put(t, s, "m", "k", "3")
	s.Compact(2)
	s.Compact(3)
	s.Compact(3)
	want := []string{
		"local 2.1 m 1", "local 2.3 m 2", "local 2.3 m 3",
		"commit 2.1 m 1", "again 2.1 m 1", "commit 2.3 m 3", "again 2.3 m 3",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBrokenInvariantsPanic(t *testing.T) {
	s := New()
	put(t, s, "m", "k", "1")
	put(t, s, "m", "k", "2")
	s.Compact(1)
	for name, f := range map[string]func(){
		"gap":                   func() { _ = s.Commit(nil, id(2, 4)) },
		"repeat":                func() { _ = s.Commit(nil, id(2, 2)) },
		"compact above tip":     func() { s.Compact(3) },
		"roll back below":       func() { s.Rollback(synod.TxID{}) },
		"roll back above":       func() { s.Rollback(id(2, 3)) },
		"roll back, other view": func() { s.Rollback(id(3, 1)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

// TestValuesAreOwn checks that neither side sees the other's later changes.
func TestValuesAreOwn(t *testing.T) {
	s := New()
	key, value := []byte("k"), []byte("value")
	ws := &WriteSet{Maps: []MapWrites{{Name: "m", Writes: []Write{{key, value}}}}}
	if err := s.Commit(ws, id(2, 1)); err != nil {
		t.Fatal(err)
	}
	key[0], value[0] = 'X', 'X'
	tx := s.Begin()
	defer tx.Release()
	got, _ := tx.Get("m", []byte("k"))
	put(t, s, "m", "k", "other")
	s.Compact(2)
	if string(got) != "value" || cap(got) != len(got) {
		t.Errorf("value %q, capacity %d", got, cap(got))
	}
}

// TestTwiceInOneSet accepts a key that a write set from outside names twice:
// the last write counts, removes after writes.
func TestTwiceInOneSet(t *testing.T) {
	s := New()
	k := []byte("k")
	ws := &WriteSet{Maps: []MapWrites{{Name: "m", Writes: []Write{{k, []byte("1")}, {k, []byte("2")}}}, {Name: "n", Writes: []Write{{k, []byte("1")}}, Removes: [][]byte{k}}}}
	if err := s.Commit(ws, id(2, 1)); err != nil {
		t.Fatal(err)
	}
	tx := s.Begin()
	defer tx.Release()
	if get(tx, "m", "k") != "2" || tx.Len("m") != 1 || get(tx, "n", "k") != "absent" || tx.Len("n") != 0 {
		t.Error("wrong state")
	}
	s.Compact(1)
}

func TestEachMap(t *testing.T) {
	s := New()
	put(t, s, "b", "k", "1")
	put(t, s, "public:a", "k", "1")
	put(t, s, "b", "l", "1")
	at, err := s.BeginAt(2)
	if err != nil {
		t.Fatal(err)
	}
	defer at.Release()
	if err := s.Commit(&WriteSet{Maps: []MapWrites{{Name: "b", Removes: [][]byte{[]byte("k"), []byte("l")}}}}, id(2, 4)); err != nil {
		t.Fatal(err)
	}
	s.Compact(4)
	list := func(tx *Tx) (out []string) {
		tx.EachMap(func(name string, v synod.SeqNo, n int) bool {
			out = append(out, fmt.Sprintf("%s %d %d", name, v, n))
			return true
		})
		return out
	}
	if diff := cmp.Diff([]string{"b 1 1", "public:a 2 1"}, list(at)); diff != "" {
		t.Error(diff)
	}
	now := s.Begin()
	defer now.Release()
	if diff := cmp.Diff([]string{"b 4 0", "public:a 2 1"}, list(now)); diff != "" {
		t.Error(diff)
	}
}

// TestOrder grows and shrinks one table through several levels of its tree.
func TestOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	tab := newTable("m")
	count := 0
	const n = 20000
	check := func(want int) {
		t.Helper()
		var prev []byte
		seen := 0
		tab.order.scan(&tab.cells, nil, func(id uint32) bool {
			key := tab.cells.at(id).key()
			if bytes.Compare(prev, key) >= 0 {
				t.Fatalf("%q after %q", key, prev)
			}
			prev = key
			seen++
			return true
		})
		if seen != want || tab.order.size != want {
			t.Fatalf("%d in order, size %d, want %d", seen, tab.order.size, want)
		}
	}
	for _, order := range [][]int{rnd.Perm(n), rising(n)} {
		for i, k := range order {
			tab.push(benchKey(k), nil, false, 1, 1, &count)
			if i%4999 == 0 {
				check(i + 1)
			}
		}
		check(n)
		for _, from := range []int{0, 1, 777, n - 1} {
			rows, resume := tab.batch(nil, 1, benchKey(from), benchKey(from+5), 10)
			if want := min(5, n-from); len(rows) != want || resume != nil || !bytes.Equal(rows[0].key(), benchKey(from)) {
				t.Errorf("batch from %d: %d rows", from, len(rows))
			}
		}
		for i, k := range rnd.Perm(n) {
			tab.drop(tab.find(benchKey(k)))
			if i%4999 == 0 {
				check(n - i - 1)
			}
		}
		check(0)
		if len(tab.index) != 0 {
			t.Errorf("%d hashes stay", len(tab.index))
		}
	}
}

func rising(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// TestHashCollisions finds keys whose 32-bit hashes are equal and takes them
// through a table's life in every order of removal.
func TestHashCollisions(t *testing.T) {
	tab := newTable("m")
	byHash := map[uint32]int{}
	var pairs [][2][]byte
	for i := 0; len(pairs) < 4; i++ {
		h := tab.hash(benchKey(i))
		if j, ok := byHash[h]; ok {
			pairs = append(pairs, [2][]byte{benchKey(j), benchKey(i)})
		}
		byHash[h] = i
	}
	count := 0
	for i, p := range pairs {
		a := tab.push(p[0], []byte("a"), false, 1, 1, &count)
		b := tab.push(p[1], []byte("b"), false, 1, 1, &count)
		if tab.find(p[0]) != a || tab.find(p[1]) != b || tab.push(p[0], []byte("c"), false, 2, 2, &count) != a {
			t.Fatalf("pair %d: cells are mixed up", i)
		}
		first, second := a, b
		if i%2 == 1 {
			first, second = b, a
		}
		keep := bytes.Clone(tab.cells.at(second).key())
		tab.drop(first)
		if got := tab.find(keep); got != second {
			t.Fatalf("pair %d: cell %d after a drop, want %d", i, got, second)
		}
		tab.drop(second)
	}
	if len(tab.index) != 0 || tab.order.size != 0 {
		t.Errorf("%d hashes and %d cells stay", len(tab.index), tab.order.size)
	}
}

// TestLongPin holds one snapshot while a few keys are overwritten many times:
// what is kept for it follows the keys, not the writes.
func TestLongPin(t *testing.T) {
	s := New()
	for i := range 10 {
		put(t, s, "m", fmt.Sprint(i), "first")
	}
	old := s.Begin()
	second := s.Begin()
	const writes = 5000
	for i := range writes {
		at := put(t, s, "m", fmt.Sprint(i%10), "later")
		if i%7 == 0 {
			s.Compact(at.SeqNo)
		}
	}
	p := old.pin
	tab := s.table("m")
	if len(p.kept) > 11 || int(tab.past.used) > 100 || tab.hist.len() > 100 {
		t.Errorf("%d cells kept, %d old versions, %d states", len(p.kept), tab.past.used, tab.hist.len())
	}
	old.Release()
	s.Compact(s.Tip().SeqNo)
	if get(second, "m", "3") != "first" {
		t.Error("the second transaction lost its snapshot")
	}
	second.Release()
	at := put(t, s, "m", "end", "end")
	s.Compact(at.SeqNo)
	if n := int(tab.past.used) - len(tab.past.free); n != 0 {
		t.Errorf("%d old versions stay", n)
	}
}
