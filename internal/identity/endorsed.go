package identity

import (
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"
)

// EndorsedBy checks that a certificate was signed by the service's key. Dates
// and names do not matter: a node is known by its key.
func EndorsedBy(cert *x509.Certificate, service *ecdsa.PublicKey) error {
	issuer := &x509.Certificate{
		PublicKey: service, PublicKeyAlgorithm: x509.ECDSA,
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if err := issuer.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature); err != nil {
		return fmt.Errorf("the certificate is not endorsed by the service: %w", err)
	}
	return nil
}
