package kv

import (
	"testing"

	"synod"
)

// A base goes under a store that has lived on its public maps: old snapshots and
// later writes both see it, and a roll back comes back to it.
func TestAdopt(t *testing.T) {
	write := func(name, key, value string) *WriteSet {
		return &WriteSet{Maps: []MapWrites{{Name: name, Writes: []Write{{Key: []byte(key), Value: []byte(value)}}}}}
	}
	b := NewBase()
	b.Apply(write("private", "a", "1"), 1)
	b.Apply(write("private", "b", "2"), 2)
	b.Apply(write("public:p", "x", "not taken"), 2)
	b.Apply(&WriteSet{Maps: []MapWrites{{Name: "private", Writes: []Write{{Key: []byte("b"), Value: []byte("3")}}, Removes: [][]byte{[]byte("a"), []byte("none")}}}}, 3)

	s := New()
	for seqno := range synod.SeqNo(3) {
		if err := s.Commit(write("public:p", "k", "v"), synod.TxID{View: 2, SeqNo: seqno + 1}); err != nil {
			t.Fatal(err)
		}
	}
	s.Compact(3)
	early := s.Begin()
	defer early.Release()
	s.Adopt(b)
	want := func(tx *Tx, value string, keys int) {
		t.Helper()
		got, _ := tx.Get("private", []byte("b"))
		if string(got) != value || tx.Len("private") != keys || tx.Has("private", []byte("a")) {
			t.Errorf("b is %q of %d keys, want %q of %d", got, tx.Len("private"), value, keys)
		}
	}
	want(early, "3", 1)
	tx := s.Begin()
	if at, ok := tx.VersionOfPreviousWrite("private", []byte("b")); !ok || at != 3 {
		t.Errorf("written by %d", at)
	}
	if tx.Has("public:p", []byte("x")) {
		t.Error("a public map was adopted")
	}
	tx.Release()

	if err := s.Commit(write("private", "b", "4"), synod.TxID{View: 2, SeqNo: 4}); err != nil {
		t.Fatal(err)
	}
	tx = s.Begin()
	want(tx, "4", 1)
	tx.Release()
	want(early, "3", 1)
	s.Rollback(synod.TxID{View: 2, SeqNo: 3})
	tx = s.Begin()
	defer tx.Release()
	want(tx, "3", 1)
}
