package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"testing"

	"synod"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/tables"
)

// FuzzLoad takes any bytes as a snapshot file. What loads is one of the files
// that CCF signed.
func FuzzLoad(f *testing.F) {
	chain := ccfSecrets(f)
	digests := map[[32]byte]bool{}
	var services [][]byte
	for _, v := range vectors(f) {
		f.Add(v.file)
		s, err := ledger.ParseSnapshot(v.file)
		must(f, err)
		digests[s.Digest()] = true
		services = append(services, v.service)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, service := range services {
			l, err := loadBytes(file, Trust{Service: service}, chain)
			if err == nil && !digests[l.Digest] {
				t.Fatal("it loads, but nobody signed it")
			}
		}
	})
}

// FuzzBlocks takes any bytes as the public and the private map blocks, behind
// what the receipt protects. What parses can be written, and is then read as
// the same.
func FuzzBlocks(f *testing.F) {
	chain := ccfSecrets(f)
	for _, v := range vectors(f) {
		s, err := ledger.ParseSnapshot(v.file)
		must(f, err)
		text, err := chain.Open(synod.TxID{SeqNo: s.SeqNo}, true, s.Tag, s.Cipher, s.Public)
		must(f, err)
		f.Add(s.PublicMaps, text)
	}
	f.Add(mapBlock("public:m", 3, entryOf([]byte("k"), []byte("v"), 2), entryOf([]byte("x"), nil, deleted)), mapBlock("m", 0))
	f.Fuzz(func(t *testing.T, public, private []byte) {
		const newest = 200
		parse := func(public, private []byte) (*kv.Store, error) {
			store := kv.New()
			l := store.Load()
			err := errors.Join(parseInto(l, public, true, newest), parseInto(l, private, false, newest))
			l.Finish(synod.TxID{View: 2, SeqNo: newest})
			return store, err
		}
		store, err := parse(public, private)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		tx := store.Begin()
		defer tx.Release()
		m := newMemory()
		_, err = write(context.Background(), m, State{Tx: tx, ViewStarts: []synod.SeqNo{1, 1}, Secrets: chain})
		must(t, err)
		s, err := ledger.ParseSnapshot(m.b)
		must(t, err)
		text, err := chain.Open(synod.TxID{SeqNo: s.SeqNo}, true, s.Tag, s.Cipher, s.Public)
		must(t, err)
		again, err := parse(s.PublicMaps, text)
		must(t, err)
		want := dump(store)
		if got := dump(again); !mapsEqual(got, want) {
			t.Errorf("written and read again: %v, was %v", got, want)
		}
		for name := range want {
			if !slices.ContainsFunc([][]byte{public, private}, func(b []byte) bool { return bytes.Contains(b, []byte(name)) }) {
				t.Errorf("map %q out of nothing", name)
			}
			if strings.HasPrefix(name, tables.PublicPrefix) && !bytes.Contains(public, []byte(name)) {
				t.Errorf("map %q comes from the private domain", name)
			}
		}
	})
}

// parseInto parses map blocks that are not part of a file.
func parseInto(to sink, b []byte, public bool, newest synod.SeqNo) error {
	var fault error
	src := &source{
		file: bytes.NewReader(b), end: int64(len(b)), digest: sha256.New(), open: func([]byte) {},
		fault: &fault, buf: make([]byte, 100),
	}
	return (&blocks{src: src, public: public, newest: newest, to: to}).run()
}
