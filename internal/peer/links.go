package peer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"synod"
)

// MessageMax bounds one message, request or answer, in bytes: an entry of the
// ledger at its largest, 64 MiB, and what raft puts around it.
const MessageMax = 65 << 20

// Config is what Links needs of its node. The functions are called from several
// goroutines.
type Config struct {
	// Self is this node.
	Self synod.NodeID
	// Certificate returns the node's current certificate, endorsed by the
	// service, and its key. New connections use the current one.
	Certificate func() *tls.Certificate
	// Service returns the certificates of the service that may have endorsed
	// peers: the current one, during renewal also the one before.
	Service func() []*x509.Certificate
	// Peer returns where a node listens, and whether it may have a link with this
	// one at all.
	Peer func(synod.NodeID) (address string, ok bool)
	// Addresses, if not nil, returns where this node listens for nodes and for
	// clients, for who does not know.
	Addresses func() (node, client string)
	// Stranger, if not nil, is asked whether a node that Peer does not know, but that
	// the service has endorsed, may have a link with this one all the same, and told
	// where it says that it listens. If so, Peer knows it from then on.
	Stranger func(id synod.NodeID, node, client string) bool
	// Message takes one message of a peer, and keeps it. It must not block.
	Message func(from synod.NodeID, m []byte)
	// Call answers a peer's request, on a goroutine of its own. ctx ends when the
	// caller gave up or its connection broke. The text of an error reaches the
	// caller.
	Call func(ctx context.Context, from synod.NodeID, request []byte) ([]byte, error)
	// Unreachable, if not nil, is told when messages to a peer were lost after
	// Send took them, or may have been. It must not block.
	Unreachable func(to synod.NodeID)
	// Logger gets a line when a link comes up or breaks, at a bounded rate.
	Logger *slog.Logger
	// Dial opens a connection; nil is net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Links is this node's side of all its links. Its methods may be called from
// several goroutines.
type Links struct {
	config  Config
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup
	large   chan struct{} // a slot for each large frame that is being received
	refused atomic.Uint64
	strange throttle // log lines about connections that were refused

	oldest, newest uint16 // versions spoken
	wearMax        int64  // bytes in one direction after which a connection is replaced

	mu       sync.Mutex
	closed   bool
	links    map[synod.NodeID]*link
	inbound  map[synod.NodeID]*inbound
	greeting []net.Conn // accepted and not yet authenticated, oldest first
}

// New makes the links of a node. Nothing runs before the first Serve, Send,
// Connect or Call; end with Close.
func New(config Config) *Links {
	l := &Links{
		config: config, dial: config.Dial,
		large:  make(chan struct{}, largeFramesMax),
		oldest: versionOldest, newest: versionNewest, wearMax: wearMax,
		links: map[synod.NodeID]*link{}, inbound: map[synod.NodeID]*inbound{},
	}
	if l.dial == nil {
		l.dial = new(net.Dialer).DialContext
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// Send queues a message for a peer and keeps it: the caller must not change m
// afterwards. It never blocks. False means that m was dropped, because the peer
// is unknown, m is larger than MessageMax, or the peer does not keep up. True
// promises no more than that it was queued.
func (l *Links) Send(to synod.NodeID, m []byte) bool {
	if len(m) > MessageMax {
		return false
	}
	k, err := l.link(to)
	if err != nil {
		return false
	}
	return k.send(m)
}

// Connect has a connection to a peer made and kept, if there is none, before
// there is anything to send: an election is no time for handshakes. It does not
// wait. A peer that is unknown is left alone.
func (l *Links) Connect(to synod.NodeID) {
	_, _ = l.link(to)
}

// Errors of Call: each error that it returns is one of these.
var (
	// ErrUnreachable: the peer was not sent the request.
	ErrUnreachable = errors.New("peer: unreachable")
	// ErrUnanswered: the request was sent, or partly, and no answer came; the
	// peer may have served it.
	ErrUnanswered = errors.New("peer: no answer")
	// ErrBusy: too many calls are in flight; the peer did not serve this one.
	ErrBusy = errors.New("peer: too many calls in flight")
	// ErrFailed: the peer's Config.Call returned an error.
	ErrFailed = errors.New("peer: the call failed")
	// ErrTooLarge: the request is larger than MessageMax and was not sent.
	ErrTooLarge = errors.New("peer: request too large")
)

// Call sends a request to a peer and returns its answer. The request must not be
// changed afterwards. Several calls may be in flight. A peer that is dialled for
// the first time is waited for; one that could not be reached just now is not. If
// ctx ends first the error is also ctx's.
func (l *Links) Call(ctx context.Context, to synod.NodeID, request []byte) ([]byte, error) {
	if len(request) > MessageMax {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(request), MessageMax)
	}
	k, err := l.link(to)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return k.call(ctx, request)
}

// Forget closes and drops everything about a peer that left: what is queued,
// calls in flight, its connections. It does not wait for their goroutines. If
// Config.Peer still knows the peer, the next Send or connection starts anew.
func (l *Links) Forget(id synod.NodeID) {
	l.mu.Lock()
	k, in := l.links[id], l.inbound[id]
	delete(l.links, id)
	delete(l.inbound, id)
	l.mu.Unlock()
	if k != nil {
		k.cancel()
	}
	if in != nil {
		in.cancel(errForgotten)
	}
}

// drop forgets a link that has ended by itself.
func (l *Links) drop(k *link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.links[k.id] == k {
		delete(l.links, k.id)
	}
	k.cancel()
}

// Close ends everything, Serve too, and waits until it has ended.
func (l *Links) Close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.cancel()
	l.running.Wait()
}

var (
	errClosed    = errors.New("the links of this node are closed")
	errForgotten = errors.New("the peer left")
	errUnknown   = errors.New("no node of the service has this ID, or it may not have a link with this node")
	errSelf      = errors.New("this is the node itself")
)

// link returns the outgoing side of a peer, and starts it if it is new.
func (l *Links) link(id synod.NodeID) (*link, error) {
	l.mu.Lock()
	k := l.links[id]
	l.mu.Unlock()
	if k != nil {
		return k, nil
	}
	if id == l.config.Self {
		return nil, errSelf
	}
	if _, ok := l.config.Peer(id); !ok {
		return nil, errUnknown
	}
	return l.open(id)
}

// open starts the outgoing side of a peer unless somebody did meanwhile.
func (l *Links) open(id synod.NodeID) (*link, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errClosed
	}
	if k := l.links[id]; k != nil {
		return k, nil
	}
	ctx, cancel := context.WithCancel(l.ctx)
	k := newLink(l, id, cancel)
	l.links[id] = k
	l.running.Add(1)
	go func() {
		defer l.running.Done()
		k.run(ctx)
	}()
	return k, nil
}

// Stat is the state of the links with one peer.
type Stat struct {
	Peer        synod.NodeID
	Connected   bool   // our connection to it stands
	Accepted    bool   // its connection to us stands
	Queued      int    // messages that wait to be written
	QueuedBytes int    // their size
	Dropped     uint64 // messages that Send dropped or that were pushed out of the queue
	Calls       int    // calls to it that wait for their answer
	Serving     int    // calls of it that are being served
	LastError   string // why our connection broke or was not made, "" if it never did
}

// Stats returns the state of each peer that has a link, in order of ID.
func (l *Links) Stats() []Stat {
	l.mu.Lock()
	defer l.mu.Unlock()
	stats := map[synod.NodeID]*Stat{}
	for id, k := range l.links {
		s := k.stat()
		stats[id] = &s
	}
	for id, in := range l.inbound {
		if stats[id] == nil {
			stats[id] = &Stat{Peer: id}
		}
		stats[id].Accepted, stats[id].Serving = true, in.calls()
	}
	all := make([]Stat, 0, len(stats))
	for _, s := range stats {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b Stat) int { return strings.Compare(string(a.Peer), string(b.Peer)) })
	return all
}

// Refused counts the connections to this node that were closed before they were
// authenticated.
func (l *Links) Refused() uint64 { return l.refused.Load() }
