package portal

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"synod/internal/arm"
)

// A network is shown its own backups, not those of one whose name begins with its own.
func TestBackupsOfOneNetwork(t *testing.T) {
	store, err := arm.OpenStore(t.Context(), filepath.Join(t.TempDir(), "server.db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	auth, err := arm.NewAuth(arm.AuthConfig{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	api, err := arm.NewServer(t.Context(), arm.Config{Store: store, Auth: auth, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	mine, other := arm.NetworkID{Subscription: "s", Group: "g", Name: "bank"}, arm.NetworkID{Subscription: "s", Group: "g", Name: "bank-2026"}
	if _, err := store.PutDesired(t.Context(), arm.Network{ID: mine}, arm.Precondition{}, nil); err != nil {
		t.Fatal(err)
	}
	if err := store.AddRole(t.Context(), arm.RoleAssignment{Principal: "cert:ann", Role: "reader", Scope: mine.ResourceID()}); err != nil {
		t.Fatal(err)
	}
	p := &Portal{c: Config{Store: store, ARM: api, Backups: func(context.Context, arm.Network) ([]arm.BackupRecord, error) {
		return []arm.BackupRecord{
			{Share: "bank-20260501-120000", Network: strings.ToUpper(mine.ResourceID()), Target: "s3://key:secret@bucket"},
			{Share: "bank-2026-20260501-120000", Network: other.ResourceID()},
		}, nil
	}}}
	r := httptest.NewRequestWithContext(context.WithValue(t.Context(), sessionKey{}, session{who: arm.Principal{Name: "cert:ann"}}), "GET", "/portal/v1/networks/bank/backups", nil)
	r.SetPathValue("name", "bank")
	w := httptest.NewRecorder()
	if err := p.backups(w, r); err != nil || !strings.Contains(w.Body.String(), "bank-20260501") || strings.Contains(w.Body.String(), "bank-2026-") || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("%s, %v", w.Body, err)
	}
}

// Who may read one network is told of that one, and not that there are others.
func TestEventsOfWhatMayBeRead(t *testing.T) {
	store, err := arm.OpenStore(t.Context(), filepath.Join(t.TempDir(), "server.db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	auth, err := arm.NewAuth(arm.AuthConfig{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	api, err := arm.NewServer(t.Context(), arm.Config{Store: store, Auth: auth, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	mine, other := arm.NetworkID{Subscription: "s", Group: "g", Name: "mine"}, arm.NetworkID{Subscription: "s", Group: "g", Name: "other"}
	if err := store.AddRole(t.Context(), arm.RoleAssignment{Principal: "cert:ann", Role: "reader", Scope: mine.ResourceID()}); err != nil {
		t.Fatal(err)
	}
	p := &Portal{c: Config{Store: store, ARM: api}}
	told := func(who arm.Principal) string {
		changes := make(chan arm.Change, 8)
		changes <- arm.Change{Kind: arm.ChangeStatus, Network: other}
		changes <- arm.Change{Kind: arm.ChangeOperation, Network: other, Operation: "op-other"}
		changes <- arm.Change{Kind: arm.ChangeAudit}
		changes <- arm.Change{Kind: arm.ChangeAll}
		close(changes)
		r := httptest.NewRequestWithContext(context.WithValue(t.Context(), sessionKey{}, session{who: who}), "GET", "/portal/v1/events", nil)
		w := httptest.NewRecorder()
		p.writeBatch(w, r, arm.Change{Kind: arm.ChangeNetwork, Network: mine}, changes)
		return w.Body.String()
	}
	ann := told(arm.Principal{Name: "cert:ann"})
	if !strings.Contains(ann, `"mine"`) || !strings.Contains(ann, arm.ChangeAll) || strings.Contains(ann, "other") || strings.Contains(ann, arm.ChangeAudit) {
		t.Errorf("a reader of one network is told %s", ann)
	}
	if nobody := told(arm.Principal{Name: "cert:bob"}); strings.Contains(nobody, "mine") || strings.Contains(nobody, "other") {
		t.Errorf("who has no role is told %s", nobody)
	}
}

// One user's pages leave room for those of others.
func TestStreamsOfOneUser(t *testing.T) {
	p := &Portal{streams: map[string]int{}}
	for range userStreamsMax {
		if !p.enter("cert:ann") {
			t.Fatal("refused too early")
		}
	}
	if p.enter("cert:ann") || !p.enter("cert:bob") {
		t.Error("ann has all of them")
	}
	p.leave("cert:ann")
	p.leave("cert:bob")
	if !p.enter("cert:ann") || len(p.streams) != 1 {
		t.Errorf("%v", p.streams)
	}
}
