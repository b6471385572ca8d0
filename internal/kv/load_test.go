package kv_test

import (
	"fmt"
	"slices"
	"testing"

	"synod"
	"synod/internal/kv"
)

// TestLoad: what is loaded reads like what was committed, versions included,
// and the hooks are told all of it once.
func TestLoad(t *testing.T) {
	s := kv.New()
	var told []string
	hook := func(kind string) kv.Hook {
		return func(id synod.TxID, w kv.MapWrites) {
			told = append(told, fmt.Sprintf("%s %s %s %d", kind, id, w.Name, len(w.Writes)))
		}
	}
	s.OnLocal("a", hook("local"))
	s.OnCommit("a", hook("commit"))
	s.OnCommit("empty", hook("commit"))
	s.OnCommit("absent", hook("commit"))
	l := s.Load()
	put := func(key, value string, version synod.SeqNo) error { return l.Put([]byte(key), []byte(value), version) }
	for _, err := range []error{
		l.Map("b", 9), put("y", "1", 9),
		l.Map("a", 7), put("z", "2", 3), put("", "3", 7), put("k", "", 1),
		l.Map("empty", 5), l.Map("never", 0),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if l.Map("a", 8) == nil {
		t.Error("a map twice")
	}
	if s.Tip() != (synod.TxID{}) || len(told) != 0 {
		t.Error("something happened before the end")
	}
	tip := synod.TxID{View: 4, SeqNo: 12}
	l.Finish(tip)
	if want := []string{"local 4.12 a 3", "commit 4.12 a 3"}; !slices.Equal(told, want) {
		t.Errorf("hooks were told %q, want %q", told, want)
	}
	if s.Tip() != tip || s.Compacted() != tip {
		t.Errorf("tip %s, compacted %s", s.Tip(), s.Compacted())
	}
	tx := s.Begin()
	defer tx.Release()
	var maps []string
	tx.EachMap(func(name string, version synod.SeqNo, keys int) bool {
		maps = append(maps, fmt.Sprint(name, version, keys))
		return true
	})
	if want := []string{"a7 3", "b9 1", "empty5 0"}; !slices.Equal(maps, want) {
		t.Errorf("maps %q, want %q", maps, want)
	}
	if v, ok := tx.VersionOfPreviousWrite("a", []byte("z")); !ok || v != 3 {
		t.Errorf("version %d", v)
	}
	if v, ok := tx.Get("a", []byte("k")); !ok || len(v) != 0 {
		t.Errorf("value %q, %v", v, ok)
	}
	if _, err := s.BeginAt(11); err == nil {
		t.Error("a state before the snapshot")
	}

	next := synod.TxID{View: 4, SeqNo: 13}
	ws := &kv.WriteSet{Maps: []kv.MapWrites{{Name: "a", Writes: []kv.Write{{Key: []byte("z"), Value: []byte("new")}}, Removes: [][]byte{[]byte("k")}}}}
	if err := s.Commit(ws, next); err != nil {
		t.Fatal(err)
	}
	s.Rollback(tip)
	again := s.Begin()
	defer again.Release()
	if v, _ := again.Get("a", []byte("z")); string(v) != "2" || again.Len("a") != 3 {
		t.Errorf("rolled back to %q", v)
	}
}

func TestLoadRefuses(t *testing.T) {
	s := kv.New()
	l := s.Load()
	if err := l.Map("m", 1); err != nil {
		t.Fatal(err)
	}
	if err := l.Put([]byte("k"), []byte("v"), 1); err != nil {
		t.Fatal(err)
	}
	if l.Put([]byte("k"), []byte("v"), 1) == nil {
		t.Error("a key twice")
	}
	defer func() {
		if recover() == nil {
			t.Error("loaded into a store in use")
		}
	}()
	s.Load()
}
