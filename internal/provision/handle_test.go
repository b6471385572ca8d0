package provision

import (
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"synod/internal/arm"
)

// tired is a worker whose network's operation hangs until its context ends.
func tired(t *testing.T) (*worker, *arm.Store, chan time.Duration) {
	t.Helper()
	store, err := arm.OpenStore(t.Context(), filepath.Join(t.TempDir(), "server.db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	m := &Manager{o: Options{Store: store, Log: slog.New(slog.DiscardHandler), Now: time.Now}, workers: map[string]*worker{}, backups: map[string]backupState{}}
	op := arm.Operation{Kind: arm.KindBackup}
	n := arm.Network{ID: arm.NetworkID{Subscription: "s", Group: "g", Name: "bank"}, Desired: arm.Desired{RunningState: arm.RunningActive}}
	w := newWorker(m, n.ID)
	if w.net, err = store.PutDesired(t.Context(), n, arm.Precondition{}, &op); err != nil {
		t.Fatal(err)
	}
	w.op = &op
	began, ended := make(chan struct{}), make(chan time.Duration)
	go func() {
		ended <- w.handle(t.Context(), func(ctx context.Context, _ arm.Network, _ arm.Operation, report func(string, string, string)) (json.RawMessage, error) {
			report("CopyFiles", arm.OperationRunning, "")
			close(began)
			<-ctx.Done()
			return nil, ctx.Err()
		})
	}()
	<-began
	return w, store, ended
}

// A backup whose store does not answer ends when somebody cancels it, and when the
// network is to go.
func TestWhatHangsCanBeEnded(t *testing.T) {
	w, store, ended := tired(t)
	id := w.op.ID
	if err := store.RequestCancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	<-ended
	if op, err := store.Operation(t.Context(), id); err != nil || op.Status != arm.OperationCanceled || op.Error == nil || op.Error.Code != CodeCanceled {
		t.Errorf("%+v, %v", op, err)
	}

	w, store, ended = tired(t)
	n := w.net
	n.Desired.Deleted = true
	if _, err := store.PutDesired(t.Context(), n, arm.Precondition{}, &arm.Operation{Kind: arm.KindDelete}); err != nil {
		t.Fatal(err)
	}
	<-ended
	now, err := store.Network(t.Context(), n.ID)
	if w.op != nil || err != nil || now.Status.ProvisioningState != arm.StateDeleting || len(w.nudge) == 0 {
		t.Errorf("%+v, %+v, %v", w.op, now.Status, err)
	}
}

func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, touch, cancel := patience(t.Context(), time.Minute)
		defer cancel(nil)
		for range 3 {
			time.Sleep(50 * time.Second)
			touch()
		}
		if ctx.Err() != nil {
			t.Error("it ended though it came further")
		}
		time.Sleep(61 * time.Second)
		if context.Cause(ctx) != errStalled { //nolint:errorlint // the very one
			t.Errorf("%v", context.Cause(ctx))
		}
	})
}
