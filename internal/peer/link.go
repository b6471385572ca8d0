package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"synod"
)

// How long to wait after a connection broke or was not made: backoffMin, doubled
// each time up to backoffMax, and a random part less.
const (
	backoffMin = 50 * time.Millisecond
	backoffMax = 2 * time.Second
)

// linkState is what is known of a peer's connection.
type linkState int

const (
	linkNew   linkState = iota // being dialled, after nothing that failed
	linkUp                     // connected
	linkDown                   // the last attempt or connection failed
	linkEnded                  // the goroutine ended
)

// link is the outgoing side of one peer: what waits for it, and the goroutine
// that dials it and writes.
type link struct {
	links  *Links
	id     synod.NodeID
	cancel context.CancelFunc
	wake   chan struct{} // holds one: there is something to write
	nudge  chan struct{} // holds one: the peer has just reached us
	made   throttle      // log lines about connections that were made
	broken throttle      // log lines about connections that broke

	mu           sync.Mutex
	state        linkState
	err          error // why the last connection broke or was not made
	messages     queue
	dropped      uint64
	lost         bool    // messages were pushed out of the queue and Unreachable was not told
	requests     []*call // calls not sent yet
	requestBytes int
	calls        map[uint64]*call // calls sent and not answered
	number       uint64           // of the last call sent
	cancels      []uint64         // calls sent and given up, of which the peer is to be told
}

func newLink(l *Links, id synod.NodeID, cancel context.CancelFunc) *link {
	return &link{links: l, id: id, cancel: cancel, wake: make(chan struct{}, 1), nudge: make(chan struct{}, 1), calls: map[uint64]*call{}}
}

// notify lets the reader of a channel that holds one know of something.
func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// send queues a message. While the peer is connected a full queue refuses the
// newest: what raft sent is a sequence, and a gap in it makes the rest useless.
// While it is not, the oldest go: what matters after an outage is where raft
// stands now.
func (k *link) send(m []byte) bool {
	k.mu.Lock()
	if k.state == linkEnded {
		k.mu.Unlock()
		return false
	}
	dropped, ok := k.messages.push(m, time.Now(), k.state != linkUp)
	k.dropped += uint64(dropped) //nolint:gosec // a count
	k.lost = k.lost || ok && dropped > 0
	k.mu.Unlock()
	if ok {
		notify(k.wake)
	}
	return ok
}

// run keeps the peer connected until ctx ends.
func (k *link) run(ctx context.Context) {
	wait := backoffMin
	for ctx.Err() == nil {
		err := k.connect(ctx, func(w *wire) error {
			up := time.Now()
			k.connected(w, up)
			err := k.converse(ctx, w)
			if time.Since(up) > backoffMax { // less is no success: it may go on like this
				wait = backoffMin
			}
			return err
		})
		k.disconnected(ctx, err)
		if errors.Is(err, errWorn) {
			continue
		}
		if errors.Is(err, errUnknown) { // it left, maybe while the link was being made
			k.links.drop(k)
			break
		}
		select {
		case <-time.After(wait - rand.N(wait/4)): //nolint:gosec // spreads attempts, hides nothing
		case <-k.nudge: // the network is back, and the peer knows us
		case <-ctx.Done():
		}
		wait = min(2*wait, backoffMax)
	}
	k.end()
}

// connect dials the peer, makes sure of it and runs fn on the connection, which
// is closed when fn returns or ctx ends.
func (k *link) connect(ctx context.Context, fn func(*wire) error) error {
	address, ok := k.links.config.Peer(k.id)
	if !ok {
		return errUnknown
	}
	limited, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	conn, err := k.links.dial(limited, "tcp", address)
	if err != nil {
		return err
	}
	raw := &paced{Conn: conn}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	if deadline, ok := limited.Deadline(); ok {
		if err := raw.SetDeadline(deadline); err != nil {
			return err
		}
	}
	w := newWire(raw, tls.Client(raw, k.links.clientTLS(k.id)))
	if err := k.links.greet(ctx, w, k.id); err != nil {
		return fmt.Errorf("handshake with %s: %w", address, err)
	}
	cancel()
	return fn(w)
}

// greet is the dialling side's handshake.
func (l *Links) greet(ctx context.Context, w *wire, to synod.NodeID) error {
	if err := w.tls.HandshakeContext(ctx); err != nil {
		return err
	}
	// The other end judges our certificate after this: its verdict, or its hello,
	// is what is read first.
	if err := l.sayHello(w, to); err != nil {
		return err
	}
	if _, err := l.hearHello(w); err != nil {
		return err
	}
	return w.start()
}

// connected notes that the peer can be written to, and drops what was meant for
// long ago.
func (k *link) connected(w *wire, now time.Time) {
	k.mu.Lock()
	expired := k.messages.expire(now.Add(-staleMax))
	k.dropped += uint64(expired) //nolint:gosec // a count
	select {
	case <-k.nudge: // of before
	default:
	}
	lost := k.lost || expired > 0
	k.lost = false
	k.state = linkUp
	k.mu.Unlock()
	if lost {
		k.unreachable()
	}
	if silent, ok := k.made.allow(now); ok {
		k.links.config.Logger.Info("connected to a node", slog.String("node", string(k.id)),
			slog.String("address", w.raw.RemoteAddr().String()), slog.Uint64("not_logged", silent))
	}
}

// disconnected settles what the end of a connection, or of an attempt, decides.
func (k *link) disconnected(ctx context.Context, err error) {
	k.mu.Lock()
	k.err = err
	k.lost = false
	worn := errors.Is(err, errWorn) // another connection follows at once
	k.state = linkDown
	if worn {
		k.state = linkNew
	}
	k.settle(err, !worn)
	k.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	k.unreachable()
	if silent, ok := k.broken.allow(time.Now()); ok {
		k.links.config.Logger.InfoContext(ctx, "no connection to a node", slog.String("node", string(k.id)),
			slog.String("error", err.Error()), slog.Uint64("not_logged", silent))
	}
}

func (k *link) unreachable() {
	if k.links.config.Unreachable != nil {
		k.links.config.Unreachable(k.id)
	}
}

// end refuses whatever comes after the goroutine.
func (k *link) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.state = linkEnded
	k.err = errClosed
	if k.links.ctx.Err() == nil {
		k.err = errForgotten
	}
	k.settle(k.err, true)
	k.messages = queue{}
}

func (k *link) stat() Stat {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := Stat{
		Peer: k.id, Connected: k.state == linkUp, Dropped: k.dropped,
		Queued: k.messages.len(), QueuedBytes: k.messages.bytes, Calls: len(k.calls) + len(k.requests),
	}
	if k.err != nil {
		s.LastError = k.err.Error()
	}
	return s
}
