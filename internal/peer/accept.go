package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"synod"
)

const (
	// handshakesMax bounds the accepted connections that are not authenticated.
	// One more pushes out the oldest: an honest handshake takes milliseconds, so
	// that who only occupies places hurts himself.
	handshakesMax = 64
	// acceptRetryInterval is how long to wait after the system could not accept a
	// connection, as when it has no file descriptor left.
	acceptRetryInterval = 100 * time.Millisecond
)

// Serve accepts the connections of peers until ctx ends or Close is called, and
// then closes ln and waits for what it started. It fails after Close, or if ln is
// closed by somebody else.
func (l *Links) Serve(ctx context.Context, ln net.Listener) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		_ = ln.Close()
		return errClosed
	}
	l.running.Add(1)
	l.mu.Unlock()
	defer l.running.Done()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	defer context.AfterFunc(ctx, func() { _ = ln.Close() })()
	var conns sync.WaitGroup
	defer conns.Wait()
	defer cancel()
	for {
		conn, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("peer: accept: %w", err)
		case err != nil:
			l.refuse("", err)
			select {
			case <-time.After(acceptRetryInterval):
			case <-ctx.Done():
			}
		default:
			conns.Go(func() { l.receive(ctx, conn) })
		}
	}
}

// receive authenticates a connection and serves the peer behind it until it
// breaks.
func (l *Links) receive(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	l.admit(conn)
	raw := &paced{Conn: conn}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	in, err := l.welcome(ctx, raw)
	if err != nil && ctx.Err() == nil {
		l.refuse(conn.RemoteAddr().String(), err)
		drain(conn)
	}
	l.authenticated(conn)
	if err == nil {
		in.run()
	}
}

// welcome is the accepting side's handshake. Afterwards the peer is one of
// l.inbound.
func (l *Links) welcome(ctx context.Context, raw *paced) (*inbound, error) {
	if err := raw.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return nil, err
	}
	w := newWire(raw, tls.Server(raw, l.serverTLS()))
	if err := w.tls.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	id, err := nodeID(w.tls.ConnectionState().PeerCertificates[0])
	if err != nil {
		return nil, err
	}
	in := newInbound(ctx, l, id, w)
	l.register(in)
	if err := l.introduce(w, id); err != nil {
		in.leave(err)
		return nil, err
	}
	return in, nil
}

// introduce exchanges hellos with a peer of which the ID is proven, or tells it
// why there will be no link.
func (l *Links) introduce(w *wire, id synod.NodeID) error {
	h, err := l.hearHello(w)
	var mismatch mismatchError
	if err == nil && (id == l.config.Self || !l.knows(id, h)) {
		mismatch = mismatchError(fmt.Sprintf("this node does not know %s", id))
		err = mismatch
	}
	if errors.As(err, &mismatch) {
		_, _ = w.tls.Write(appendRefusal(nil, string(mismatch)))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	if err := l.sayHello(w, id); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if k := l.links[id]; k != nil {
		notify(k.nudge)
	}
	return w.start()
}

// knows says whether a node may have a link with this one. One that this node was
// not told of may, if this node is willing: the service has signed its certificate.
func (l *Links) knows(id synod.NodeID, h hello) bool {
	if _, ok := l.config.Peer(id); ok {
		return true
	}
	return l.config.Stranger != nil && h.node != "" && l.config.Stranger(id, h.node, h.client)
}

// register makes a connection the one of its peer. One that stood before is
// closed: the peer has only one, so it has given that up.
func (l *Links) register(in *inbound) {
	l.mu.Lock()
	before := l.inbound[in.id]
	l.inbound[in.id] = in
	l.mu.Unlock()
	if before != nil {
		before.cancel(errReplaced)
	}
}

var errReplaced = errors.New("the peer made another connection")

// admit gives a connection a place among those that are not authenticated.
func (l *Links) admit(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.greeting) == handshakesMax {
		_ = l.greeting[0].Close()
		l.greeting = slices.Delete(l.greeting, 0, 1)
	}
	l.greeting = append(l.greeting, conn)
}

// authenticated gives a connection's place back.
func (l *Links) authenticated(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.greeting, conn); i >= 0 {
		l.greeting = slices.Delete(l.greeting, i, i+1)
	}
}

// refuse counts a connection that came to nothing.
func (l *Links) refuse(from string, err error) {
	l.refused.Add(1)
	if silent, ok := l.strange.allow(time.Now()); ok {
		l.config.Logger.Info("refused a connection on the node-to-node interface", slog.String("from", from),
			slog.String("error", clip(err.Error())), slog.Uint64("not_logged", silent))
	}
}
