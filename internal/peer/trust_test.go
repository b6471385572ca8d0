package peer

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"synod"
	"synod/internal/identity"
)

// selfSigned makes a certificate by the node's own key.
func selfSigned(t *testing.T, n *testNode) *tls.Certificate {
	t.Helper()
	der, err := identity.SelfSigned(n.key, identity.SelfSignedRequest{Subject: "CN=CCF Node", NotBefore: time.Now(), Days: 1})
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: n.key}
}

// selfSignedLeaf is a self-signed certificate that is no authority.
func selfSignedLeaf(t *testing.T, n *testNode) *tls.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CCF Service"}, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &n.key.PublicKey, n.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: n.key}
}

// TestTrust shows certificates to a node, as the side that dials and as the side
// that is dialled.
func TestTrust(t *testing.T) {
	s := newService(t)
	other := newService(t)
	for name, c := range map[string]struct {
		cert func(t *testing.T, n *testNode) *tls.Certificate
		want string // in the error where the certificate is judged; "" is trusted
	}{
		"endorsed": {func(_ *testing.T, n *testNode) *tls.Certificate { return s.endorse(n.key, time.Now()) }, ""},
		"expired": {func(_ *testing.T, n *testNode) *tls.Certificate {
			return s.endorse(n.key, time.Now().AddDate(-2, 0, 0))
		}, ""},
		"not yet":     {func(_ *testing.T, n *testNode) *tls.Certificate { return s.endorse(n.key, time.Now().AddDate(2, 0, 0)) }, ""},
		"other":       {func(_ *testing.T, n *testNode) *tls.Certificate { return other.endorse(n.key, time.Now()) }, "this service did not sign it"},
		"self-signed": {selfSigned, "self-signed or an authority's"},
		"bare":        {selfSignedLeaf, "this service did not sign it"},
		"service's own": {func(*testing.T, *testNode) *tls.Certificate {
			return &tls.Certificate{Certificate: [][]byte{s.cert.Raw}, PrivateKey: s.key}
		}, "self-signed or an authority's"},
		"older service": {func(t *testing.T, _ *testNode) *tls.Certificate {
			text, err := identity.EndorseService(other.cert, s.key, s.cert)
			if err != nil {
				t.Fatal(err)
			}
			cert, err := identity.ParseCertPEM([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: other.key}
		}, "self-signed or an authority's"},
		"signed by a node": {func(_ *testing.T, n *testNode) *tls.Certificate {
			// A node's certificate as issuer: it is no authority.
			issuer := &service{t: t, key: n.key, cert: mustParse(t, s.endorse(n.key, time.Now()))}
			chain := issuer.endorse(n.key, time.Now())
			chain.Certificate = append(chain.Certificate, issuer.cert.Raw)
			return chain
		}, "this service did not sign it"},
	} {
		t.Run(name, func(t *testing.T) {
			s.t, other.t = t, t
			verdicts := make(chan string, 100)
			judge, judged := s.node(logTo(verdicts)).serve(nil), s.node().serve(nil)
			judged.cert.Store(c.cert(t, judged))

			if c.want == "" {
				if !judged.Send(judge.id, []byte("in")) || string(judge.next(t).m) != "in" {
					t.Error("nothing came from the node")
				}
				if _, err := judge.Links.Call(t.Context(), judged.id, nil); err != nil {
					t.Errorf("Call: %v", err)
				}
				return
			}
			_, err := judge.Links.Call(t.Context(), judged.id, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("dialling it: %v, want %q", err, c.want)
			}
			// The judged node itself trusts the judge, who refuses it.
			_, err = judged.Links.Call(t.Context(), judge.id, nil)
			if err == nil || !strings.Contains(err.Error(), "tls: bad certificate") {
				t.Errorf("dialled by it: %v, want the TLS alert", err)
			}
			until(t, "the log says why", func() bool {
				select {
				case line := <-verdicts:
					return strings.Contains(line, "refused a connection") && strings.Contains(line, c.want)
				default:
					return false
				}
			})
		})
	}
}

func mustParse(t *testing.T, c *tls.Certificate) *x509.Certificate {
	t.Helper()
	cert, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// TestAuthority wants the certificate that endorses to be an authority's.
func TestAuthority(t *testing.T) {
	s := newService(t)
	n := s.node()
	leaf := mustParse(t, n.cert.Load())
	if err := endorsed(leaf, []*x509.Certificate{mustParse(t, n.cert.Load()), s.cert}); err != nil {
		t.Errorf("endorsed by the second of two: %v", err)
	}
	for _, change := range []func(*x509.Certificate){
		func(c *x509.Certificate) { c.IsCA = false },
		func(c *x509.Certificate) { c.BasicConstraintsValid = false },
		func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature },
	} {
		parent := *s.cert
		change(&parent)
		if endorsed(leaf, []*x509.Certificate{&parent}) == nil {
			t.Error("a certificate that may not sign others endorsed a node")
		}
	}
	strange := *leaf
	strange.UnhandledCriticalExtensions = append(strange.UnhandledCriticalExtensions, []int{1, 2, 3})
	if endorsed(&strange, []*x509.Certificate{s.cert}) == nil {
		t.Error("a critical extension that nobody knows was passed over")
	}
	if endorsed(leaf, nil) == nil {
		t.Error("no service endorsed a node")
	}
}

// TestWrongNode dials one node where another listens.
func TestWrongNode(t *testing.T) {
	s := newService(t)
	a, b, c := s.node(), s.node(), s.node().serve(nil)
	s.set(a.id, "")
	address, _ := s.address(c.id)
	s.set(b.id, address)
	_, err := a.Links.Call(t.Context(), b.id, nil)
	if err == nil || !strings.Contains(err.Error(), "of another node: "+c.id.String()) {
		t.Errorf("Call: %v", err)
	}
}

// TestUnknownNode is dialled by a node of the service that it does not know yet.
func TestUnknownNode(t *testing.T) {
	s := newService(t)
	a, b := s.node(), s.node().serve(nil)
	_, err := a.Links.Call(t.Context(), b.id, nil)
	if want := "the other node refuses the link: this node does not know " + a.id.String(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Call: %v, want %q", err, want)
	}
	s.set(a.id, "")
	until(t, "the link comes up once the node is known", func() bool {
		_, err := a.Links.Call(t.Context(), b.id, nil)
		return err == nil
	})
}

// TestStranger is dialled by a node of the service that it does not know, and takes it
// if it is willing, but none that the service has not endorsed.
func TestStranger(t *testing.T) {
	s := newService(t)
	a, b := s.node(), s.node()
	a.config.Addresses = func() (string, string) { return "node:1", "client:2" }
	willing := make(chan bool, 1)
	b.config.Stranger = func(id synod.NodeID, node, client string) bool {
		if id != a.id || node != "node:1" || client != "client:2" {
			t.Errorf("%s says that it is at %s and %s", id, node, client)
		}
		select {
		case <-willing:
			s.set(id, "")
			return true
		default:
			return false
		}
	}
	b.serve(nil)
	if _, err := a.Links.Call(t.Context(), b.id, nil); err == nil {
		t.Error("a link with a node that does not want one")
	}
	willing <- true
	until(t, "the link comes up", func() bool {
		_, err := a.Links.Call(t.Context(), b.id, nil)
		return err == nil
	})
}

// TestLeftMeanwhile has a node leave that a link is being made for: nobody goes on
// dialling it.
func TestLeftMeanwhile(t *testing.T) {
	s := newService(t)
	a, b := s.node(), s.node()
	s.set(b.id, "127.0.0.1:1")
	a.Connect(b.id)
	s.remove(b.id)
	until(t, "the link is dropped", func() bool { return len(a.Stats()) == 0 })
}

// TestVersions lets releases meet.
func TestVersions(t *testing.T) {
	s := newService(t)
	for _, c := range []struct {
		oldest, newest uint16
		ok             bool
	}{{1, 1, true}, {1, 2, true}, {2, 3, false}, {0, 1, true}, {0, 0, false}} {
		a, b := s.node(), s.node().serve(nil)
		s.set(a.id, "")
		a.oldest, a.newest = c.oldest, c.newest
		_, err := a.Links.Call(t.Context(), b.id, nil)
		switch {
		case c.ok && err != nil:
			t.Errorf("%d to %d: %v", c.oldest, c.newest, err)
		case !c.ok && (err == nil || !strings.Contains(err.Error(), "upgrade one release at a time")):
			t.Errorf("%d to %d: %v", c.oldest, c.newest, err)
		}
	}
}

// TestRenewal replaces a node's certificate: the link stands, the next one shows
// the new certificate.
func TestRenewal(t *testing.T) {
	s := newService(t)
	a, b := s.node(), s.node().serve(nil)
	s.set(a.id, "")
	a.Send(b.id, []byte("1"))
	b.next(t)
	served := func() *x509.Certificate {
		b.mu.Lock()
		defer b.mu.Unlock()
		if in := b.inbound[a.id]; in != nil {
			return in.w.tls.ConnectionState().PeerCertificates[0]
		}
		return nil
	}
	renewed := s.endorse(a.key, time.Now())
	a.cert.Store(renewed)
	a.Send(b.id, []byte("2"))
	b.next(t)
	if served().Equal(mustParse(t, renewed)) {
		t.Error("the connection was replaced")
	}
	b.Forget(a.id)
	until(t, "the new certificate is shown", func() bool {
		cert := served()
		return cert != nil && cert.Equal(mustParse(t, renewed))
	})
}

// TestTLS refuses older TLS, another protocol, no certificate, and resumption.
func TestTLS(t *testing.T) {
	s := newService(t)
	a, b := s.node(), s.node().serve(nil)
	s.set(a.id, "")
	address, _ := s.address(b.id)
	dial := func(change func(*tls.Config)) (tls.ConnectionState, error) {
		c := a.clientTLS(b.id)
		change(c)
		dialer := tls.Dialer{Config: c}
		conn, err := dialer.DialContext(context.Background(), "tcp", address)
		if err != nil {
			return tls.ConnectionState{}, err
		}
		defer conn.Close()
		tc := conn.(*tls.Conn)
		if err := a.sayHello(&wire{tls: tc}, b.id); err != nil {
			return tls.ConnectionState{}, err
		}
		_, err = tc.Read(make([]byte, 1)) // the other end's verdict
		return tc.ConnectionState(), err
	}
	for name, c := range map[string]struct {
		change func(*tls.Config)
		want   string
	}{
		"TLS 1.2":  {func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }, "protocol version"},
		"no ALPN":  {func(c *tls.Config) { c.NextProtos, c.VerifyConnection = nil, nil }, "bad certificate"},
		"other":    {func(c *tls.Config) { c.NextProtos = []string{"h2"} }, "no application protocol"},
		"no cert":  {func(c *tls.Config) { c.GetClientCertificate = nil }, "certificate required"},
		"accepted": {func(*tls.Config) {}, ""},
	} {
		_, err := dial(c.change)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	cache := tls.NewLRUClientSessionCache(10)
	for range 2 {
		state, err := dial(func(c *tls.Config) { c.ClientSessionCache, c.ServerName = cache, "node" })
		if err != nil || state.DidResume {
			t.Errorf("resumed: %v, %v", state.DidResume, err)
		}
	}
	if a.serverTLS().VerifyConnection(tls.ConnectionState{NegotiatedProtocol: protocol}) == nil {
		t.Error("no certificate was accepted")
	}
}
