package provision

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// endpointConnsMax bounds the connections of one endpoint; more are closed.
	endpointConnsMax = 4096
	// dialTimeout bounds one try to reach a node.
	dialTimeout = time.Second
	// routeWait is how long a new connection waits for a node that takes it, as
	// during an election.
	routeWait = 10 * time.Second
	// routePoll is between two looks for one.
	routePoll = 20 * time.Millisecond
)

// routes are where an endpoint sends connections: to the first that takes one.
type routes struct{ addresses []string }

// endpoint is the one address of a network that stays: it passes connections on to
// a node, the primary if it can, and does not look into them. Their TLS ends in the
// node.
type endpoint struct {
	listener net.Listener
	address  string // host:port that clients are told
	routes   atomic.Pointer[routes]
	lost     func() // called when a node did not take a connection
	conns    atomic.Int64
	cancel   context.CancelFunc
	done     chan struct{}
}

// openEndpoint listens on an address and passes connections on until close.
func openEndpoint(ctx context.Context, bind, told string, lost func()) (*endpoint, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", bind)
	if err != nil {
		return nil, fmt.Errorf("listen for a network's clients: %w", err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	e := &endpoint{listener: l, address: net.JoinHostPort(told, port), lost: lost, cancel: cancel, done: make(chan struct{})}
	e.routes.Store(&routes{})
	go e.serve(ctx)
	return e, nil
}

// close closes the listener and every connection, and waits for that.
func (e *endpoint) close() {
	e.cancel()
	<-e.done
}

// route sends new connections to the first of these that takes them.
func (e *endpoint) route(addresses ...string) {
	if !slices.Equal(e.routes.Load().addresses, addresses) {
		e.routes.Store(&routes{addresses})
	}
}

// serve accepts. It is the owner of the goroutines of all connections.
func (e *endpoint) serve(ctx context.Context) {
	defer close(e.done)
	var open sync.WaitGroup
	defer open.Wait()
	stop := context.AfterFunc(ctx, func() { _ = e.listener.Close() })
	defer stop()
	for {
		conn, err := e.listener.Accept()
		if ctx.Err() != nil {
			return
		}
		if err != nil { // such as no file descriptor left
			select {
			case <-ctx.Done():
				return
			case <-time.After(routePoll):
			}
			continue
		}
		if e.conns.Load() >= endpointConnsMax {
			_ = conn.Close()
			continue
		}
		e.conns.Add(1)
		open.Go(func() {
			defer e.conns.Add(-1)
			e.pass(ctx, conn)
		})
	}
}

// pass passes one connection on.
func (e *endpoint) pass(ctx context.Context, from net.Conn) {
	defer from.Close()
	to, err := e.dial(ctx)
	if err != nil {
		return
	}
	defer to.Close()
	stop := context.AfterFunc(ctx, func() {
		_ = from.Close()
		_ = to.Close()
	})
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { copyHalf(to, from) })
	copyHalf(from, to)
	both.Wait()
}

// copyHalf copies one direction to its end, and tells the receiver of it. An error
// ends both directions.
func copyHalf(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if tcp, ok := to.(*net.TCPConn); ok && err == nil {
		err = tcp.CloseWrite()
	}
	if err != nil {
		_ = to.Close()
		_ = from.Close()
	}
}

// dial connects to the first node that takes it.
func (e *endpoint) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, routeWait)
	defer cancel()
	dialer := &net.Dialer{Timeout: dialTimeout}
	for {
		for i, address := range e.routes.Load().addresses {
			conn, err := dialer.DialContext(ctx, "tcp", address)
			if err == nil {
				return conn, nil
			}
			if i == 0 {
				e.lost()
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("no node takes a connection: %w", ctx.Err())
		case <-time.After(routePoll):
		}
	}
}

// serves says whether the endpoint leads to a node of the service with that
// certificate, at a time.
func (e *endpoint) serves(ctx context.Context, certificate string, now time.Time) bool {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(certificate)) {
		return false
	}
	host, _, err := net.SplitHostPort(e.address)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: pool, ServerName: host, MinVersion: tls.VersionTLS12, Time: func() time.Time { return now }}}
	conn, err := dialer.DialContext(ctx, "tcp", e.listener.Addr().String())
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// freePort finds a port to listen on from a range, starting somewhere in it.
func freePort(ctx context.Context, bind string, from, to, first int) (int, error) {
	for i := range to - from {
		port := from + (first+i)%(to-from)
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(bind, strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("every port of %s from %d to %d is taken", bind, from, to-1)
}
