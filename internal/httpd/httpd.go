package httpd

import (
	"context"
	"crypto/tls"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"synod/app"
)

// The protocols of an interface (CCF: include/ccf/service/node_info_network.h).
const (
	HTTP1Protocol = "HTTP1"
	HTTP2Protocol = "HTTP2"
	// EchoProtocol is what CCF calls QUIC on UDP as long as it is only a
	// placeholder: each datagram comes back as it is (CCF: src/quic/quic_session.h).
	EchoProtocol = "QUIC"
)

// What applies when Interface leaves a limit at zero
// (CCF: include/ccf/http_configuration.h, src/enclave/rpc_sessions.h).
const (
	DefaultBodyMax       = 1 << 20  // bytes
	DefaultHeaderMax     = 16 << 10 // bytes of one name, and of one value
	DefaultHeadersMax    = 256
	DefaultSoftCap       = 1000 // sessions
	DefaultHardCap       = 1010
	DefaultStreams       = 100
	DefaultInitialWindow = 64 << 10 // bytes
	DefaultFrameMax      = 16 << 10 // bytes
)

// Interface says how one client interface listens. A zero limit means the
// default; sizes are in bytes.
type Interface struct {
	Name        string
	BindAddress string // host:port; port 0 takes a free one
	// AppProtocol is HTTP1Protocol (also if empty) or HTTP2Protocol, both on TCP,
	// or EchoProtocol on UDP, to which nothing below applies but Log.
	AppProtocol string
	// MaxBody bounds a body; MaxHeader each name and each value of a header;
	// MaxHeaders the header lines of a request. A whole head may take 1 MiB, or
	// twice MaxHeader if that is more.
	MaxBody, MaxHeader int64
	MaxHeaders         int
	// SoftCap is how many sessions may be open before further ones are told so
	// (503 after the handshake), HardCap before they are closed at accept.
	SoftCap, HardCap int
	// Unsecured serves without TLS.
	Unsecured bool
	HTTP2     HTTP2
	// IdleTimeout ends a session on which nothing was sent or received for so
	// long and no request is being served; it is looked at about once a second.
	// Zero means never.
	IdleTimeout time.Duration
	// GetCertificate is asked for each new session. While it returns nil,
	// sessions are closed at accept. Not used if Unsecured.
	GetCertificate func() *tls.Certificate
	// Total counts the sessions of several interfaces together; nil if nobody
	// wants to know.
	Total *Gauge
	Log   *slog.Logger // nil discards
}

// Gauge counts open sessions and remembers the most there were. The zero
// value is ready; it may be used from several goroutines.
type Gauge struct{ active, peak atomic.Int64 }

// Read returns how many sessions are open, and the most there were.
func (g *Gauge) Read() (active, peak int64) { return g.active.Load(), g.peak.Load() }

func (g *Gauge) add(n int64) {
	if g == nil {
		return
	}
	now := g.active.Add(n)
	for {
		peak := g.peak.Load()
		if now <= peak || g.peak.CompareAndSwap(peak, now) {
			return
		}
	}
}

// HTTP2 are the settings announced to HTTP/2 clients (RFC 9113 §6.5.2). A zero
// means the default.
type HTTP2 struct {
	MaxStreams    uint32 // concurrent, per session
	InitialWindow int32  // bytes, per stream
	MaxFrame      uint32 // bytes, 16 KiB to 16 MiB - 1
}

// Session is what requests over one connection share; over HTTP/2 each stream
// has its own, with the connection's ID. It belongs to the goroutine that runs
// the Handler.
type Session struct {
	ID        uint64 // unique within the Listener, from 1
	Interface string // its name
	// ClientCert is the DER certificate that the client presented, or nil. It
	// was not verified beyond the proof that the client holds its key.
	ClientCert []byte
	// State is the Handler's.
	State any
}

// Handler answers requests. Serve is called on the goroutine of the session,
// or of the stream; several sessions call it at the same time. The request is
// the Handler's to keep; the response is read before the next call of that
// session and not kept. A nil response becomes an empty 500. ctx ends soon
// after the Listener's shutdown began, when there is still time to answer, and
// over HTTP/2 also when the stream ends. Serve must not panic.
type Handler interface {
	Serve(ctx context.Context, s *Session, r *app.Request) *app.Response
}

// Metrics are the counters of one Listener, as /node/metrics shows them
// (CCF: src/node/session_metrics.h).
type Metrics struct {
	Active  int64 // open sessions, also those over the soft cap
	Peak    int64 // the most there ever were
	SoftCap int64
	HardCap int64
	Errors  Errors
}

// Errors count refused requests by reason.
type Errors struct {
	Parsing                int64
	RequestPayloadTooLarge int64
	RequestHeaderTooLarge  int64
}

func (i Interface) withDefaults() Interface {
	setDefault(&i.AppProtocol, HTTP1Protocol)
	setDefault(&i.MaxBody, DefaultBodyMax)
	setDefault(&i.MaxHeader, DefaultHeaderMax)
	setDefault(&i.MaxHeaders, DefaultHeadersMax)
	setDefault(&i.SoftCap, DefaultSoftCap)
	setDefault(&i.HardCap, DefaultHardCap)
	setDefault(&i.HTTP2.MaxStreams, DefaultStreams)
	setDefault(&i.HTTP2.InitialWindow, DefaultInitialWindow)
	setDefault(&i.HTTP2.MaxFrame, DefaultFrameMax)
	if i.Log == nil {
		i.Log = slog.New(slog.DiscardHandler)
	}
	return i
}

// headMax bounds a whole head, in bytes; twice that fits 32 bits.
func (i *Interface) headMax() int {
	return int(max(headMax, 2*min(i.MaxHeader, math.MaxInt32/4)))
}

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}
