package frontend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"synod"
	"synod/app"
	"synod/internal/config"
	"synod/internal/httpd"
)

// forward has the primary answer the request
// (CCF: src/node/rpc/frontend.h, forward; src/node/rpc/forwarder.h).
func (x *execution) forward(ctx context.Context) *app.Response {
	s := x.server
	itf := s.cfg.Interfaces[x.session.Interface]
	if itf.AppProtocol == config.AppHTTP2 {
		return failure(synod.Errorf(501, synod.CodeNotImplemented, "Request cannot be forwarded to primary on HTTP/2 interface."))
	}
	// A session that was shown nothing yet is of the view in which the primary runs
	// its request, however long that takes to be found.
	asked := s.cfg.Replica.Role().View
	if x.sess.view != 0 {
		if resp := x.lost(); resp != nil {
			return resp
		}
	}
	to, ok := s.cfg.Cluster.Primary()
	if !ok {
		s.routing.noPrimary.Add(1)
		return retryLater(synod.Errorf(503, synod.CodeInternalError, "RPC could not be forwarded to unknown primary."))
	}
	timeout := s.patience(x.session.Interface)
	request, err := encodeRequest(&forwardedRequest{
		iface: x.session.Interface, unsecured: s.cfg.Unsecured[x.session.Interface], sessionID: x.session.ID,
		view: x.sess.view, seen: x.sess.seen, timeout: timeout, req: x.req,
	})
	if err != nil {
		return failure(synod.Errorf(413, synod.CodeRequestBodyTooLarge, "%s", err))
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s.routing.forwarded.Add(1)
	answer, err := s.cfg.Cluster.Forward(ctx, to, request)
	if errors.Is(err, ErrUnreachable) {
		s.routing.unreachable.Add(1)
		return retryLater(synod.Errorf(503, synod.CodeInternalError, "Unable to establish channel to forward to primary."))
	}
	// The primary may have executed it, whatever follows.
	x.sess.forwarding = true
	if err != nil {
		if x.sess.view == 0 {
			x.sess.view = asked
		}
		return x.unanswered(ctx, to, timeout, err)
	}
	return x.takeAnswer(ctx, to, answer)
}

// unanswered says that nobody knows here what became of a forwarded request.
// The text is CCF's, and plain, as it is there.
func (x *execution) unanswered(ctx context.Context, to synod.NodeID, timeout time.Duration, err error) *app.Response {
	x.server.routing.unanswered.Add(1)
	text := fmt.Sprintf("Request was forwarded to node %s, but no response was received after %dms", to, timeout.Milliseconds())
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		x.server.cfg.Logger.LogAttrs(ctx, slog.LevelInfo, "a forwarded request was not answered",
			slog.String("to", to.String()), slog.String("err", err.Error()))
		text = fmt.Sprintf("Request was forwarded to node %s, but no response was received: the connection ended", to)
	}
	resp := &app.Response{Status: 504, Body: []byte(text)}
	resp.Header.Set("content-type", "text/plain")
	return resp
}

// takeAnswer makes the primary's answer the session's.
func (x *execution) takeAnswer(ctx context.Context, from synod.NodeID, answer []byte) *app.Response {
	a, err := parseAnswer(answer)
	if err != nil {
		x.server.cfg.Logger.LogAttrs(ctx, slog.LevelError, "a forwarded request was answered by what cannot be read",
			slog.String("from", from.String()), slog.String("err", err.Error()))
		return failure(synod.Errorf(500, synod.CodeInternalError,
			"The answer of node %s cannot be read. The request may have been executed.", from))
	}
	if x.sess.view == 0 {
		x.sess.view = a.ran
	}
	if a.ran != 0 && a.ran != x.sess.view && !a.resp.Close {
		return x.inconsistent(a.ran)
	}
	x.sess.saw(a.seen)
	return a.resp
}

// HandleForwarded answers a request that another node forwarded. from must be
// authenticated as a trusted node: what it says of the client's certificate is
// believed. Lookup and authentication of the caller are done again here. The
// result is for the other node's Cluster.Forward to return. ctx ends the work
// early; the time that the other node has is in the request.
func (s *Server) HandleForwarded(ctx context.Context, from synod.NodeID, request []byte) []byte {
	if n := s.routing.serving.Add(1); n > forwardedInFlightMax {
		s.routing.serving.Add(-1)
		return encodeAnswer(&forwardedAnswer{resp: retryLater(tooManyPending())})
	}
	defer s.routing.serving.Add(-1)
	s.routing.received.Add(1)
	r, err := parseRequest(request)
	if err != nil {
		s.cfg.Logger.LogAttrs(ctx, slog.LevelError, "a forwarded request cannot be read",
			slog.String("from", from.String()), slog.String("err", err.Error()))
		return encodeAnswer(&forwardedAnswer{resp: failure(synod.Errorf(500, synod.CodeInternalError,
			"The node that leads cannot read what was forwarded: %s.", err))})
	}
	x := execution{
		server: s, req: r.req, forwarded: true,
		session: &httpd.Session{ID: r.sessionID, Interface: r.iface, ClientCert: r.req.ClientCert},
		sess:    &session{cache: s.forwardedCaches.of(from, r), view: r.view, seen: r.seen},
		// Some of the time belongs to the way back.
		patience: max(r.timeout-r.timeout/10, time.Millisecond),
	}
	resp := s.answer(ctx, x)
	if resp.Stream != nil {
		resp = failure(synod.Errorf(501, synod.CodeNotImplemented, "An answer that is written as it comes cannot be forwarded. Ask the primary itself."))
	}
	return encodeAnswer(&forwardedAnswer{ran: x.sess.ran, seen: x.sess.seen, resp: resp})
}
