package peer

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// authenticated dials a node as a peer does, up to the hellos, and hands out the
// connection.
func (n *testNode) authenticated(t *testing.T, to *testNode) *wire {
	t.Helper()
	address, _ := n.s.address(to.id)
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	raw := &paced{Conn: conn}
	w := newWire(raw, tls.Client(raw, n.clientTLS(to.id)))
	if err := n.greet(t.Context(), w, to.id); err != nil {
		t.Fatal(err)
	}
	return w
}

// ended waits for the other end to close a connection.
func ended(t *testing.T, conn io.Reader) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(io.Discard, conn)
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("the connection is still open after 10 s")
	}
}

// TestGarbage sends to the port what is no handshake. Nothing stays, little is
// logged, and peers get through meanwhile.
func TestGarbage(t *testing.T) {
	s := newService(t)
	lines := make(chan string, 1000)
	a, b := s.node(), s.node(logTo(lines)).serve(nil)
	s.set(a.id, "")
	a.Send(b.id, []byte("before"))
	b.next(t)
	before := runtime.NumGoroutine()
	address, _ := s.address(b.id)
	clientHello := recordHello(t, a.clientTLS(b.id))
	var wg sync.WaitGroup
	const rounds = 20
	garbage := [][]byte{
		nil,
		{0},
		[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		bytes.Repeat([]byte{0xff}, 1<<20),
		{0x16, 3, 1, 0xff, 0xff},
		clientHello[:len(clientHello)/2],
		append(clientHello, bytes.Repeat([]byte{0x17}, 1000)...),
	}
	for range rounds {
		for _, g := range garbage {
			wg.Go(func() {
				conn, err := net.Dial("tcp", address)
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				_, _ = conn.Write(g)
				_ = conn.(*net.TCPConn).CloseWrite()
				ended(t, conn)
			})
		}
	}
	for range 100 {
		if !a.Send(b.id, []byte("meanwhile")) {
			t.Error("refused")
		}
		b.next(t)
	}
	wg.Wait()
	until(t, "all are refused", func() bool { return b.Refused() == uint64(rounds*len(garbage)) })
	until(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
	if n := len(lines); n > 2 {
		t.Errorf("%d lines were logged", n)
	}
	if !a.stat(b.id).Connected || !b.stat(a.id).Accepted {
		t.Error("the link broke")
	}
}

// recordHello returns the first bytes of a TLS client.
func recordHello(t *testing.T, c *tls.Config) []byte {
	t.Helper()
	here, there := net.Pipe()
	go func() { _ = tls.Client(here, c).Handshake() }()
	b := make([]byte, 16<<10)
	n, err := there.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	there.Close()
	here.Close()
	return b[:n]
}

// TestHostilePeer authenticates and then sends what no peer sends.
func TestHostilePeer(t *testing.T) {
	s := newService(t)
	a, b := s.node(), s.node().serve(nil)
	s.set(a.id, "")
	for name, frames := range map[string][]byte{
		"not a frame": bytes.Repeat([]byte{0xaa}, 100),
		"an answer":   numbered(kindAnswer, 1),
		"a hello":     hello{oldest: 1, newest: 1, to: string(b.id)}.encode(),
		"huge":        appendHeader(nil, kindMessage, 1<<32-1),
	} {
		w := a.authenticated(t, b)
		if _, err := w.tls.Write(frames); err != nil {
			t.Fatal(err)
		}
		ended(t, w.raw)
		until(t, name, func() bool { return len(b.Stats()) == 0 })
	}
	if len(b.got) != 0 {
		t.Error("something was delivered")
	}
}

// TestHugeFrame announces the largest frames on many links and sends nothing of
// them: what is set aside is bounded.
func TestHugeFrame(t *testing.T) {
	s := newService(t)
	b := s.node().serve(nil)
	for range largeFramesMax + 3 {
		a := s.node()
		s.set(a.id, "")
		w := a.authenticated(t, b)
		if _, err := w.tls.Write(append(appendHeader(nil, kindMessage, MessageMax), 1)); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the slots are taken", func() bool { return len(b.large) == largeFramesMax })
	b.stop()
	if len(b.large) != 0 {
		t.Error("slots stay taken")
	}
}

// TestSecondConnection is made by a peer that has lost its first unnoticed.
func TestSecondConnection(t *testing.T) {
	s := newService(t)
	a, b := s.node(), s.node().serve(nil)
	s.set(a.id, "")
	first := a.authenticated(t, b)
	b.mu.Lock()
	before := b.inbound[a.id]
	b.mu.Unlock()
	second := a.authenticated(t, b)
	ended(t, first.raw)
	if cause := context.Cause(before.ctx); !errors.Is(cause, errReplaced) {
		t.Errorf("the first ended because: %v", cause)
	}
	if _, err := second.tls.Write(frame(kindMessage, 'x')); err != nil {
		t.Fatal(err)
	}
	if r := b.next(t); string(r.m) != "x" {
		t.Errorf("%s arrived", r.m)
	}
	if !b.stat(a.id).Accepted {
		t.Error("the second connection is not the peer's")
	}
}

// TestWrongHello means another node, or begins with something else.
func TestWrongHello(t *testing.T) {
	s := newService(t)
	a, b := s.node(), s.node().serve(nil)
	s.set(a.id, "")
	address, _ := s.address(b.id)
	for name, c := range map[string]struct{ sent, want string }{
		"other node": {string(hello{oldest: 1, newest: 1, to: "other"}.encode()), "meant is n[other], this is " + b.id.String()},
		"no node":    {string(hello{oldest: 1, newest: 1, to: ""}.encode()), "meant is n[]"},
		"too short":  {string(frame(kindHello, 1, 0, 1, 0, 9)), ""},
		"message":    {string(frame(kindMessage, 1)), ""},
		"refusal":    {string(frame(kindRefusal, 'n', 'o')), ""},
		"closed":     {"", ""},
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		tc := tls.Client(conn, a.clientTLS(b.id))
		if _, err := tc.Write([]byte(c.sent)); err != nil {
			t.Fatal(err)
		}
		_ = tc.CloseWrite()
		answer, _ := io.ReadAll(tc)
		conn.Close()
		if c.want == "" && len(answer) != 0 || c.want != "" && (len(answer) < headerSize || kind(answer[4]) != kindRefusal ||
			!strings.Contains(string(answer), c.want)) {
			t.Errorf("%s: answer %q", name, answer)
		}
	}
	until(t, "nothing of it stays", func() bool { return len(b.Stats()) == 0 })
}
