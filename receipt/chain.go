package receipt

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// trusted is the service's certificate.
func (o Options) trusted() (*x509.Certificate, error) {
	cert, err := parseCert(o.ServiceCert)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTrust, err)
	}
	if _, ok := cert.PublicKey.(*ecdsa.PublicKey); !ok {
		return nil, fmt.Errorf("%w: its key is a %T", ErrTrust, cert.PublicKey)
	}
	return cert, nil
}

func parseCert(b []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("no PEM certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}

// chain is the node's certificate and the endorsements that the receipt holds.
func (r *Receipt) chain(o Options) ([]*x509.Certificate, error) {
	texts := append([]string{r.Cert}, r.ServiceEndorsements...)
	if r.Cert == "" {
		if len(o.NodeCert) == 0 {
			return nil, ErrNoCertificate
		}
		texts[0] = string(o.NodeCert)
	}
	chain := make([]*x509.Certificate, len(texts), len(texts)+1)
	for i, text := range texts {
		var err error
		if chain[i], err = parseCert([]byte(text)); err != nil {
			return nil, malformed("certificate %d: %w", i, err)
		}
	}
	return chain, nil
}

// checkChain checks that each certificate is signed by the next, which must be
// a CA. Names and times do not matter: keys do.
func checkChain(chain []*x509.Certificate) error {
	for i, cert := range chain[:len(chain)-1] {
		if err := cert.CheckSignatureFrom(chain[i+1]); err != nil {
			return fmt.Errorf("%w: certificate %d: %w", ErrWrongService, i, err)
		}
	}
	return nil
}
