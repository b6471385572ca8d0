package govaudit

import (
	"errors"
	"io"
	"os"
	"testing"

	"synod"
	"synod/app"
	"synod/internal/kv"
	"synod/internal/ledger"
)

// head are the entries of a ledger that CCF wrote, up to its first proposals.
func head(t testing.TB) []*ledger.Entry {
	t.Helper()
	var all []*ledger.Entry
	for _, name := range []string{"ledger_1-11.committed", "ledger_12-20.committed"} {
		f, err := os.Open("../audit/testdata/ledger/" + name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		n, _ := ledger.ParseName(name)
		s, err := ledger.NewScanner(f, info.Size(), n.Start)
		if err != nil {
			t.Fatal(err)
		}
		for {
			e, err := s.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, e)
		}
	}
	return all
}

// No entry makes a replay panic or stop, whatever a ledger's operator puts in
// the tables of governance.
func FuzzEntry(f *testing.F) {
	entries := head(f)
	for _, e := range entries {
		f.Add(e.PublicMaps, uint8(e.TxID.SeqNo-1))
	}
	f.Fuzz(func(t *testing.T, maps []byte, at uint8) {
		r, err := newReplay(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer r.close()
		for path, e := range r.endpoints { // scripts are too slow to fuzz
			refusing := *e
			refusing.Handler = func(*app.Context) error { return errNotHere }
			r.endpoints[path] = &refusing
		}
		none := func(synod.SeqNo) ([32]byte, bool) { return [32]byte{}, false }
		for _, e := range entries[:int(at)%len(entries)] {
			if err := r.add(e, none); err != nil {
				t.Fatal(err)
			}
		}
		r.report = &Report{}
		changed := *entries[int(at)%len(entries)]
		changed.PublicMaps = maps
		if err := r.add(&changed, none); err != nil {
			t.Fatal(err)
		}
		if decoded, err := kv.DecodeDomain(maps, true); err == nil && len(governed(decoded)) > 0 && r.store.Tip() != changed.TxID {
			t.Errorf("the entry was not installed")
		}
	})
}
