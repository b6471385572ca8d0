package peer

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"synod"
	"synod/internal/identity"
)

// protocol is the name of the format in TLS (ALPN, RFC 7301).
const protocol = "synod-peer/1"

// errCertificate is the error for a certificate that is none of this service's
// nodes.
var errCertificate = errors.New("certificate refused")

// clientTLS is for a connection to the node with an ID.
func (l *Links) clientTLS(to synod.NodeID) *tls.Config {
	c := l.commonTLS()
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return l.certificate() }
	c.InsecureSkipVerify = true //nolint:gosec // names and dates are not checked; VerifyConnection checks what counts
	c.VerifyConnection = func(state tls.ConnectionState) error {
		id, err := l.verify(state)
		if err == nil && id != to {
			err = fmt.Errorf("%w: it is of another node: %s", errCertificate, id)
		}
		return err
	}
	return c
}

// serverTLS is for the connections that this node accepts.
func (l *Links) serverTLS() *tls.Config {
	c := l.commonTLS()
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return l.certificate() }
	c.ClientAuth = tls.RequireAnyClientCert
	c.SessionTicketsDisabled = true
	c.VerifyConnection = func(state tls.ConnectionState) error {
		_, err := l.verify(state)
		return err
	}
	return c
}

func (l *Links) commonTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{protocol},
		// Messages come in bursts on a connection that lasts: small first records
		// would help nobody.
		DynamicRecordSizingDisabled: true,
	}
}

func (l *Links) certificate() (*tls.Certificate, error) {
	cert := l.config.Certificate()
	if cert == nil {
		return nil, errors.New("this node has no certificate of the service yet")
	}
	return cert, nil
}

// verify returns which node of the service is at the other end. What follows in
// the handshake proves that it has the certificate's key.
func (l *Links) verify(state tls.ConnectionState) (synod.NodeID, error) {
	if state.NegotiatedProtocol != protocol {
		return "", fmt.Errorf("the other end does not offer the protocol %s", protocol)
	}
	if len(state.PeerCertificates) == 0 {
		return "", fmt.Errorf("%w: there is none", errCertificate)
	}
	leaf := state.PeerCertificates[0]
	if err := endorsed(leaf, l.config.Service()); err != nil {
		return "", err
	}
	return nodeID(leaf)
}

func nodeID(leaf *x509.Certificate) (synod.NodeID, error) {
	id := identity.NodeIDOf(leaf.PublicKey)
	if id == "" {
		return "", fmt.Errorf("%w: its kind of key names no node", errCertificate)
	}
	return id, nil
}

// endorsed checks that one of the service's certificates signed a node's. A
// certificate that may itself sign others is none of a node: it is self-signed,
// or it is an older service identity's, which the service endorses for receipts.
func endorsed(leaf *x509.Certificate, service []*x509.Certificate) error {
	if leaf.IsCA {
		return fmt.Errorf("%w: it is self-signed or an authority's, not a node's endorsed by the service", errCertificate)
	}
	if len(leaf.UnhandledCriticalExtensions) > 0 {
		return fmt.Errorf("%w: unknown critical extension %v", errCertificate, leaf.UnhandledCriticalExtensions[0])
	}
	for _, parent := range service {
		if parent.IsCA && parent.BasicConstraintsValid && leaf.CheckSignatureFrom(parent) == nil {
			return nil
		}
	}
	return fmt.Errorf("%w: this service did not sign it", errCertificate)
}
