package provision

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"synod/internal/arm"
)

// fakeDriver has nodes that are only remembered; none of them answers.
type fakeDriver struct {
	Driver // what is not used here

	mu      sync.Mutex
	alive   bool // whether nodes that are started go on
	next    int
	nodes   []Node
	removed []string
}

func (d *fakeDriver) Nodes(context.Context, string) ([]Node, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.nodes), nil
}

func (d *fakeDriver) Start(_ context.Context, spec NodeSpec) (Node, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := Node{Ordinal: d.next, Kind: spec.Kind, Zone: spec.Zone, Release: spec.Release.Name, StartedAt: time.Now(), Alive: d.alive}
	if !n.Alive {
		n.Why = "no such certificate"
	}
	d.next++
	d.nodes = append(d.nodes, n)
	return n, nil
}

func (d *fakeDriver) Stop(_ context.Context, _ string, ordinal int, keepData bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !keepData {
		d.nodes = slices.DeleteFunc(d.nodes, func(n Node) bool { return n.Ordinal == ordinal })
	}
	return nil
}

func (d *fakeDriver) Remove(_ context.Context, network string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.removed = append(d.removed, network)
	return nil
}

// started is how many nodes were, and how many there are.
func (d *fakeDriver) started() (were, are int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.next, len(d.nodes)
}

type managed struct {
	t      *testing.T
	store  *arm.Store
	driver *fakeDriver
}

func newManaged(t *testing.T, before func(*arm.Store)) *managed {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	store, err := arm.OpenStore(ctx, filepath.Join(dir, "server.db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if before != nil {
		before(store)
	}
	op, err := LoadOperator(OperatorOptions{Dir: filepath.Join(dir, "operator")}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	releases, err := OpenReleases(filepath.Join(dir, "releases"))
	if err != nil {
		t.Fatal(err)
	}
	own, err := releases.Add("own", "", filepath.Join("testdata", "release"))
	if err != nil {
		t.Fatal(err)
	}
	releases.SetCurrent(own.Name)
	d := &fakeDriver{}
	m, err := New(Options{Store: store, Driver: d, Operator: op, Releases: releases, Log: slog.New(slog.DiscardHandler), Scratch: filepath.Join(dir, "scratch")})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, store.Close()); err != nil {
			t.Error(err)
		}
	})
	return &managed{t, store, d}
}

var testID = arm.NetworkID{Subscription: "s", Group: "g", Name: "Net1"}

func (m *managed) put(kind string, d arm.Desired) *arm.Operation {
	m.t.Helper()
	op := &arm.Operation{Kind: kind}
	if _, err := m.store.PutDesired(m.t.Context(), arm.Network{ID: testID, Location: "local", Desired: d}, arm.Precondition{}, op); err != nil {
		m.t.Fatal(err)
	}
	return op
}

func (m *managed) wait(what string, ok func() bool) {
	m.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			m.t.Fatalf("%s: not in time", what)
		}
	}
}

func (m *managed) ended(op *arm.Operation) arm.Operation {
	m.t.Helper()
	var last arm.Operation
	m.wait("the operation's end", func() bool {
		var err error
		if last, err = m.store.Operation(m.t.Context(), op.ID); err != nil {
			m.t.Fatal(err)
		}
		return last.Ended()
	})
	return last
}

func wanted() arm.Desired {
	return arm.Desired{NodeCount: 3, RunningState: arm.RunningActive, CertificateDays: 90}
}

// TestManagerGivesUp creates a network whose first node ends again and again, creates
// it anew, and deletes it.
func TestManagerGivesUp(t *testing.T) {
	t.Parallel()
	m := newManaged(t, nil)
	op := m.ended(m.put(arm.KindCreate, wanted()))
	if op.Status != arm.OperationFailed || op.Error == nil || op.Error.Code != CodeFirstNodeFailed || len(op.Steps) == 0 {
		t.Errorf("%+v", op)
	}
	if were, are := m.driver.started(); were != firstTries || are != 0 {
		t.Errorf("%d nodes were started, %d are left", were, are)
	}
	n, err := m.store.Network(t.Context(), testID)
	if err != nil || n.Status.ProvisioningState != arm.StateFailed || len(n.Status.Nodes) != 0 {
		t.Errorf("%+v, %v", n.Status, err)
	}
	op = m.ended(m.put("unheard of", wanted()))
	if op.Status != arm.OperationFailed || op.Error.Code != CodeNotImplemented {
		t.Errorf("%+v", op)
	}
	d := wanted()
	d.Deleted = true
	op = m.ended(m.put(arm.KindDelete, d))
	if op.Status != arm.OperationSucceeded {
		t.Errorf("%+v", op)
	}
	if _, err := m.store.Network(t.Context(), testID); !errors.Is(err, arm.ErrNotFound) {
		t.Errorf("its record: %v", err)
	}
	if !slices.Equal(m.driver.removed, []string{"net1"}) {
		t.Errorf("removed: %v", m.driver.removed)
	}
}

// TestManagerCancels ends the creation of a network whose node does not answer.
func TestManagerCancels(t *testing.T) {
	t.Parallel()
	m := newManaged(t, nil)
	m.driver.alive = true
	op := m.put(arm.KindCreate, wanted())
	m.wait("a node", func() bool { were, _ := m.driver.started(); return were == 1 })
	if err := m.store.RequestCancel(t.Context(), op.ID); err != nil {
		t.Fatal(err)
	}
	if last := m.ended(op); last.Status != arm.OperationCanceled {
		t.Errorf("%+v", last)
	}
	if were, are := m.driver.started(); were != 1 || are != 0 {
		t.Errorf("%d nodes were started, %d are left", were, are)
	}
}

// TestManagerEndsADelete finds a delete whose network is gone already: a control plane
// died in between.
func TestManagerEndsADelete(t *testing.T) {
	t.Parallel()
	op := &arm.Operation{Kind: arm.KindDelete}
	m := newManaged(t, func(s *arm.Store) {
		if _, err := s.PutDesired(t.Context(), arm.Network{ID: testID, Location: "local", Desired: arm.Desired{Deleted: true}}, arm.Precondition{}, op); err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteNetwork(t.Context(), testID); err != nil {
			t.Fatal(err)
		}
	})
	if last := m.ended(op); last.Status != arm.OperationSucceeded {
		t.Errorf("%+v", last)
	}
	if were, _ := m.driver.started(); were != 0 {
		t.Errorf("%d nodes were started", were)
	}
}
