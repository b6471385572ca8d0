package provision

import (
	"context"
	"encoding/json"
	"errors"
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
	report := func(name, status, message string) {
		w.note(ctx, Step{Kind: StepKind(name), Ordinal: -1}, status, message)
	}
	result, err := h(ctx, w.net, *w.op, report)
	if ctx.Err() != nil || w.op == nil {
		return busyPause // it is done again by whoever comes next, or was canceled
	}
	status, why := arm.OperationSucceeded, (*arm.Error)(nil)
	if err != nil {
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
