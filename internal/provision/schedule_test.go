package provision

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"synod/internal/arm"
)

// A ledger that is copied as it grows makes no scheduled backup due: that goes by the
// last one that was made as a whole.
func TestDue(t *testing.T) {
	store, err := arm.OpenStore(t.Context(), filepath.Join(t.TempDir(), "server.db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	now := time.Date(2026, 5, 8, 12, 0, 0, 0, time.UTC)
	m := &Manager{o: Options{Store: store, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }}, backups: map[string]backupState{}}
	id := arm.NetworkID{Subscription: "s", Group: "g", Name: "bank"}
	w := newWorker(m, id)
	w.net = arm.Network{ID: id, Desired: arm.Desired{Backup: arm.BackupPolicy{Every: 24 * time.Hour, Continuous: true}}}
	w.net.Status = arm.Status{MadeAt: now.Add(-72 * time.Hour), RunningState: arm.RunningActive}
	if !m.due(t.Context(), w.net) {
		t.Error("the first is not due after three days")
	}
	m.made(id, arm.BackupRecord{Share: "bank-20260508-110000", At: now.Add(-time.Hour)})
	m.made(id, arm.BackupRecord{Share: "bank-live-1", At: now.Add(-time.Minute), Continual: true})
	w.tellBackups()
	if last := w.net.Status.LastBackup; last == nil || !last.Continual {
		t.Errorf("the last is %+v", last)
	}
	if m.due(t.Context(), w.net) {
		t.Error("due an hour after the last")
	}
	now = now.Add(23 * time.Hour)
	if !m.due(t.Context(), w.net) {
		t.Error("not due a day after the last")
	}
}
