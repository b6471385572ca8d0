package httpd

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"synod"
	"synod/app"
)

const (
	// lingerMax is how long a closed session still reads and drops what the
	// client is sending: closing at once could destroy the answer under way.
	lingerMax = 2 * time.Second
	// writeStep is how many bytes are written between two signs of activity.
	writeStep = 256 << 10
)

// past is a deadline that has always expired.
var past = time.Unix(1, 0)

// conn is one connection. Its goroutine owns it, but for what the sweeper uses.
type conn struct {
	l       *Listener
	raw     *net.TCPConn
	tls     *tls.Conn // nil if Unsecured
	rw      net.Conn  // tls or raw
	session Session
	capped  bool // over the soft cap: its first request is refused
	counted bool // guarded by the Listener

	last   atomic.Int64 // coarse time of the last activity
	busy   atomic.Int32 // requests being served
	h2     atomic.Bool  // http2 has it
	ending bool         // the sweeper's: reading was ended, writing is next
}

// run serves the connection until it ends.
func (c *conn) run(ctx context.Context, h Handler) {
	defer c.l.forget(c)
	defer c.raw.Close()
	if c.tls != nil {
		// Not HandshakeContext, which starts a goroutine: the sweeper bounds it.
		//nolint:noctx // see above
		if err := c.tls.Handshake(); err != nil {
			c.debug(ctx, "TLS handshake failed", err)
			return
		}
		if certs := c.tls.ConnectionState().PeerCertificates; len(certs) > 0 {
			c.session.ClientCert = certs[0].Raw
		}
		c.touch()
	}
	if c.l.cfg.AppProtocol == HTTP2Protocol {
		c.serveHTTP2(ctx, h)
	} else {
		c.serveHTTP1(ctx, h)
	}
}

func (c *conn) debug(ctx context.Context, msg string, err error) {
	c.l.log.LogAttrs(ctx, slog.LevelDebug, msg, slog.Uint64("session", c.session.ID),
		slog.String("interface", c.session.Interface), slog.String("err", err.Error()))
}

// touch notes activity.
func (c *conn) touch() { c.last.Store(c.l.clock.Load()) }

// endIfIdle ends a session without activity since a coarse time: first its
// reading, so that it can still say that it closes; when that does not help,
// since it is stuck in writing, all of it. The Listener's lock is held.
func (c *conn) endIfIdle(deadline int64) {
	if c.busy.Load() > 0 || c.last.Load() > deadline {
		return
	}
	if c.ending {
		c.raw.SetDeadline(past)
		return
	}
	c.ending = true
	c.endReading()
}

// endReading makes the current and every later read fail.
func (c *conn) endReading() { c.raw.SetReadDeadline(past) }

// write sends b, noting activity as it goes.
func (c *conn) write(b []byte) error {
	for len(b) > 0 {
		n, err := c.rw.Write(b[:min(len(b), writeStep)])
		c.touch()
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// close says goodbye and waits a little for the client to do so too, so that
// the client reads all of the answer. The session no longer counts.
func (c *conn) close() {
	c.l.release(c)
	if c.tls != nil {
		if err := c.tls.CloseWrite(); err != nil {
			return
		}
	}
	if err := c.raw.CloseWrite(); err != nil {
		return
	}
	c.raw.SetReadDeadline(time.Now().Add(lingerMax))
	// Raw bytes: nobody will decrypt them. The error is EOF, a reset or the
	// deadline, and the connection is closed after each.
	_, _ = io.Copy(io.Discard, struct{ io.Reader }{c.raw})
}

// end closes a session on which the client has nothing left to read.
func (c *conn) end() {
	if c.tls != nil {
		c.tls.Close()
	}
}

// serve has a request answered. A panic of the Handler is not ours to catch.
func (c *conn) serve(ctx context.Context, h Handler, s *Session, r *app.Request) *app.Response {
	c.busy.Add(1)
	resp := h.Serve(ctx, s, r)
	c.touch()
	c.busy.Add(-1)
	if resp == nil {
		return &app.Response{Status: 500}
	}
	return resp
}

// bodyTooLargeReason is the text for every body over the limit.
const bodyTooLargeReason = "HTTP request body is too large"

// count adds a refused request to the metrics.
func (l *Listener) count(kind faultKind) {
	switch kind {
	case malformed:
		l.parsing.Add(1)
	case headerTooLarge:
		l.headers.Add(1)
	case bodyTooLarge:
		l.bodies.Add(1)
	}
}

// tooLarge answers a fault that is not malformed.
func tooLarge(f *fault) *app.Response {
	if f.kind == bodyTooLarge {
		return failure(synod.Errorf(413, synod.CodeRequestBodyTooLarge, "%s.", f.reason))
	}
	return failure(synod.Errorf(431, synod.CodeRequestHeaderTooLarge, "%s.", f.reason))
}

// exhausted answers the first request of a session over the soft cap.
func exhausted() *app.Response {
	return failure(synod.Errorf(503, synod.CodeSessionCapExhausted,
		"Service is currently busy and unable to serve new connections"))
}

func failure(e *synod.Error) *app.Response {
	body, err := e.MarshalJSON()
	if err != nil {
		panic(err) // strings only: cannot fail
	}
	return &app.Response{
		Status: e.Status, Body: body, Close: true,
		Header: app.Header{{Name: "content-type", Value: "application/json"}},
	}
}

// expected says whether a read ended for a reason not worth a log line.
func expected(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed)
}
