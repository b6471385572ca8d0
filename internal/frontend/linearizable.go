package frontend

import (
	"context"
	"errors"
	"time"

	"synod"
	"synod/app"
	"synod/internal/kv"
)

// linearizableWanted reads x-synod-consistency.
func linearizableWanted(req *app.Request) (bool, error) {
	switch v := req.Header.Get("x-synod-consistency"); v {
	case "":
		return false, nil
	case "linearizable":
		return true, nil
	default:
		return false, synod.Errorf(400, synod.CodeInvalidHeaderValue,
			"The header x-synod-consistency is %q; use linearizable, or leave it out.", v)
	}
}

// readsOnly refuses linearizability where it would be an empty promise: an
// endpoint that may write runs on the newest state, a historical one on what
// it names, a command on no state, and only an application's are covered.
func (x *execution) readsOnly(e *app.Endpoint) error {
	if x.mount.Prefix == "/app" && e.Mode == app.ReadOnly && !e.Command {
		return nil
	}
	return synod.Errorf(400, synod.CodeInvalidHeaderValue,
		"The header x-synod-consistency is for the read-only endpoints of an application, which %s %s%s is not. Leave it out.",
		e.Method, x.mount.Prefix, e.Path)
}

// runLinearizable runs the request again on a snapshot that is known to be
// fresh. tx, on which the endpoint was found, is not used any more.
func (x *execution) runLinearizable(ctx context.Context, e *app.Endpoint, tx *kv.Tx) (*app.Response, error) {
	if err := x.readsOnly(e); err != nil {
		return nil, err
	}
	if tx != nil {
		tx.Release()
	}
	snapshot, err := x.committedSnapshot(ctx)
	if errors.Is(err, errSessionLost) {
		return x.inconsistent(x.server.cfg.Replica.Role().View), nil
	}
	if wire := (*synod.Error)(nil); errors.As(err, &wire) {
		return retryLater(wire), nil
	}
	if err != nil {
		return nil, err
	}
	defer snapshot.Release()
	x.snapshot = snapshot
	return x.run(ctx)
}

// committedSnapshot begins a transaction on the service's commit, at or after
// everything that was committed when the request came and all that the session
// has seen. It never shows what is not committed.
func (x *execution) committedSnapshot(ctx context.Context) (*kv.Tx, error) {
	s := x.server
	s.routing.linearizable.Add(1)
	limit := s.patience(x.session.Interface)
	if x.patience != 0 {
		limit = x.patience
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	least, err := s.readIndex(ctx)
	if seen := x.sess.seen; err == nil && seen.SeqNo != 0 {
		var status synod.TxStatus
		status, _, err = s.cfg.Replica.WaitCommitted(ctx, seen, false)
		if status == synod.TxInvalid {
			return nil, errSessionLost
		}
		least = max(least, seen.SeqNo)
	}
	if err != nil {
		s.routing.notConfirmed.Add(1)
		return nil, notConfirmed(limit, err)
	}
	for {
		// The store is compacted up to the service's commit.
		tx, err := s.cfg.Store.BeginAt(max(least, s.cfg.Store.Compacted().SeqNo))
		if !errors.Is(err, kv.ErrCompacted) {
			return tx, err
		}
		// Commit moved on between the two calls.
	}
}

// readIndex is the commit that a linearizable read must see. A node without
// others is its own majority while it leads.
func (s *Server) readIndex(ctx context.Context) (synod.SeqNo, error) {
	if s.cfg.Cluster != nil {
		return s.cfg.Cluster.ReadIndex(ctx)
	}
	if !s.cfg.Replica.Role().Leading {
		return 0, errors.New("this node does not lead")
	}
	return s.cfg.Replica.Committed().SeqNo, nil
}

// errSessionLost says that a transaction that the session has seen will never
// be committed.
var errSessionLost = errors.New("a transaction that the session has seen is invalid")

func notConfirmed(limit time.Duration, cause error) *synod.Error {
	return &synod.Error{
		Status: 503, Code: synod.CodeInternalError, Cause: cause,
		Message: "This node could not confirm with a majority of the service within " + limit.String() +
			" that its state is up to date. Nothing was read. Retry, or read without x-synod-consistency.",
	}
}
