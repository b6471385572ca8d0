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
	// leaveMax is how long a node that is to be stopped is waited for, until it has
	// answered what it was asked; settledAfter is how long a connection is quiet after
	// an answer.
	leaveMax     = 2 * time.Second
	settledAfter = 2 * time.Millisecond
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

	mu   sync.Mutex
	open map[*passed]struct{} // guarded by mu
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
	e := &endpoint{listener: l, address: net.JoinHostPort(told, port), lost: lost, cancel: cancel, done: make(chan struct{}), open: map[*passed]struct{}{}}
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

// passed is a connection that is passed on.
type passed struct {
	from, to net.Conn
	address  string // of the node
	// quiet is when bytes went last, as nanoseconds, negative if they went to the
	// node: then it owes an answer.
	quiet atomic.Int64
}

func (p *passed) close() {
	_ = p.from.Close()
	_ = p.to.Close()
}

// settled says whether the node has answered what it was asked, as far as that can
// be told from outside of TLS.
func (p *passed) settled(now time.Time) bool {
	at := p.quiet.Load()
	return at >= 0 && now.UnixNano()-at >= int64(settledAfter)
}

// pass passes one connection on.
func (e *endpoint) pass(ctx context.Context, from net.Conn) {
	defer from.Close()
	to, address, err := e.dial(ctx)
	if err != nil {
		return
	}
	p := &passed{from: from, to: to, address: address}
	defer p.close()
	stop := context.AfterFunc(ctx, p.close)
	defer stop()
	e.mu.Lock()
	e.open[p] = struct{}{}
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		delete(e.open, p)
		e.mu.Unlock()
	}()
	var both sync.WaitGroup
	both.Go(func() { p.copyHalf(to, from, -1) })
	p.copyHalf(from, to, 1)
	both.Wait()
}

var buffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// copyHalf copies one direction to its end, and tells the receiver of it. An error
// ends both directions. sign is that of the times that it notes.
func (p *passed) copyHalf(to, from net.Conn, sign int64) {
	buffer := buffers.Get().(*[32 << 10]byte) //nolint:forcetypeassert // the pool has no others
	defer buffers.Put(buffer)
	for {
		n, err := from.Read(buffer[:])
		if n > 0 {
			p.quiet.Store(sign * time.Now().UnixNano())
			if _, err := to.Write(buffer[:n]); err != nil {
				p.close()
				return
			}
		}
		switch tcp, ok := to.(*net.TCPConn); {
		case err == nil:
			continue
		case errors.Is(err, io.EOF) && ok && tcp.CloseWrite() == nil:
		default:
			p.close()
		}
		return
	}
}

// leave ends the connections to a node that is to be stopped, each once it has its
// answers, and waits for that, for a while.
func (e *endpoint) leave(ctx context.Context, address string) {
	ctx, cancel := context.WithTimeout(ctx, leaveMax)
	defer cancel()
	for {
		now, left := time.Now(), 0
		e.mu.Lock()
		for p := range e.open {
			switch {
			case p.address != address:
			case p.settled(now):
				p.close()
			default:
				left++
			}
		}
		e.mu.Unlock()
		if left == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(settledAfter / 2):
		}
	}
}

// drop ends the connections to nodes that do not answer, which their clients would
// wait for in vain.
func (e *endpoint) drop(address string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for p := range e.open {
		if p.address == address {
			p.close()
		}
	}
}

// dial connects to the first node that takes it.
func (e *endpoint) dial(ctx context.Context) (conn net.Conn, address string, err error) {
	ctx, cancel := context.WithTimeout(ctx, routeWait)
	defer cancel()
	dialer := &net.Dialer{Timeout: dialTimeout}
	for {
		for i, address := range e.routes.Load().addresses {
			conn, err = dialer.DialContext(ctx, "tcp", address)
			if err == nil {
				return conn, address, nil
			}
			if i == 0 {
				e.lost()
			}
		}
		select {
		case <-ctx.Done():
			return nil, "", fmt.Errorf("no node takes a connection: %w", ctx.Err())
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
	return 0, fmt.Errorf("every port of %s from %d to %d is taken: free one, or give others with endpoint.portsFrom and portsTo in the server's configuration", bind, from, to-1)
}
