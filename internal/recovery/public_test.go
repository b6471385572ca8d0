package recovery_test

import (
	"encoding/binary"
	"os"
	"slices"
	"testing"

	"synod"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/recovery"
)

// TestUnsignedView reads a ledger whose last entry, which no signature covers,
// claims a view that nobody has reached: it is dropped and costs nothing.
func TestUnsignedView(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../ledger/testdata/ledger")); err != nil {
		t.Fatal(err)
	}
	log, err := ledger.Open(ledger.Config{Dir: dir, Recover: true})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	read := func() *recovery.Outcome {
		out, err := recovery.Public(t.Context(), log, kv.New(), recovery.Begin{}, func(synod.TxID) {})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	want := read()
	next := log.Last() + 1
	entries, err := log.Read(next-2, next-2, 0) // the last is a signature
	if err != nil {
		t.Fatal(err)
	}
	forged := entries[0]
	binary.LittleEndian.PutUint64(forged[ledger.IVAt:], uint64(next))
	binary.LittleEndian.PutUint64(forged[ledger.PublicAt+1:], uint64(next))
	binary.LittleEndian.PutUint32(forged[ledger.IVAt+8:], 1<<24)
	if err := log.Append(next, [][]byte{forged}); err != nil {
		t.Fatal(err)
	}
	got := read()
	if got.Last != want.Last || got.Present != next || !slices.Equal(got.ViewStarts, want.ViewStarts) {
		t.Errorf("believed up to %s of %d, views begin at %d; want up to %s, views at %d", got.Last, got.Present, got.ViewStarts, want.Last, want.ViewStarts)
	}
	if len(want.ViewStarts) != int(want.Last.View) {
		t.Errorf("%d views up to %s", len(want.ViewStarts), want.Last)
	}
	if cap(got.ViewStarts) > 1000 {
		t.Errorf("room for %d views", cap(got.ViewStarts))
	}
}
