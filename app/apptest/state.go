package apptest

import (
	"context"
	"errors"
	"slices"

	"synod"
	"synod/app"
	"synod/internal/kv"
	"synod/internal/machine"
)

// Read lets f look at the newest state. What f writes is dropped.
func (s *Service) Read(f func(tx app.Tx)) {
	tx := s.store.Begin()
	defer tx.Release()
	f(tx)
}

// Write runs f as one transaction, which no endpoint made, and returns its ID.
// It is run again if it conflicts.
func (s *Service) Write(f func(tx app.Tx)) synod.TxID {
	s.t.Helper()
	for {
		id, err := s.submit(f)
		if errors.Is(err, kv.ErrConflict) {
			continue
		}
		if err != nil {
			s.t.Fatalf("apptest: write: %s", err)
		}
		return id
	}
}

func (s *Service) submit(f func(app.Tx)) (synod.TxID, error) {
	tx := s.store.Begin()
	defer tx.Release()
	f(tx)
	if !tx.Written() {
		return tx.ReadVersion(), nil
	}
	return s.replica.Submit(machine.Prepare(tx, [32]byte{}))
}

// Interrupt lets f get in between: the next request's handler runs, then f is
// ordered as a transaction of its own, and only then is the request's ordered.
// If f writes what the handler has read, that is a conflict, and the handler
// runs again. It happens the given number of times, once for each run of a
// handler. Endpoints of a Resolver are not interrupted.
func (s *Service) Interrupt(times int, f func(tx app.Tx)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.times = f, times
}

func (s *Service) interruption() func(app.Tx) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.times == 0 {
		return nil
	}
	s.times--
	return s.before
}

// interruptible copies an application with handlers that make room for
// Interrupt.
func (s *Service) interruptible(a *app.App) *app.App {
	out := app.New(a.Name()).Describe(a.Info()).Resolve(a.Resolver())
	out.OnlyCommonEndpoints(slices.DeleteFunc([]string{"/commit", "/tx", "/receipt", "/api"},
		func(path string) bool { return !a.HasCommonEndpoint(path) })...)
	for _, e := range a.Endpoints() {
		handler := e.Handler
		clone := out.Handle(e.Method, e.Path, handler)
		*clone = *e
		clone.Handler = func(c *app.Context) error {
			err := handler(c)
			if f := s.interruption(); f != nil {
				if _, err := s.submit(f); err != nil {
					s.t.Errorf("apptest: interrupt: %s", err)
				}
			}
			return err
		}
	}
	return out
}

// Committed is the last transaction that the service has committed.
func (s *Service) Committed() synod.TxID { return s.host.Committed() }

// Status is the status of a transaction.
func (s *Service) Status(id synod.TxID) synod.TxStatus { return s.host.Status(id) }

// Proof returns what proves a transaction, once it is committed.
func (s *Service) Proof(id synod.TxID) *app.Proof {
	s.t.Helper()
	s.wait(id)
	p, err := s.host.Proof(id)
	if err != nil {
		s.t.Fatalf("apptest: proof of %s: %s", id, err)
	}
	return p
}

// wait waits until the transaction is committed.
func (s *Service) wait(id synod.TxID) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commitMax)
	defer cancel()
	if status, _, err := s.replica.WaitCommitted(ctx, id, false); err != nil || status != synod.TxCommitted {
		s.t.Fatalf("apptest: %s is not committed: status %q, %v", id, status, err)
	}
}
