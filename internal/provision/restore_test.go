package provision

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"synod/internal/arm"
	"synod/internal/identity"
)

func TestHistoryOfARestoredLedger(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	cert := func(name string) string {
		p, err := identity.NewMember(name, identity.Secp384r1, now)
		if err != nil {
			t.Fatal(err)
		}
		return p.CertPEM
	}
	first, second, third := cert("first"), cert("second"), cert("third")
	known := []arm.Identity{{Certificate: second, From: now, Until: now.Add(time.Hour)}, {Certificate: third, From: now.Add(time.Hour)}}
	got := history(known, []string{first, second})
	if len(got) != 3 || got[0].Certificate != first || got[1] != known[0] || got[2] != known[1] {
		t.Errorf("%+v", got)
	}
	if got := history(nil, []string{first}); len(got) != 1 || !got[0].From.IsZero() {
		t.Errorf("of a new network: %+v", got)
	}
}

func TestScratchOfAKilledServer(t *testing.T) {
	dir := t.TempDir()
	store, err := arm.OpenStore(t.Context(), filepath.Join(dir, "server.db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := store.PutDesired(t.Context(), arm.Network{ID: testID, Location: "local"}, arm.Precondition{}, nil); err != nil {
		t.Fatal(err)
	}
	m := &Manager{o: Options{Store: store, Scratch: filepath.Join(dir, "scratch")}}
	if err := m.tidyScratch(t.Context()); err != nil { // there is none yet
		t.Fatal(err)
	}
	for _, name := range []string{"synod-verify-1", "rehearsal-2", "restore-gone", "restore-net1"} {
		if err := os.MkdirAll(filepath.Join(m.o.Scratch, name, "ledger"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.tidyScratch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(m.o.Scratch); err != nil || len(left) != 1 || left[0].Name() != "restore-net1" {
		t.Errorf("%v, %v", left, err)
	}
}
