package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"synod/internal/arm"
)

// planned are the operations that Plan brings about.
var planned = map[string]bool{
	arm.KindCreate: true, arm.KindUpdate: true, arm.KindDelete: true, arm.KindUpgrade: true, arm.KindRenew: true, arm.KindRecover: true, arm.KindRestore: true,
	arm.KindReplace: true,
}

// handler is what does the running operation, nil if Plan does or none runs.
func (w *worker) handler() Handler {
	if w.op == nil {
		return nil
	}
	if h := w.m.o.Handlers[w.op.Kind]; h != nil {
		return h
	}
	if planned[w.op.Kind] {
		return nil
	}
	return func(context.Context, arm.Network, arm.Operation, func(string, string, string)) (json.RawMessage, error) {
		return nil, &arm.Error{Code: CodeNotImplemented, Message: "This server does not do operations of kind " + w.op.Kind + "."}
	}
}

// handle has the running operation done.
func (w *worker) handle(ctx context.Context, h Handler) time.Duration {
	var result json.RawMessage
	err := w.m.whileWanted(ctx, w.op.ID, func(ctx context.Context, touch func()) (err error) {
		result, err = h(ctx, w.net, *w.op, func(name, status, message string) {
			touch()
			w.note(ctx, Step{Kind: StepKind(name), Ordinal: -1}, status, message)
		})
		return err
	})
	if errors.Is(err, errPreempted) && w.op != nil {
		w.op = nil
		w.wake()
	}
	if ctx.Err() != nil || w.op == nil {
		return busyPause // it is done again by whoever comes next, or was canceled
	}
	status, why := arm.OperationSucceeded, (*arm.Error)(nil)
	switch {
	case errors.Is(err, errUnwanted):
		status = arm.OperationCanceled
		errors.As(err, &why)
	case err != nil:
		w.m.o.Log.ErrorContext(ctx, "an operation fails", "network", w.name, "kind", w.op.Kind, "err", err.Error())
		status = arm.OperationFailed
		if !errors.As(err, &why) {
			why = &arm.Error{Code: CodeOperationFailed, Message: err.Error()}
		}
	}
	w.op.Result = result
	w.net.Status.ProvisioningState, w.net.Status.ObservedRevision = arm.StateSucceeded, w.net.Revision
	if w.net.Status.MadeAt.IsZero() {
		w.net.Status.ProvisioningState = arm.StateFailed // it was not made before, and is not now
	}
	w.tellBackups()
	if err := w.m.o.Store.PutStatus(ctx, w.id, w.net.Status); err != nil {
		w.complain(ctx, "cannot store a status", err)
	}
	if err := w.end(ctx, status, why); err != nil {
		w.complain(ctx, "cannot end an operation", err)
	}
	return busyPause
}

const (
	// stalledAfter is how long something may go on that is done for a network without
	// having come any further, such as to a backup store that takes bytes and does not
	// answer.
	stalledAfter = 30 * time.Minute
	// unwantedEvery is between two looks whether what is being done is still wanted.
	unwantedEvery = 500 * time.Millisecond
)

var (
	errStalled   = &arm.Error{Code: CodeOperationTimedOut, Message: fmt.Sprintf("Nothing has come of it for %v.", stalledAfter)}
	errUnwanted  = &arm.Error{Code: CodeCanceled, Message: "The operation was canceled."}
	errPreempted = errors.New("the operation ended in favour of another")
)

// whileWanted does what may take long for an operation, as long as that is wanted and
// comes further: do calls touch whenever it has. Otherwise the error is one of the above.
func (m *Manager) whileWanted(ctx context.Context, id string, do func(ctx context.Context, touch func()) error) error {
	guarded, touch, cancel := patience(ctx, stalledAfter)
	var watching sync.WaitGroup
	watching.Go(func() { cancel(m.unwanted(guarded, id)) })
	err := do(guarded, touch)
	cause := context.Cause(guarded)
	cancel(nil)
	watching.Wait()
	if err != nil && cause != nil {
		return cause
	}
	return err
}

// patience makes a context that ends when touch was not called for long.
func patience(ctx context.Context, most time.Duration) (guarded context.Context, touch func(), cancel context.CancelCauseFunc) {
	guarded, cancel = context.WithCancelCause(ctx)
	timer := time.AfterFunc(most, func() { cancel(errStalled) })
	context.AfterFunc(guarded, func() { timer.Stop() })
	return guarded, func() { timer.Reset(most) }, cancel
}

// unwanted waits until somebody cancels an operation, or a delete has ended it, and
// says which; nil if the context ends first.
func (m *Manager) unwanted(ctx context.Context, id string) error {
	for pause(ctx, unwantedEvery) == nil {
		op, err := m.o.Store.Operation(ctx, id)
		switch {
		case err != nil: // the next look may tell
		case op.Ended():
			return errPreempted
		case op.CancelRequested:
			return errUnwanted
		}
	}
	return nil
}
