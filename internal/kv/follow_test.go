package kv

import (
	"testing"

	"synod"
)

func TestFollow(t *testing.T) {
	s := New()
	put := func(seqno synod.SeqNo, name, value string) {
		tx := s.Begin()
		defer tx.Release()
		tx.Put(name, []byte("k"), []byte(value))
		if err := s.Commit(tx.WriteSet(), synod.TxID{View: 2, SeqNo: seqno}); err != nil {
			t.Fatal(err)
		}
	}
	var seen string
	put(1, "m", "a") // before anybody follows
	stop := s.Follow("m", func(id synod.TxID, w MapWrites) { seen += id.String() + string(w.Writes[0].Value) + " " })
	put(2, "m", "b")
	put(3, "other", "c")
	put(4, "m", "undone")
	s.Rollback(synod.TxID{View: 2, SeqNo: 3})
	put(4, "m", "d")
	put(5, "m", "e")
	if seen != "" {
		t.Errorf("told before the commit: %s", seen)
	}
	s.Compact(4)
	stop()
	s.Compact(5)
	if want := "2.2b 2.4d "; seen != want {
		t.Errorf("told %q, want %q", seen, want)
	}
}
