package httpd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

const (
	// drainMax is how long requests being served may go on, and their answers be
	// read, after the context of Serve has ended; and then how long Serve waits
	// for those that go on all the same.
	drainMax = 2 * time.Second
	// graceMax is the part of drainMax after which the context of requests ends:
	// most are answered sooner, and those that wait for something keep the rest of
	// drainMax to say that it did not come.
	graceMax = 200 * time.Millisecond
	// sweepMax is the longest time between two looks for idle sessions.
	sweepMax = time.Second
	// acceptRetryMax is the longest pause after a failed accept, as when the
	// process has no file descriptor left.
	acceptRetryMax = time.Second
)

// Listener is one bound client interface.
type Listener struct {
	cfg      Interface
	log      *slog.Logger
	tcp      *net.TCPListener // nil if udp is not
	udp      *net.UDPConn     // an echo service instead of sessions
	tls      *tls.Config      // nil if Unsecured
	h2       *http2.Server
	h2Base   *http.Server
	started  time.Time
	clock    atomic.Int64 // time since started, moved by the sweeper
	draining atomic.Bool

	parsing, bodies, headers atomic.Int64 // Errors

	mu       sync.Mutex
	sessions map[*conn]struct{}
	lastID   uint64
	active   int64 // sessions that count, at most len(sessions)
	peak     int64
}

// Listen binds an interface. Nothing is accepted before Serve; clients that
// connect earlier wait in the kernel's queue.
func Listen(cfg Interface) (*Listener, error) {
	cfg = cfg.withDefaults()
	if cfg.AppProtocol == EchoProtocol {
		return listenEcho(cfg)
	}
	if cfg.AppProtocol != HTTP1Protocol && cfg.AppProtocol != HTTP2Protocol {
		return nil, fmt.Errorf("interface %s: unknown application protocol %q", cfg.Name, cfg.AppProtocol)
	}
	if !cfg.Unsecured && cfg.GetCertificate == nil {
		return nil, fmt.Errorf("interface %s: TLS without a source of certificates", cfg.Name)
	}
	var lc net.ListenConfig
	tcp, err := lc.Listen(context.Background(), "tcp", cfg.BindAddress)
	if err != nil {
		return nil, fmt.Errorf("listen on interface %s: %w", cfg.Name, err)
	}
	l := &Listener{
		cfg: cfg, log: cfg.Log, tcp: tcp.(*net.TCPListener), started: time.Now(),
		sessions: map[*conn]struct{}{},
	}
	if !cfg.Unsecured {
		l.tls = serverTLS(&l.cfg)
	}
	if cfg.AppProtocol == HTTP2Protocol {
		if err := l.configureHTTP2(); err != nil {
			return nil, errors.Join(err, tcp.Close())
		}
	}
	return l, nil
}

// Addr is the address bound, with the port that was chosen.
func (l *Listener) Addr() net.Addr {
	if l.udp != nil {
		return l.udp.LocalAddr()
	}
	return l.tcp.Addr()
}

// Close releases the address of a Listener, also of one that never served.
func (l *Listener) Close() error {
	var socket io.Closer = l.tcp
	if l.udp != nil {
		socket = l.udp
	}
	if err := socket.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close interface %s: %w", l.cfg.Name, err)
	}
	return nil
}

// Metrics may be called at any time.
func (l *Listener) Metrics() Metrics {
	l.mu.Lock()
	active, peak := l.active, l.peak
	l.mu.Unlock()
	return Metrics{
		Active: active, Peak: peak, SoftCap: int64(l.cfg.SoftCap), HardCap: int64(l.cfg.HardCap),
		Errors: Errors{
			Parsing: l.parsing.Load(), RequestPayloadTooLarge: l.bodies.Load(), RequestHeaderTooLarge: l.headers.Load(),
		},
	}
}

// Serve accepts sessions and serves them until ctx ends, or Close is called. It
// then closes sessions that wait for a request, ends the context of requests
// still being served after graceMax, and closes what is left after drainMax.
// It returns nil unless requests go on even then. It is called once. An
// interface of EchoProtocol never calls h.
func (l *Listener) Serve(ctx context.Context, h Handler) error {
	if l.udp != nil {
		l.echo(ctx)
		return nil
	}
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stopClosing := context.AfterFunc(ctx, func() { l.tcp.Close() })
	defer stopClosing()
	sweepCtx, stopSweeping := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { l.sweep(sweepCtx) })
	for {
		c, ok := l.accept(ctx)
		if !ok {
			break
		}
		wg.Go(func() { c.run(requests, h) })
	}
	l.drain()
	stopSweeping()
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	if waitFor(done, graceMax) {
		return nil
	}
	cancel()
	if waitFor(done, drainMax-graceMax) {
		return nil
	}
	l.abort()
	if waitFor(done, drainMax) {
		return nil
	}
	return fmt.Errorf("interface %s: requests are still being served", l.cfg.Name)
}

func waitFor(done <-chan struct{}, most time.Duration) bool {
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

// accept returns the next session that is let in; ok is false when the listener
// is closed.
func (l *Listener) accept(ctx context.Context) (c *conn, ok bool) {
	pause := time.Millisecond
	for {
		raw, err := l.tcp.AcceptTCP()
		if err == nil {
			pause = time.Millisecond
			if c := l.admit(ctx, raw); c != nil {
				return c, true
			}
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return nil, false
		}
		l.log.DebugContext(ctx, "accept failed", slog.String("interface", l.cfg.Name), slog.String("err", err.Error()))
		if waitFor(ctx.Done(), pause) {
			return nil, false
		}
		pause = min(2*pause, acceptRetryMax)
	}
}

// sweep moves the coarse clock and ends idle sessions until ctx ends.
func (l *Listener) sweep(ctx context.Context) {
	timeout := l.cfg.IdleTimeout
	if timeout <= 0 {
		return
	}
	period := min(sweepMax, max(timeout/4, time.Millisecond))
	t := time.NewTicker(period)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		now := time.Since(l.started)
		l.clock.Store(int64(now))
		// Activity is stamped with the coarse clock, which may be a period late.
		deadline := int64(now - timeout - period)
		l.mu.Lock()
		for c := range l.sessions {
			c.endIfIdle(deadline)
		}
		l.mu.Unlock()
	}
}

// drain ends every session that serves no request, and the others after their
// answer.
func (l *Listener) drain() {
	l.draining.Store(true)
	if l.h2Base != nil {
		// Tells HTTP/2 sessions to finish; the error is that of a context that
		// cannot end.
		_ = l.h2Base.Shutdown(context.Background())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.sessions {
		// http2 needs to read while it answers: window updates arrive that way.
		if !c.h2.Load() || c.busy.Load() == 0 {
			c.endReading()
		}
	}
}

// abort closes every connection under its session.
func (l *Listener) abort() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.sessions {
		c.raw.Close()
	}
}
