package peer

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
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
