package arm

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func openTestStore(t *testing.T, c *clock) *Store {
	t.Helper()
	s, err := OpenStore(t.Context(), filepath.Join(t.TempDir(), "server.db"), c.now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func testNetwork(name string) Network {
	return Network{
		ID: NetworkID{"sub", "Group", name}, Location: "local", Tags: map[string]string{"dept": "finance"}, ModifiedBy: "ann",
		Desired: Desired{
			NodeCount: 3, RunningState: RunningActive, UpgradeStrategy: Supervised, CertificateDays: 90,
			Members:     []Member{{Certificate: "PEM", Tags: json.RawMessage(`{"identifier":"m0"}`)}},
			RestoreFrom: &RestoreSource{Target: "https://store.example/share?sig=secret-token", Share: "a-1"},
		},
	}
}

func put(t *testing.T, s *Store, n Network, cond Precondition, op *Operation) Network {
	t.Helper()
	stored, err := s.PutDesired(t.Context(), n, cond, op)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

// wantCode checks that err is an *Error with a code.
func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("got %v, want %s", err, code)
	}
}

func TestNetworkOutlivesTheProcess(t *testing.T) {
	c := newClock()
	path := filepath.Join(t.TempDir(), "server.db")
	s, err := OpenStore(t.Context(), path, c.now)
	if err != nil {
		t.Fatal(err)
	}
	op := &Operation{Kind: KindCreate, RequestedBy: "ann", Input: json.RawMessage(`{"uri":"https://x/?sig=secret-token"}`)}
	stored := put(t, s, testNetwork("Bank"), Precondition{}, op)
	if stored.Revision != 1 || stored.ETag == "" || stored.Status.ProvisioningState != StateAccepted || !stored.CreatedAt.Equal(c.now()) {
		t.Fatalf("stored %+v", stored)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	if s, err = OpenStore(t.Context(), path, c.now); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, err := s.Network(t.Context(), NetworkID{"SUB", "group", "bank"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(stored, got); diff != "" {
		t.Error(diff)
	}
	running, err := s.RunningOperations(t.Context())
	if err != nil || len(running) != 1 {
		t.Fatal(running, err)
	}
	if diff := cmp.Diff(*op, running[0]); diff != "" {
		t.Error(diff)
	}

	info, err := os.Stat(path + ".key")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v", info.Mode(), err)
	}
	for _, name := range []string{path, path + "-wal"} {
		if b, err := os.ReadFile(name); err == nil && bytes.Contains(b, []byte("secret-token")) {
			t.Errorf("%s holds a token in the clear", filepath.Base(name))
		}
	}
}

func TestAnotherKeyIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.db")
	s, err := OpenStore(t.Context(), path, newClock().now)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, testNetwork("bank"), Precondition{}, nil)
	if err := errors.Join(s.Close(), os.Remove(path+".key")); err != nil {
		t.Fatal(err)
	}
	if s, err = OpenStore(t.Context(), path, newClock().now); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.NetworkNamed(t.Context(), "bank"); err == nil || !strings.Contains(err.Error(), "unseal") {
		t.Fatal(err)
	}
}

func TestANewerStoreIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.db")
	s, err := OpenStore(t.Context(), path, newClock().now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.write.ExecContext(t.Context(), "PRAGMA user_version = 999"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenStore(t.Context(), path, newClock().now); !errors.Is(err, ErrNewerStore) {
		t.Fatal(err)
	}
}

func TestPreconditions(t *testing.T) {
	s := openTestStore(t, newClock())
	n := testNetwork("bank")
	_, err := s.PutDesired(t.Context(), n, Precondition{Match: "*"}, nil)
	wantCode(t, err, CodePreconditionFailed)
	first := put(t, s, n, Precondition{NoneMatch: true}, nil)
	_, err = s.PutDesired(t.Context(), n, Precondition{NoneMatch: true}, nil)
	wantCode(t, err, CodePreconditionFailed)

	n.ID.Name = "BANK" // the same network, and its name stays as it was first written
	n.Desired.NodeCount = 5
	n.ModifiedBy = "bob"
	second := put(t, s, n, Precondition{Match: first.ETag}, nil)
	if second.ID.Name != "bank" || second.Revision != 2 || second.ETag == first.ETag || second.CreatedBy != "ann" || second.ModifiedBy != "bob" {
		t.Errorf("%+v", second)
	}
	_, err = s.PutDesired(t.Context(), n, Precondition{Match: first.ETag}, nil)
	wantCode(t, err, CodePreconditionFailed)
	put(t, s, n, Precondition{Match: "*"}, nil)
}

func TestNamesAreUniqueOnAServer(t *testing.T) {
	s := openTestStore(t, newClock())
	put(t, s, testNetwork("bank"), Precondition{}, nil)
	n := testNetwork("Bank")
	n.ID.Group = "other"
	op := &Operation{Kind: KindCreate}
	_, err := s.PutDesired(t.Context(), n, Precondition{}, op)
	wantCode(t, err, CodeAlreadyExists)
	if running, err := s.RunningOperations(t.Context()); err != nil || len(running) != 0 {
		t.Errorf("an operation was left behind: %v, %v", running, err)
	}
}

func TestOneOperationAtATime(t *testing.T) {
	c := newClock()
	s := openTestStore(t, c)
	create := &Operation{Kind: KindCreate}
	n := put(t, s, testNetwork("bank"), Precondition{}, create)
	_, err := s.PutDesired(t.Context(), n, Precondition{}, &Operation{Kind: KindUpdate})
	wantCode(t, err, CodeOperationNotAllowed)
	if got, _ := s.Network(t.Context(), n.ID); got.Revision != 1 {
		t.Errorf("the refused write was stored: %+v", got)
	}

	// A delete goes first, and is alone.
	n.Desired.Deleted = true
	c.move(time.Second)
	end := &Operation{Kind: KindDelete}
	put(t, s, n, Precondition{}, end)
	first, err := s.Operation(t.Context(), create.ID)
	if err != nil || first.Status != OperationCanceled || first.Error == nil || first.Error.Code != CodeOperationPreempted || first.EndedAt != c.now() {
		t.Errorf("%+v, %v", first, err)
	}
	first.Status = OperationSucceeded
	if err := s.UpdateOperation(t.Context(), first); !errors.Is(err, ErrOperationEnded) {
		t.Errorf("an end was changed: %v", err)
	}
	_, err = s.PutDesired(t.Context(), n, Precondition{}, &Operation{Kind: KindDelete})
	wantCode(t, err, CodeOperationNotAllowed)

	if err := s.RequestCancel(t.Context(), end.ID); err != nil {
		t.Fatal(err)
	}
	end.Status, end.Steps = OperationSucceeded, []OperationStep{{Name: "stop nodes", Status: OperationSucceeded, StartedAt: c.now()}}
	end.Result = json.RawMessage(`{"message":"done"}`)
	if err := errors.Join(s.DeleteNetwork(t.Context(), n.ID), s.UpdateOperation(t.Context(), *end)); err != nil {
		t.Fatal(err)
	}
	got, err := s.Operation(t.Context(), end.ID)
	if err != nil || !got.Ended() || !got.CancelRequested || len(got.Steps) != 1 || string(got.Result) != string(end.Result) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := s.RequestCancel(t.Context(), end.ID); !errors.Is(err, ErrOperationEnded) {
		t.Error(err)
	}
	if err := s.RequestCancel(t.Context(), "none"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	all, err := s.Operations(t.Context(), n.ID, 10)
	if err != nil || len(all) != 2 || all[0].ID != end.ID {
		t.Errorf("%+v, %v", all, err)
	}

	c.move(OperationsKept + time.Hour)
	if err := s.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Operation(t.Context(), end.ID); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func TestDeletedNetworkIsRemembered(t *testing.T) {
	c := newClock()
	s := openTestStore(t, c)
	n := put(t, s, testNetwork("bank"), Precondition{}, nil)
	if _, _, err := s.DeletedNetwork(t.Context(), n.ID); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	if err := s.DeleteNetwork(t.Context(), n.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteNetwork(t.Context(), n.ID); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if err := s.PutStatus(t.Context(), n.ID, Status{}); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	got, at, err := s.DeletedNetwork(t.Context(), n.ID)
	if err != nil || at != c.now() {
		t.Fatal(at, err)
	}
	if diff := cmp.Diff(n.Desired, got.Desired); diff != "" {
		t.Error(diff)
	}
}

func TestPruning(t *testing.T) {
	c := newClock()
	s := openTestStore(t, c)
	n := put(t, s, testNetwork("bank"), Precondition{}, nil)
	for range operationsOfNetworkMax + 5 {
		if err := s.StartOperation(t.Context(), &Operation{Network: n.ID, Kind: KindUpdate, Status: OperationSucceeded}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.StartOperation(t.Context(), &Operation{Network: n.ID, Kind: KindBackup}), s.Prune(t.Context())); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Operations(t.Context(), n.ID, 5000); err != nil || len(all) != operationsOfNetworkMax+1 || all[0].Kind != KindBackup {
		t.Error(len(all), err)
	}
	if err := errors.Join(s.DeleteNetwork(t.Context(), n.ID), s.Prune(t.Context())); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.DeletedNetwork(t.Context(), n.ID); err != nil {
		t.Fatal(err)
	}
	c.move(deletedKept + time.Hour)
	if err := s.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.DeletedNetwork(t.Context(), n.ID); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func TestListsArePaged(t *testing.T) {
	s := openTestStore(t, newClock())
	for _, name := range []string{"delta", "Alpha", "charlie", "bravo"} {
		put(t, s, testNetwork(name), Precondition{}, nil)
	}
	names := func(f Filter) (all []string) {
		found, err := s.Networks(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range found {
			all = append(all, n.ID.Name)
		}
		return all
	}
	for _, test := range []struct {
		filter Filter
		want   []string
	}{
		{Filter{}, []string{"Alpha", "bravo", "charlie", "delta"}},
		{Filter{Subscription: "SUB", Group: "group", Limit: 2}, []string{"Alpha", "bravo"}},
		{Filter{After: "BRAVO", Limit: 2}, []string{"charlie", "delta"}},
		{Filter{Group: "other"}, nil},
		{Filter{Name: "CHARLIE"}, []string{"charlie"}},
	} {
		if got := names(test.filter); !slices.Equal(got, test.want) {
			t.Errorf("%+v: %v, want %v", test.filter, got, test.want)
		}
	}
}

func TestWatch(t *testing.T) {
	s := openTestStore(t, newClock())
	ctx, cancel := context.WithCancel(t.Context())
	changes := s.Watch(ctx)
	op := &Operation{Kind: KindCreate}
	n := put(t, s, testNetwork("bank"), Precondition{}, op)
	for range 2 { // the second says nothing new
		if err := s.PutStatus(t.Context(), n.ID, Status{ProvisioningState: StateCreating}); err != nil {
			t.Fatal(err)
		}
	}
	op.Status = OperationSucceeded
	if err := s.UpdateOperation(t.Context(), *op); err != nil {
		t.Fatal(err)
	}
	want := []Change{
		{ChangeNetwork, n.ID, ""}, {ChangeOperation, n.ID, op.ID}, {ChangeStatus, n.ID, ""}, {ChangeOperation, n.ID, op.ID},
	}
	for _, w := range want {
		if got := <-changes; got != w {
			t.Errorf("%+v, want %+v", got, w)
		}
	}
	// Who does not read gets one change for all that it missed.
	for range watchMax + 1 {
		s.tell([]Change{{Kind: ChangeAudit}})
	}
	if got := <-changes; got.Kind != ChangeAll {
		t.Errorf("%+v", got)
	}
	cancel()
	if _, ok := <-changes; ok {
		t.Error("the watch goes on after its context")
	}
}

func TestAuditIsAChain(t *testing.T) {
	c := newClock()
	s := openTestStore(t, c)
	for _, target := range []string{"/subscriptions/s/a", "/subscriptions/s/a/b", "/subscriptions/s/ab"} {
		c.move(time.Second)
		if err := s.AppendAudit(t.Context(), AuditEntry{Principal: "ann", Action: "write", Target: target, Result: "201", RequestID: "r"}); err != nil {
			t.Fatal(err)
		}
	}
	last, hash, err := s.VerifyAudit(t.Context())
	if err != nil || last != 3 || len(hash) != 32 {
		t.Fatal(last, hash, err)
	}
	found, err := s.Audit(t.Context(), AuditFilter{Target: "/SUBSCRIPTIONS/s/a"})
	if err != nil || len(found) != 2 || found[0].Seq != 2 || found[1].Seq != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	if found, err = s.Audit(t.Context(), AuditFilter{Before: 3, Limit: 1}); err != nil || len(found) != 1 || found[0].Seq != 2 {
		t.Fatalf("%+v, %v", found, err)
	}
	for _, tamper := range []string{
		`UPDATE audit SET principal = 'bob' WHERE seq = 2`,
		`DELETE FROM audit WHERE seq = 2`,
	} {
		err := s.change(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.ExecContext(t.Context(), tamper)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if last, _, err := s.VerifyAudit(t.Context()); !errors.Is(err, ErrAuditBroken) || last != 1 {
			t.Errorf("%s: %d, %v", tamper, last, err)
		}
	}
}

// TestManyWriters is what a server does: requests, a reconciler and an audit
// log at once, on one file.
func TestManyWriters(t *testing.T) {
	s := openTestStore(t, newClock())
	n := put(t, s, testNetwork("bank"), Precondition{}, nil)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 10 {
				err := errors.Join(
					s.AppendAudit(t.Context(), AuditEntry{Principal: "p"}),
					s.PutStatus(t.Context(), n.ID, Status{ObservedRevision: int64(100*i + j)}))
				if _, err2 := s.Network(t.Context(), n.ID); err != nil || err2 != nil {
					t.Error(err, err2)
				}
			}
		})
	}
	group.Wait()
	if last, _, err := s.VerifyAudit(t.Context()); err != nil || last != 80 {
		t.Error(last, err)
	}
}
