package node

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync/atomic"
	"time"

	"synod"
	"synod/internal/config"
	"synod/internal/evidence"
	"synod/internal/identity"
	"synod/internal/tables"
)

// identityState is who this node is: keys made at start and never stored.
type identityState struct {
	node          synod.NodeID
	key           *ecdsa.PrivateKey
	encryptionKey *rsa.PrivateKey
	encryptionPub string // PEM
	publicKey     string // PEM
	csr           string // PEM
	sans          []string

	self     atomic.Pointer[servedCert] // self-signed
	endorsed atomic.Pointer[servedCert] // by the service; nil until it commits
}

// servedCert is a certificate in the two forms that are needed.
type servedCert struct {
	pem string
	tls *tls.Certificate
}

func (i *identityState) selfSigned() string { return i.self.Load().pem }

// signingCert is what signatures carry: the certificate in the tables that the
// signature covers, committed or not, so that the first of a service has one.
func (n *Node) signingCert() string {
	tx := n.store.Begin()
	defer tx.Release()
	pem, _ := tx.Get(tables.NodeEndorsedCertificates, []byte(n.id.node))
	return string(pem)
}

// serviceState is the service's identity, which every trusted node holds.
type serviceState struct {
	key     *ecdsa.PrivateKey
	current atomic.Pointer[serviceCert]
}

type serviceCert struct {
	pem  string
	cert *x509.Certificate
}

func (s *serviceState) cert() string { return s.current.Load().pem }

func (s *serviceState) set(pem string) error {
	cert, err := identity.ParseCertPEM([]byte(pem))
	if err != nil {
		return fmt.Errorf("service certificate: %w", err)
	}
	s.current.Store(&serviceCert{pem, cert})
	return nil
}

// newIdentities makes the node's keys and, of a new or recovered service, the
// service's.
func (n *Node) newIdentities(now time.Time) error {
	curve := identity.Curve(n.cfg.NodeCertificate.CurveID)
	id := &identityState{sans: n.subjectAltNames()}
	var err error
	if id.key, err = identity.NewKey(curve); err != nil {
		return fmt.Errorf("make the node's key: %w", err)
	}
	if id.encryptionKey, id.encryptionPub, err = identity.NewNodeEncryptionKey(); err != nil {
		return fmt.Errorf("make the node's encryption key: %w", err)
	}
	id.node = identity.NodeIDOf(&id.key.PublicKey)
	if id.publicKey, err = identity.PublicKeyPEM(&id.key.PublicKey); err != nil {
		return err
	}
	if id.csr, err = identity.NewCSR(id.key, n.cfg.NodeCertificate.SubjectName, id.sans); err != nil {
		return fmt.Errorf("make the node's certificate request: %w", err)
	}
	n.id = id
	if err := n.renewSelfSigned(now, int(n.cfg.NodeCertificate.InitialValidityDays)); err != nil {
		return err
	}

	if n.cfg.Command.Type == config.CommandJoin {
		return nil // the service's key comes with its trust
	}
	if n.cfg.Command.Recover.SealedResume {
		return n.unsealService()
	}
	service := &serviceState{}
	if service.key, err = identity.NewKey(curve); err != nil {
		return fmt.Errorf("make the service's key: %w", err)
	}
	start := n.cfg.Command.Start
	request := identity.SelfSignedRequest{Subject: start.ServiceSubjectName, NotBefore: now, Days: int(start.InitialValidityDays)}
	if n.recovering != nil {
		request.RawSubject, request.Days = n.recovering.subject, int(n.cfg.Command.Recover.InitialValidityDays)
	}
	der, err := identity.SelfSigned(service.key, request)
	if err != nil {
		return fmt.Errorf("make the service's certificate: %w", err)
	}
	n.service = service
	return service.set(identity.CertPEM(der))
}

// renewSelfSigned makes the self-signed certificate for a period.
func (n *Node) renewSelfSigned(notBefore time.Time, days int) error {
	der, err := identity.SelfSigned(n.id.key, identity.SelfSignedRequest{
		Subject: n.cfg.NodeCertificate.SubjectName, SANs: n.id.sans, NotBefore: notBefore, Days: days,
	})
	if err != nil {
		return fmt.Errorf("make the node's certificate: %w", err)
	}
	n.id.self.Store(n.served(der))
	return nil
}

func (n *Node) served(der []byte) *servedCert {
	return &servedCert{pem: identity.CertPEM(der), tls: &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: n.id.key}}
}

// subjectAltNames are the configured names, or the hosts that clients are
// told.
func (n *Node) subjectAltNames() []string {
	if sans := n.cfg.NodeCertificate.SubjectAltNames; len(sans) > 0 {
		return sans
	}
	var sans []string
	seen := map[string]bool{}
	for _, name := range sortedKeys(n.cfg.Network.RPCInterfaces) {
		itf := n.cfg.Network.RPCInterfaces[name]
		address := itf.PublishedAddress
		if address == "" {
			address = itf.BindAddress
		}
		host, _ := tables.SplitAddress(address)
		if seen[host] {
			continue
		}
		seen[host] = true
		sans = append(sans, identity.SANOf(host))
	}
	return sans
}

// certificateFor chooses what an interface presents: nil means that there is
// none yet.
func (n *Node) certificateFor(authority config.Authority) func() *tls.Certificate {
	return func() *tls.Certificate {
		c := n.id.endorsed.Load()
		if authority == config.AuthorityNode {
			c = n.id.self.Load()
		}
		if c == nil {
			return nil
		}
		return c.tls
	}
}

// newSigner makes signature transactions with the keys that the node has by
// then: one that joins gets the service's later.
func (n *Node) newSigner() *evidence.Signer {
	return &evidence.Signer{
		NodeID: n.id.node, NodeKey: n.id.key, NodeCert: n.signingCert,
		ServiceKey: n.service.key, ServiceKID: identity.ServiceKID(&n.service.key.PublicKey),
		Issuer: n.host.Issuer, Subject: n.host.Subject, Now: time.Now,
	}
}

// signer signs for the node, once it has the keys.
type signer struct{ made func() *evidence.Signer }

// Sign makes a signature transaction.
func (s signer) Sign(id synod.TxID, root [32]byte, tree []byte) (*evidence.Signature, error) {
	return s.made().Sign(id, root, tree)
}

// Quick says that the next Sign takes some microseconds.
func (s signer) Quick() bool { return s.made().Quick() }

// Prepare makes some signatures quick.
func (s signer) Prepare() (int, error) { return s.made().Prepare() }
