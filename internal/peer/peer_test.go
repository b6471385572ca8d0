package peer

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"synod"
	"synod/internal/identity"
)

// service is a service with the nodes that its tests make.
type service struct {
	t    testing.TB
	key  *ecdsa.PrivateKey
	cert *x509.Certificate

	mu    sync.Mutex
	nodes map[synod.NodeID]string // who may talk, and where it listens
}

func newService(t testing.TB) *service {
	t.Helper()
	key, err := identity.NewKey(identity.Secp256r1)
	if err != nil {
		t.Fatal(err)
	}
	der, err := identity.SelfSigned(key, identity.SelfSignedRequest{Subject: "CN=CCF Service", NotBefore: time.Now(), Days: 1})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &service{t: t, key: key, cert: cert, nodes: map[synod.NodeID]string{}}
}

func (s *service) address(id synod.NodeID) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.nodes[id]
	return a, ok
}

func (s *service) set(id synod.NodeID, address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes[id] = address
}

func (s *service) remove(id synod.NodeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.nodes, id)
}

// endorse makes a certificate of the service for a key.
func (s *service) endorse(key *ecdsa.PrivateKey, from time.Time) *tls.Certificate {
	s.t.Helper()
	csr, err := identity.NewCSR(key, "CN=CCF Node", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	text, err := identity.Endorse(csr, s.key, s.cert, from, 1)
	if err != nil {
		s.t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(text))
	return &tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key}
}

type received struct {
	from synod.NodeID
	m    []byte
}

// testNode is one node's links, and what arrived at it.
type testNode struct {
	*Links
	s           *service
	id          synod.NodeID
	key         *ecdsa.PrivateKey
	cert        atomic.Pointer[tls.Certificate]
	got         chan received
	unreachable atomic.Int64
	stop        func() // ends Serve and Close, and waits
}

// node makes a node with its key and certificate; serve lets it listen.
func (s *service) node(change ...func(*Config)) *testNode {
	s.t.Helper()
	key, err := identity.NewKey(identity.Secp256r1)
	if err != nil {
		s.t.Fatal(err)
	}
	n := &testNode{s: s, id: identity.NodeIDOf(&key.PublicKey), key: key, got: make(chan received, 1<<16)}
	n.cert.Store(s.endorse(key, time.Now()))
	config := Config{
		Self: n.id, Certificate: n.cert.Load,
		Service: func() []*x509.Certificate { return []*x509.Certificate{s.cert} },
		Peer:    s.address,
		Message: func(from synod.NodeID, m []byte) { n.got <- received{from, m} },
		Call: func(_ context.Context, _ synod.NodeID, r []byte) ([]byte, error) {
			return append([]byte("re "), r...), nil
		},
		Unreachable: func(synod.NodeID) { n.unreachable.Add(1) },
		Logger:      slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&config)
	}
	n.Links = New(config)
	n.stop = sync.OnceFunc(n.Close)
	s.t.Cleanup(func() { n.stop() })
	return n
}

// serve lets a node listen, on loopback if ln is nil, and tells the others.
func (n *testNode) serve(ln net.Listener) *testNode {
	n.s.t.Helper()
	if ln == nil {
		var err error
		if ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			n.s.t.Fatal(err)
		}
	}
	n.s.set(n.id, ln.Addr().String())
	done := make(chan error, 1)
	go func() { done <- n.Serve(context.Background(), ln) }()
	n.stop = sync.OnceFunc(func() {
		n.Close()
		if err := <-done; err != nil && !errors.Is(err, errClosed) {
			n.s.t.Errorf("Serve: %v", err)
		}
	})
	return n
}

func (n *testNode) next(t testing.TB) received {
	t.Helper()
	select {
	case r := <-n.got:
		return r
	case <-time.After(10 * time.Second):
		t.Fatalf("no message in 10 s; %+v, refused %d", n.Stats(), n.Refused())
		return received{}
	}
}

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("not in 10 s: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

func (n *testNode) stat(id synod.NodeID) Stat {
	for _, s := range n.Stats() {
		if s.Peer == id {
			return s
		}
	}
	return Stat{}
}

func TestThreeNodes(t *testing.T) {
	s := newService(t)
	nodes := []*testNode{s.node().serve(nil), s.node().serve(nil), s.node().serve(nil)}
	const count = 500
	for i := range count {
		for _, a := range nodes {
			for _, b := range nodes {
				if a != b && !a.Send(b.id, fmt.Appendf(nil, "%d", i)) {
					t.Fatal("Send refused")
				}
			}
		}
	}
	for _, n := range nodes {
		next := map[synod.NodeID]int{}
		for range 2 * count {
			r := n.next(t)
			if want := fmt.Sprint(next[r.from]); string(r.m) != want {
				t.Fatalf("from %s: %s, want %s", r.from, r.m, want)
			}
			next[r.from]++
		}
	}
	for _, a := range nodes {
		for _, b := range nodes {
			if a == b {
				continue
			}
			answer, err := a.Links.Call(t.Context(), b.id, []byte("x"))
			if err != nil || string(answer) != "re x" {
				t.Fatalf("Call = %q, %v", answer, err)
			}
			if st := a.stat(b.id); !st.Connected || !st.Accepted || st.Dropped+uint64(st.Queued+st.QueuedBytes+st.Calls) != 0 || st.LastError != "" {
				t.Errorf("Stats: %+v", st)
			}
		}
	}
}

// deliver sends a message, and again only if the node was told that it may be
// lost: a machine that stands still for seconds breaks links.
func (n *testNode) deliver(t *testing.T, to *testNode, m []byte) received {
	t.Helper()
	told := int64(-1)
	for end := time.Now().Add(20 * time.Second); ; {
		if now := n.unreachable.Load(); now != told {
			told = now
			if !n.Send(to.id, m) {
				t.Fatalf("%d bytes refused", len(m))
			}
		}
		select {
		case r := <-to.got:
			return r
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatalf("%d bytes did not arrive: %+v", len(m), n.Stats())
		}
	}
}

// TestSizes sends messages around every border of the buffers, and the largest.
func TestSizes(t *testing.T) {
	s := newService(t)
	a, b := s.node(), s.node().serve(nil)
	s.set(a.id, "")
	for _, size := range []int{0, 1, 1 << 14, bufferSize - headerSize, bufferSize, largeFrameMin - 1, largeFrameMin, MessageMax} {
		m := bytes.Repeat([]byte{byte(size), 7}, size/2+1)[:size]
		r := a.deliver(t, b, m)
		if !bytes.Equal(r.m, m) || r.from != a.id {
			t.Fatalf("%d bytes: %d arrived", size, len(r.m))
		}
		answer, err := a.Links.Call(t.Context(), b.id, m[:min(size, MessageMax-3)])
		if err != nil || !bytes.Equal(answer[3:], m[:min(size, MessageMax-3)]) {
			t.Fatalf("call of %d bytes: %d, %v", size, len(answer), err)
		}
	}
	if a.Send(b.id, make([]byte, MessageMax+1)) {
		t.Error("too large a message was taken")
	}
	if _, err := a.Links.Call(t.Context(), b.id, make([]byte, MessageMax+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large a request: %v", err)
	}
	if _, err := a.Links.Call(t.Context(), b.id, make([]byte, MessageMax)); !errors.Is(err, ErrFailed) { // the answer has 3 bytes more
		t.Errorf("too large an answer: %v", err)
	}
}

func TestSendRefuses(t *testing.T) {
	s := newService(t)
	n := s.node()
	s.set(n.id, "")
	if n.Send("unknown", nil) || n.Send(n.id, nil) {
		t.Error("sent to an unknown node or to itself")
	}
	for _, id := range []synod.NodeID{"unknown", n.id} {
		if _, err := n.Links.Call(t.Context(), id, nil); !errors.Is(err, ErrUnreachable) {
			t.Errorf("Call: %v", err)
		}
	}
	other := s.node().serve(nil)
	n.stop()
	if n.Send(other.id, nil) {
		t.Error("sent after Close")
	}
	if err := n.Serve(t.Context(), newMemNet().listen("")); !errors.Is(err, errClosed) {
		t.Errorf("Serve after Close: %v", err)
	}
}

// TestConcurrentCalls has many calls in flight, each with its own answer.
func TestConcurrentCalls(t *testing.T) {
	s := newService(t)
	a, b := s.node(), s.node().serve(nil)
	s.set(a.id, "")
	var wg sync.WaitGroup
	for i := range 500 {
		wg.Go(func() {
			request := fmt.Sprint(i)
			answer, err := a.Links.Call(t.Context(), b.id, []byte(request))
			if err != nil || string(answer) != "re "+request {
				t.Errorf("Call(%s) = %q, %v", request, answer, err)
			}
		})
	}
	wg.Wait()
}

func TestServeEnds(t *testing.T) {
	s := newService(t)
	n := s.node()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Serve(ctx, ln) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := io.ReadAll(conn); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Logf("the connection ended with %v", err)
	}
	conn.Close()
	if err := n.Serve(t.Context(), ln); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve on a closed listener: %v", err)
	}
}

// logTo sends a node's log lines somewhere.
func logTo(lines chan<- string) func(*Config) {
	return func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(lineWriter(lines), nil)) }
}

type lineWriter chan<- string

func (w lineWriter) Write(b []byte) (int, error) {
	select {
	case w <- string(b):
	default:
	}
	return len(b), nil
}
