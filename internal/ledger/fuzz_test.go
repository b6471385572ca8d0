package ledger_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"synod"
	"synod/internal/ledger"
	"synod/internal/ledger/faultfs"
)

func FuzzParseEntry(f *testing.F) {
	f.Add(unhex(f, exampleEntry))
	for _, k := range []kind{plain, signature, ending, before} {
		f.Add(makeEntry(synod.TxID{View: 2, SeqNo: 7}, k, 0, 1))
	}
	for _, legacy := range []byte{0, 2, 3} {
		public := append([]byte{legacy}, make([]byte, 100)...)
		public[1] = 7
		f.Add(ledger.Build(0, [16]byte{}, ledger.IV(synod.TxID{View: 1, SeqNo: 7}), public, nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ledger.ParseEntry(b)
		if err != nil {
			if !errors.Is(err, ledger.ErrMalformed) {
				t.Error(err)
			}
			return
		}
		if again := ledger.Build(e.Flags, e.Tag, e.IV, e.Public, e.Cipher); !bytes.Equal(again, b) {
			t.Error("entry does not encode to what it was")
		}
		if e.IV != ledger.IV(e.TxID) {
			t.Error("initialisation vector is not the ID's")
		}
		e.Leaf()
		e.IsSignature()
	})
}

// FuzzChunk reads any bytes as a chunk, and as the newest file of a log, which
// must come up with what could be read and go on.
func FuzzChunk(f *testing.F) {
	disk := faultfs.New()
	l := open(f, ledger.Config{FS: disk, After: 4})
	must(f, l.Append(5, series(2, 5, plain, signature, plain, ending)))
	for _, b := range disk.Files() {
		f.Add(b)
		f.Add(b[:len(b)-3])
		f.Add(append(slices.Clone(b), make([]byte, 70)...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ledger.NewScanner(bytes.NewReader(b), int64(len(b)), 5)
		var entries [][]byte
		for err == nil {
			var e *ledger.Entry
			if e, err = s.Next(); err == nil {
				entries = append(entries, e.Raw)
			}
		}
		whole := err == io.EOF
		if !whole && !errors.Is(err, ledger.ErrMalformed) {
			t.Fatal(err)
		}
		disk := faultfs.New()
		disk.WriteFile("ledger/ledger_5", b)
		l, err := ledger.Open(ledger.Config{Dir: dir, FS: disk})
		if err != nil {
			t.Fatal(err)
		}
		if whole && l.Last() != synod.SeqNo(4+len(entries)) && len(entries) > 0 {
			t.Fatalf("%d entries, log ends at %d", len(entries), l.Last())
		}
		for i, e := range all(t, l) {
			if i < len(entries) && !bytes.Equal(e, entries[i]) {
				t.Fatalf("entry %d differs", i)
			}
		}
		next := l.Last() + 1
		view := synod.View(1<<31 - 1) // after any view
		must(t, l.Append(next, series(view, next, plain, ending)))
		must(t, l.Commit(l.Last()))
		must(t, ledger.Walk(dir, ledger.WalkOptions{FS: disk, Uncommitted: true}, func(ledger.Place, *ledger.Entry) error { return nil }))
	})
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{
		"ledger_1", "ledger_1-4.committed", "ledger_12.recovery", "ledger_1-4.committed.recovery", "ledger_7.ignored",
		"ledger_1-4", "ledger_01", "ledger_", "ledger_5-4.committed", "ledger_1.committed", "ledger_+1", "ledger_18446744073709551616",
		"snapshot_20_21.committed", "snapshot_20_21", "snapshot_20_20", "snapshot_20_21.committed_22", "snapshot_1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, ok := ledger.ParseName(s); ok && n.String() != s {
			t.Errorf("%q becomes %q", s, n)
		}
		if n, ok := ledger.ParseSnapshotName(s); ok && n.String() != s {
			t.Errorf("%q becomes %q", s, n)
		}
	})
}

func FuzzParseSnapshot(f *testing.F) {
	f.Add(unhex(f, exampleSnapshot))
	b, err := os.ReadFile(filepath.Join("testdata", "snapshots", "snapshot_20_21.committed"))
	must(f, err)
	s, err := ledger.ParseSnapshot(b)
	must(f, err)
	// Only the front: the fuzzer does better with small inputs.
	public := ledger.AppendSnapshotHeader(nil, s.SeqNo, s.Hash, s.ViewStarts)
	f.Add(append(ledger.Build(0, s.Tag, s.IV, public, nil), s.Receipt...))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ledger.ParseSnapshot(b)
		if err != nil {
			if !errors.Is(err, ledger.ErrMalformed) {
				t.Error(err)
			}
			return
		}
		public := append(ledger.AppendSnapshotHeader(nil, s.SeqNo, s.Hash, s.ViewStarts), s.PublicMaps...)
		again := append(ledger.Build(0, s.Tag, s.IV, public, s.Cipher), s.Receipt...)
		// The third word of the public domain is ignored on reading.
		copy(again[44+9:44+17], b[44+9:44+17])
		if !bytes.Equal(again, b) {
			t.Error("snapshot does not encode to what it was")
		}
	})
}
