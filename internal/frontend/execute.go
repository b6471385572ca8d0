package frontend

import (
	"context"
	"errors"
	"fmt"

	"synod"
	"synod/app"
	"synod/internal/auth"
	"synod/internal/consensus"
	"synod/internal/httpd"
	"synod/internal/kv"
	"synod/internal/machine"
)

// execution is one attempt to answer one request.
type execution struct {
	server  *Server
	mount   *mount
	session *httpd.Session
	sess    *session
	req     *app.Request
	path    string // without the mount's prefix
	wait    wait
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
	if !x.server.accepts(x.session.Interface, x.mount.Prefix+e.Path) {
		return &app.Response{Status: 503}, nil
	}
	if tx == nil && !(e.Command && len(e.Policies) == 0) {
		tx = x.server.cfg.Store.Begin()
		defer tx.Release()
	}
	c := app.NewContext(ctx, x.req, appTx(tx), e, match.Params)
	c.Prefix = x.mount.Prefix
	c.Attach(x.server.cfg.Node)
	if len(e.Policies) > 0 {
		caller, err := auth.Authenticate(c, e.Policies, x.server.cfg.Now(), &x.sess.cache)
		if err != nil {
			return answerError(c, err), nil
		}
		c.Caller = caller
	}
	if err := e.Handler(c); err != nil {
		return x.handlerFailed(c, tx, err)
	}
	return x.finish(ctx, c, tx)
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
	tx := x.server.cfg.Store.Begin()
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
	if wrote {
		if c.Endpoint.Mode != app.ReadWrite {
			return nil, fmt.Errorf("endpoint %s %s is %s and must not write", c.Endpoint.Method, c.Endpoint.Path, c.Endpoint.Mode)
		}
		var err error
		if id, err = x.server.cfg.Replica.Submit(machine.Prepare(tx, c.Claims())); err != nil {
			return nil, submitError(err)
		}
	}
	c.Ordered(id)
	withStatus(c)
	if x.wait != waitNone && wrote {
		return x.server.answerWhenCommitted(ctx, resp, id, x.wait), nil
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
