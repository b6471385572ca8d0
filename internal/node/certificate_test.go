package node_test

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"synod/client"
	"synod/internal/identity"
)

// shown is the certificate that an interface shows to a new connection.
func (s *service) shown(r *running, itf string) (*x509.Certificate, error) {
	config := s.tls()
	dialer := tls.Dialer{Config: config}
	conn, err := dialer.DialContext(s.t.Context(), "tcp", r.Address(itf))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// period is when a certificate is valid, for a proposal.
type period struct {
	from time.Time
	days int
}

func (p period) args(more object) object {
	more["valid_from"], more["validity_period_days"] = p.from.Format("060102150405Z"), p.days
	return more
}

// of checks that a certificate is valid just then.
func (p period) of(c *x509.Certificate) error {
	if !c.NotBefore.Equal(p.from) || !c.NotAfter.Equal(p.from.AddDate(0, 0, p.days).Add(-time.Second)) {
		return fmt.Errorf("valid from %v to %v, want %d days from %v", c.NotBefore, c.NotAfter, p.days, p.from)
	}
	return nil
}

// shows waits until a node shows certificates of a period on every interface,
// and says that of its self-signed one.
func (s *service) showsPeriod(r *running, p period) {
	s.t.Helper()
	s.poll("certificates of another period", func() error {
		service, err := identity.ParseCertPEM([]byte(r.ServiceCertificate()))
		if err != nil {
			s.t.Fatal(err)
		}
		var errs []error
		for _, itf := range []string{"main", "self"} {
			c, err := s.shown(r, itf)
			if err != nil {
				return err
			}
			errs = append(errs, p.of(c))
			if signed := identity.EndorsedBy(c, service.PublicKey.(*ecdsa.PublicKey)); (signed == nil) != (itf == "main") {
				errs = append(errs, fmt.Errorf("interface %s: endorsed by the service: %v", itf, signed))
			}
		}
		var body struct {
			PEM string `json:"self_signed_certificate"`
		}
		a := s.requestOn(r, "self", "GET", "/node/self_signed_certificate", "")
		if err := json.Unmarshal([]byte(a.body), &body); err != nil {
			s.t.Fatalf("%s: %v", a.body, err)
		}
		c, err := identity.ParseCertPEM([]byte(body.PEM))
		if err == nil {
			err = p.of(c)
		}
		return errors.Join(append(errs, err)...)
	})
}

// TestCertificates renews every kind of certificate of a running service, and
// lets them run out.
func TestCertificates(t *testing.T) {
	s := startNodes(t, 3)
	today := time.Now().UTC().Truncate(24 * time.Hour)
	refused := func(name string, args object) {
		t.Helper()
		if p, err := s.propose(client.Action{Name: name, Args: args}); err == nil && p.State != client.ProposalFailed {
			t.Errorf("%s of %v is taken", name, args)
		}
	}
	one := s.backups()[0]
	refused("set_node_certificate_validity", period{today, 366}.args(object{"node_id": s.nodeID(one)}))
	refused("set_service_certificate_validity", period{today, 366}.args(object{}))
	refused("set_node_certificate_validity", object{"node_id": s.nodeID(one), "valid_from": "x"})

	open, err := tls.Dial("tcp", one.Address("main"), s.tls()) // before: it stays as it is
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	p := period{today, 20}
	s.pass(client.Action{Name: "set_node_certificate_validity", Args: p.args(object{"node_id": s.nodeID(one)})})
	s.showsPeriod(one, p)
	if c, err := s.shown(s.primary(), "main"); err != nil || p.of(c) == nil {
		t.Errorf("another node's certificate too: %v", err)
	}
	if _, err := fmt.Fprintf(open, "GET /node/state HTTP/1.1\r\n\r\n"); err != nil {
		t.Error(err)
	}
	if n, err := open.Read(make([]byte, 12)); n != 12 || err != nil {
		t.Errorf("a connection of before: %d bytes, %v", n, err)
	}

	p = period{today, 30}
	s.pass(client.Action{Name: "set_all_nodes_certificate_validity", Args: p.args(object{})})
	for _, r := range s.nodes {
		s.showsPeriod(r, p)
	}

	old := s.ServiceCertificate()
	p = period{today, 40}
	s.pass(client.Action{Name: "set_service_certificate_validity", Args: p.args(object{})})
	for _, r := range s.nodes {
		s.poll("the service's certificate on every node", func() error {
			if r.ServiceCertificate() == old {
				return errors.New("it is the old one")
			}
			c, err := identity.ParseCertPEM([]byte(r.ServiceCertificate()))
			if err != nil {
				return err
			}
			return p.of(c)
		})
	}
	// Whoever has the old certificate still trusts the service: the key is the same.
	for i, pem := range []string{old, s.ServiceCertificate()} {
		c, err := client.Dial("https://"+one.Address("main"), client.WithServiceCertificate([]byte(pem)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Network(t.Context()); err != nil {
			t.Errorf("certificate %d of the service: %v", i, err)
		}
		c.Close()
	}
	// So does a node that joins with it.
	s.trust(s.join(nil))
	s.voting(4)

	// Certificates that have run out stop clients, not nodes: every link is made
	// anew with them when a node joins.
	p = period{today.AddDate(0, 0, -20), 10}
	s.pass(client.Action{Name: "set_all_nodes_certificate_validity", Args: p.args(object{})})
	for _, r := range s.nodes {
		s.showsPeriod(r, p)
	}
	if _, err := s.dial(nil).Network(t.Context()); err == nil {
		t.Error("a client takes a certificate that has run out")
	}
	stranger, _ := madeService(t)
	c, err := client.Dial("https://"+one.Address("main"), client.WithServiceCertificate(stranger), client.WithExpiredCertificates())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Network(t.Context()); err == nil || !strings.Contains(err.Error(), "not endorsed by the service") {
		t.Errorf("a client of another service that minds no dates: %v", err)
	}
	c.Close()
	for _, r := range s.nodes {
		r.BreakLinks()
	}
	p = period{today, 50}
	s.options = []client.Option{client.WithExpiredCertificates()}
	s.pass(client.Action{Name: "set_all_nodes_certificate_validity", Args: p.args(object{})})
	s.options = nil
	for i, r := range s.nodes {
		s.showsPeriod(r, p)
		s.put(r, i, "written")
	}
}
