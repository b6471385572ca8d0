package provision

import (
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
