package frontend

import (
	"context"
	"errors"
	"fmt"
	"time"

	"synod"
	"synod/app"
	"synod/internal/auth"
	"synod/internal/consensus"
	"synod/internal/httpd"
	"synod/internal/kv"
	"synod/internal/machine"
)

// txHeader names the transaction of an answer.
const txHeader = "x-ms-ccf-transaction-id"

// execution is one attempt to answer one request.
type execution struct {
	server  *Server
	mount   *mount
	session *httpd.Session
	sess    *session
	req     *app.Request
	path    string // without the mount's prefix
	wait    wait
	// patience bounds what the answer may wait for; 0 means the usual bounds.
	patience     time.Duration
	forwarded    bool   // another node sent it
	linearizable bool   // to be read at the service's commit
	snapshot     *kv.Tx // to be run on this, if it is not nil
}

// run answers, or returns kv.ErrConflict to be run again, or another error to
// be shown.
func (x *execution) run(ctx context.Context) (*app.Response, error) {
	match, tx, err := x.find()
	if tx != nil {
		defer tx.Release()
	}
	if err != nil {
		return nil, err
	}
	if match == nil {
		return nil, synod.Errorf(404, synod.CodeResourceNotFound, "Unknown path: %s.", x.path)
	}
	if match.Endpoint == nil {
		return notAllowed(x.req.Method, match.Allow), nil
	}
	e := match.Endpoint
	// The node that forwards has looked at its interface.
	if !x.forwarded && !x.server.accepts(x.session.Interface, x.mount.Prefix+e.Path) {
		return &app.Response{Status: 503}, nil
	}
	if resp := x.elsewhere(ctx, e, tx); resp != nil {
		return resp, nil
	}
	if x.linearizable && x.snapshot == nil {
		return x.runLinearizable(ctx, e, tx)
	}
	x.sess.bind(x.server.cfg.Replica.Role())
	if tx == nil && !(e.Command && len(e.Policies) == 0) {
		tx = x.begin()
		defer tx.Release()
	}
	return x.handle(ctx, match, tx)
}

// handle authenticates the caller and runs the handler.
func (x *execution) handle(ctx context.Context, match *app.Match, tx *kv.Tx) (*app.Response, error) {
	e := match.Endpoint
	c := app.NewContext(ctx, x.req, appTx(tx), e, match.Params)
	c.Prefix = x.mount.Prefix
	c.Attach(x.server.cfg.Node)
	if len(e.Policies) > 0 {
		caller, err := auth.Authenticate(c, e.Policies, x.server.cfg.Now(), x.sess.cache)
		if err != nil {
			return answerError(c, err), nil
		}
		c.Caller = caller
	}
	err := e.Handler(c)
	if tx != nil && tx.Touched() {
		x.sess.saw(tx.ReadVersion())
	}
	// Before anything is recorded, and after the last look at the state.
	if resp := x.lost(); resp != nil {
		return resp, nil
	}
	if err != nil {
		return x.handlerFailed(c, tx, err)
	}
	return x.finish(ctx, c, tx)
}

// begin is the transaction to run on.
func (x *execution) begin() *kv.Tx {
	if x.snapshot != nil {
		return x.snapshot
	}
	return x.server.cfg.Store.Begin()
}

// find looks the endpoint up: those of the application's resolver first, as in
// CCF, so that a bundle may replace a common endpoint; then declared ones. What
// the resolver read is in the transaction that the handler goes on with
// (CCF: src/js/registry.cpp, find_endpoint).
func (x *execution) find() (*app.Match, *kv.Tx, error) {
	resolver := x.mount.App.Resolver()
	if resolver == nil {
		match, err := x.mount.router.match(x.req.Method, x.path)
		return match, nil, err
	}
	tx := x.begin()
	dynamic, err := resolver.Resolve(tx, x.req.Method, x.path)
	if err != nil || dynamic != nil && dynamic.Endpoint != nil {
		return dynamic, tx, err
	}
	match, err := x.mount.router.match(x.req.Method, x.path)
	switch {
	case err != nil:
		return nil, tx, err
	case match == nil:
		return dynamic, tx, nil
	case match.Endpoint == nil && dynamic != nil:
		match.Allow = append(match.Allow, dynamic.Allow...)
	case match.Endpoint != nil && match.Endpoint.Command:
		tx.Release()
		return match, nil, nil
	}
	return match, tx, nil
}

// appTx avoids an interface that holds a nil pointer.
func appTx(tx *kv.Tx) app.Tx {
	if tx == nil {
		return nil
	}
	return tx
}

// handlerFailed answers a handler's error. Its writes are dropped unless it
// asked to keep them.
func (x *execution) handlerFailed(c *app.Context, tx *kv.Tx, err error) (*app.Response, error) {
	if errors.Is(err, kv.ErrConflict) {
		return nil, err
	}
	if keep := c.ForcedWrites(); keep == nil || !*keep {
		return answerError(c, err), nil
	}
	c.Fail(asError(err))
	return x.finish(c.Context(), c, tx)
}

func answerError(c *app.Context, err error) *app.Response {
	c.Fail(asError(err))
	return c.Response()
}

// finish submits what the handler wrote and completes its answer.
func (x *execution) finish(ctx context.Context, c *app.Context, tx *kv.Tx) (*app.Response, error) {
	resp := c.Response()
	if tx == nil || !tx.Touched() || !c.AppliesWrites() {
		return withStatus(c), nil
	}
	id := tx.ReadVersion()
	wrote := tx.Written()
	var outcome outcome
	if wrote {
		if c.Endpoint.Mode != app.ReadWrite {
			return nil, fmt.Errorf("endpoint %s %s is %s and must not write", c.Endpoint.Method, c.Endpoint.Path, c.Endpoint.Mode)
		}
		var err error
		if id, outcome, err = x.submit(ctx, machine.Prepare(tx, c.Claims())); err != nil {
			return nil, submitError(err)
		}
		if id.View != x.sess.view {
			// Ordered, but after an election that the session did not see.
			resp := x.inconsistent(id.View)
			resp.Header.Set(txHeader, id.String())
			return resp, nil
		}
	}
	c.Ordered(id)
	x.sess.saw(id)
	withStatus(c)
	if x.wait != waitNone && wrote {
		return x.answerCommitted(ctx, resp, id, outcome), nil
	}
	return resp, nil
}

// withStatus completes an answer to which nobody gave a status.
func withStatus(c *app.Context) *app.Response {
	resp := c.Response()
	if resp.Status == 0 {
		resp.Status = 200
		if resp.Body == nil && !c.Endpoint.Command {
			resp.Status = 204
		}
	}
	return resp
}

// submitError is what the client sees of a refused transaction; conflicts stay
// as they are, to be run again.
func submitError(err error) error {
	if errors.Is(err, consensus.ErrTooMuch) {
		return tooManyPending()
	}
	if errors.Is(err, consensus.ErrFull) {
		return synod.Errorf(503, synod.CodeTooManyPendingTransactions, "The node's disk is full: nothing was written. Retry once there is room.")
	}
	if errors.Is(err, consensus.ErrNotPrimary) || errors.Is(err, consensus.ErrDropped) || errors.Is(err, consensus.ErrStopped) {
		return synod.Errorf(503, synod.CodeTransactionReplicationFailed, "Transaction failed to replicate: %s. Retry it.", err)
	}
	return err
}

// accepts says whether an interface serves an endpoint.
func (s *Server) accepts(name, template string) bool {
	patterns := s.cfg.Accepted[name]
	if len(patterns) == 0 {
		return !s.cfg.Unsecured[name]
	}
	for _, p := range patterns {
		if p.MatchString(template) {
			return true
		}
	}
	return false
}
