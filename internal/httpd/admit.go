package httpd

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
)

// admit makes a session of an accepted connection, or closes it and returns
// nil (CCF: src/enclave/rpc_sessions.h). A session over the soft cap is let in
// only to be told so; it counts until then.
func (l *Listener) admit(ctx context.Context, raw *net.TCPConn) *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastID++
	attrs := []slog.Attr{
		slog.Uint64("session", l.lastID), slog.String("interface", l.cfg.Name), slog.Int64("open", l.active),
	}
	switch {
	case !l.cfg.Unsecured && l.cfg.GetCertificate() == nil:
		l.log.LogAttrs(ctx, slog.LevelDebug, "Refusing session: no TLS certificate yet", attrs...)
		raw.Close()
		return nil
	case l.active >= int64(l.cfg.HardCap):
		l.log.LogAttrs(ctx, slog.LevelInfo, "Refusing session: hard cap reached", attrs...)
		raw.Close()
		return nil
	}
	c := &conn{
		l: l, raw: raw, rw: raw, counted: true,
		session: Session{ID: l.lastID, Interface: l.cfg.Name},
		capped:  l.active >= int64(l.cfg.SoftCap),
	}
	if c.capped {
		l.log.LogAttrs(ctx, slog.LevelInfo, "Refusing session with 503: soft cap reached", attrs...)
	}
	if l.tls != nil {
		c.tls = tls.Server(raw, l.tls)
		c.rw = c.tls
	}
	c.touch()
	l.sessions[c] = struct{}{}
	l.active++
	l.peak = max(l.peak, l.active)
	l.cfg.Total.add(1)
	return c
}

// release stops counting a session, which is about to be closed.
func (l *Listener) release(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.counted {
		c.counted = false
		l.active--
		l.cfg.Total.add(-1)
	}
}

// forget removes a session whose connection is closed.
func (l *Listener) forget(c *conn) {
	l.release(c)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.sessions, c)
}
