package httpd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// drainMax bounds how long Serve waits for requests under way at its end.
const drainMax = 3 * time.Second

// handshakeMax bounds a TLS handshake.
const handshakeMax = 10 * time.Second

// Listener is a bound interface.
type Listener struct {
	cfg   Interface
	inner net.Listener
	tls   *tls.Config
	ids   atomic.Uint64
	count counters

	mu    sync.Mutex
	conns map[*serverConn]struct{} // guarded by mu
	wg    sync.WaitGroup
}

// Listen binds an interface. Connections wait until Serve.
func Listen(cfg Interface) (*Listener, error) {
	inner, err := net.Listen("tcp", cfg.BindAddress)
	if err != nil {
		return nil, err
	}
	l := &Listener{cfg: cfg, inner: inner, conns: map[*serverConn]struct{}{}}
	protocol := "http/1.1"
	if cfg.AppProtocol == "HTTP2" {
		protocol = "h2"
	}
	l.tls = &tls.Config{
		MinVersion: tls.VersionTLS12,
		ClientAuth: tls.RequestClientCert,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		},
		CurvePreferences: []tls.CurveID{tls.CurveP384, tls.CurveP256, tls.CurveP521},
		NextProtos:       []string{protocol},
		// A resumed session would need its client certificate checked anew;
		// connections are long-lived, so resumption is worth little.
		SessionTicketsDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if c := cfg.GetCertificate(); c != nil {
				return c, nil
			}
			return nil, errors.New("no TLS certificate yet")
		},
	}
	withoutALPN := l.tls.Clone()
	withoutALPN.NextProtos = nil
	l.tls.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		// Without overlap the handshake goes on without ALPN, as CCF's does;
		// the library would refuse it.
		if !slices.Contains(hello.SupportedProtos, protocol) {
			return withoutALPN, nil
		}
		return nil, nil
	}
	return l, nil
}

// Addr is the bound address.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Close stops listening; Serve ends.
func (l *Listener) Close() error { return l.inner.Close() }

// Metrics are the counts since Listen.
func (l *Listener) Metrics() Metrics {
	return Metrics{
		Active: l.count.active.Load(), Peak: l.count.peak.Load(),
		SoftCap: int64(l.cfg.SoftCap), HardCap: int64(l.cfg.HardCap),
		Errors: ErrorCounts{
			Parsing: l.count.parsing.Load(), RequestPayloadTooLarge: l.count.payload.Load(),
			RequestHeaderTooLarge: l.count.header.Load(),
		},
	}
}

// Serve answers connections until ctx ends (nil) or accepting fails for good.
// At the end, requests under way get a moment to finish.
func (l *Listener) Serve(ctx context.Context, h Handler) error {
	stop := context.AfterFunc(ctx, func() { l.inner.Close() })
	defer stop()
	defer l.drain()
	if l.cfg.IdleTimeout > 0 {
		l.wg.Go(func() { l.sweep(ctx) })
	}
	for {
		conn, err := l.inner.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			// Out of descriptors, most likely: those that are open go on.
			l.debug("accept failed", err)
			if !pause(ctx, 5*time.Millisecond) {
				return nil
			}
			continue
		}
		l.admit(ctx, h, conn)
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// admit starts a session, or closes the connection unheard.
func (l *Listener) admit(ctx context.Context, h Handler, raw net.Conn) {
	if !l.cfg.Unsecured && l.cfg.GetCertificate() == nil {
		l.debug("refused connection", errors.New("no TLS certificate yet"))
		raw.Close()
		return
	}
	before := l.count.opened()
	if before >= int64(l.cfg.HardCap) {
		l.count.active.Add(-1)
		raw.Close()
		return
	}
	c := &serverConn{
		listener: l, handler: h, raw: raw, full: before >= int64(l.cfg.SoftCap),
		session: Session{ID: l.ids.Add(1), Interface: l.cfg.Name},
	}
	c.touch()
	l.mu.Lock()
	l.conns[c] = struct{}{}
	l.mu.Unlock()
	l.wg.Go(func() {
		defer l.forget(c)
		c.serve(ctx)
	})
}

func (l *Listener) forget(c *serverConn) {
	l.mu.Lock()
	delete(l.conns, c)
	l.mu.Unlock()
	l.count.active.Add(-1)
}

// sweep closes sessions that have been silent for too long.
func (l *Listener) sweep(ctx context.Context) {
	for pause(ctx, min(time.Second, l.cfg.IdleTimeout)) {
		oldest := time.Now().Add(-l.cfg.IdleTimeout).UnixNano()
		l.mu.Lock()
		for c := range l.conns {
			if !c.busy.Load() && c.lastUsed.Load() < oldest {
				c.closeIdle()
			}
		}
		l.mu.Unlock()
	}
}

// drain ends every connection: idle ones now, busy ones when they have
// answered or after drainMax.
func (l *Listener) drain() {
	l.mu.Lock()
	for c := range l.conns {
		c.closing.Store(true)
		if !c.busy.Load() {
			c.closeIdle()
		}
	}
	l.mu.Unlock()
	timer := time.AfterFunc(drainMax, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for c := range l.conns {
			c.raw.Close()
		}
	})
	defer timer.Stop()
	l.wg.Wait()
}

func (l *Listener) debug(msg string, err error) {
	l.cfg.Log.LogAttrs(context.Background(), slog.LevelDebug, msg, slog.String("interface", l.cfg.Name), slog.String("err", err.Error()))
}

// localError is a failure to serve a connection, for the log.
func localError(op string, err error) error { return fmt.Errorf("%s: %w", op, err) }
