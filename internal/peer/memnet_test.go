package peer

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// memNet is a network in memory, for tests in a bubble: nothing in it waits for
// the machine's clock or kernel.
type memNet struct {
	mu        sync.Mutex
	listeners map[string]*memListener
	conns     []*memConn
	dials     []time.Time
}

func newMemNet() *memNet { return &memNet{listeners: map[string]*memListener{}} }

type memAddr string

func (memAddr) Network() string  { return "mem" }
func (a memAddr) String() string { return string(a) }

type memListener struct {
	net    *memNet
	addr   memAddr
	accept chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (n *memNet) listen(address string) *memListener {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &memListener{net: n, addr: memAddr(address), accept: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[address] = l
	return l
}

func (l *memListener) Addr() net.Addr { return l.addr }

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

var errNobody = errors.New("nobody listens")

func (n *memNet) dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	n.dials = append(n.dials, time.Now())
	l := n.listeners[address]
	n.mu.Unlock()
	if l == nil {
		return nil, errNobody
	}
	there, back := newHalf(), newHalf()
	ours := &memConn{r: back, w: there, addr: l.addr}
	select {
	case l.accept <- &memConn{r: there, w: back, addr: "dialler"}:
	case <-l.closed:
		return nil, errNobody
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	n.mu.Lock()
	n.conns = append(n.conns, ours)
	n.mu.Unlock()
	return ours, nil
}

// cut lets all that is written from now on vanish, as a network does that lost a
// machine: nobody is told.
func (n *memNet) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.conns {
		for _, h := range []*half{c.r, c.w} {
			h.mu.Lock()
			h.lost = true
			h.mu.Unlock()
		}
	}
}

func (n *memNet) dialled() []time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]time.Time(nil), n.dials...)
}

// half is one direction of a connection.
type half struct {
	mu         sync.Mutex
	cond       *sync.Cond
	buf        []byte
	done, lost bool
	deadlines  [2]time.Time // of the reader, of the writer
	timers     [2]*time.Timer
}

// halfMax is what a connection holds that nobody reads, in bytes.
const halfMax = 256 << 10

func newHalf() *half {
	h := &half{}
	h.cond = sync.NewCond(&h.mu)
	return h
}

func (h *half) late(i int) bool {
	d := h.deadlines[i]
	return !d.IsZero() && !time.Now().Before(d)
}

func (h *half) deadline(i int, t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.timers[i] != nil {
		h.timers[i].Stop()
	}
	h.deadlines[i] = t
	if !t.IsZero() {
		h.timers[i] = time.AfterFunc(time.Until(t), h.cond.Broadcast)
	}
	h.cond.Broadcast()
}

func (h *half) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.done = true
	h.cond.Broadcast()
}

type memConn struct {
	r, w *half
	addr memAddr
	mu   sync.Mutex
	shut bool
}

func (c *memConn) closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shut
}

func (c *memConn) Read(b []byte) (int, error) {
	h := c.r
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case c.closed():
			return 0, net.ErrClosed
		case h.late(0):
			return 0, os.ErrDeadlineExceeded
		case len(h.buf) > 0 && !h.lost:
			n := copy(b, h.buf)
			h.buf = h.buf[n:]
			h.cond.Broadcast()
			return n, nil
		case h.done && !h.lost:
			return 0, errors.New("the other end closed")
		}
		h.cond.Wait()
	}
}

func (c *memConn) Write(b []byte) (int, error) {
	h := c.w
	h.mu.Lock()
	defer h.mu.Unlock()
	for n := 0; ; {
		switch {
		case c.closed():
			return n, net.ErrClosed
		case h.late(1):
			return n, os.ErrDeadlineExceeded
		case h.done && !h.lost:
			return n, errors.New("the other end closed")
		case len(b) == 0:
			return n, nil
		}
		if room := min(halfMax-len(h.buf), len(b)); room > 0 {
			h.buf = append(h.buf, b[:room]...)
			b, n = b[room:], n+room
			h.cond.Broadcast()
			continue
		}
		h.cond.Wait()
	}
}

func (c *memConn) Close() error {
	c.mu.Lock()
	c.shut = true
	c.mu.Unlock()
	c.r.close()
	c.w.close()
	return nil
}

func (c *memConn) LocalAddr() net.Addr  { return c.addr }
func (c *memConn) RemoteAddr() net.Addr { return c.addr }

func (c *memConn) SetReadDeadline(t time.Time) error  { c.r.deadline(0, t); return nil }
func (c *memConn) SetWriteDeadline(t time.Time) error { c.w.deadline(1, t); return nil }
func (c *memConn) SetDeadline(t time.Time) error {
	c.r.deadline(0, t)
	c.w.deadline(1, t)
	return nil
}

// inBubble runs a test on a clock of its own, with two nodes of a service: a
// dials b, which listens, and of which the configuration may be changed. The
// bubble fails the test if a goroutine is left over.
func inBubble(t *testing.T, change func(b *Config), test func(t *testing.T, net *memNet, a, b *testNode)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, net := newService(t), newMemNet()
		if change == nil {
			change = func(*Config) {}
		}
		a := s.node(func(c *Config) { c.Dial = net.dial })
		b := s.node(func(c *Config) { c.Dial = net.dial }, change).serve(net.listen("b"))
		s.set(a.id, "a")
		test(t, net, a, b)
		a.stop()
		b.stop()
	})
}
