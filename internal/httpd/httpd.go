package httpd

import (
	"context"
	"crypto/tls"
	"log/slog"
	"sync/atomic"
	"time"

	"synod/app"
)

// Interface is how one listener behaves. BindAddress is required; the limits
// must be positive.
type Interface struct {
	Name        string
	BindAddress string // host:port, port 0 for any
	AppProtocol string // "HTTP1" or "HTTP2"

	MaxBody    int64 // bytes
	MaxHeader  int64 // bytes of each header name, each value and the target
	MaxHeaders int
	HTTP2      HTTP2

	SoftCap int // open sessions from which new ones are answered 503
	HardCap int // open sessions from which new ones are closed unheard

	Unsecured   bool          // plaintext
	IdleTimeout time.Duration // sessions silent for so long are closed; 0: never
	// GetCertificate returns what to present; nil means that connections are
	// closed at accept, because there is nothing to present yet.
	GetCertificate func() *tls.Certificate

	Log *slog.Logger
}

// HTTP2 are the limits of HTTP/2; zero means the library's default.
type HTTP2 struct {
	MaxStreams    uint32
	InitialWindow int32  // bytes
	MaxFrame      uint32 // bytes
}

// Session is one connection, or one stream of an HTTP/2 connection. It belongs
// to the goroutine that serves it.
type Session struct {
	ID         uint64
	Interface  string
	ClientCert []byte // DER of what the client presented, or nil; not verified
	State      any    // the handler's own
}

// Handler answers requests. Serve runs on the connection's goroutine and must
// not panic. A nil answer is 500.
type Handler interface {
	Serve(ctx context.Context, s *Session, r *app.Request) *app.Response
}

// Metrics are what /node/metrics shows of an interface.
type Metrics struct {
	Active, Peak     int64
	SoftCap, HardCap int64
	Errors           ErrorCounts
}

// ErrorCounts count requests that could not be parsed.
type ErrorCounts struct {
	Parsing, RequestPayloadTooLarge, RequestHeaderTooLarge int64
}

type counters struct {
	active, peak, parsing, payload, header atomic.Int64
}

// opened counts a session and returns how many were open before it.
func (c *counters) opened() int64 {
	n := c.active.Add(1)
	for {
		peak := c.peak.Load()
		if n <= peak || c.peak.CompareAndSwap(peak, n) {
			return n - 1
		}
	}
}
