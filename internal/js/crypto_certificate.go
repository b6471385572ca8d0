package js

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"time"
)

// certificateOps judge certificates.
var certificateOps = []hostOp{
	{"crypto.isValidX509CertBundle", 1, func(v *vm, _ *call, a args) (value, bool) {
		if !a.want(1) {
			return valExc, false
		}
		text, ok := v.text(a.at(0))
		if !ok {
			return valExc, false
		}
		return boolValue(isBundle([]byte(text))), true
	}},
	{"crypto.isValidX509CertChain", 2, func(v *vm, _ *call, a args) (value, bool) {
		v.effect() // depends on the time
		if !a.want(2) {
			return valExc, false
		}
		chain, ok := v.text(a.at(0))
		if !ok {
			return valExc, false
		}
		trusted, ok := v.text(a.at(1))
		if !ok {
			return valExc, false
		}
		valid, err := validChain([]byte(chain), []byte(trusted), v.eng.now())
		if err != nil {
			return v.throw(internalError, "isValidX509Chain failed: %s", err)
		}
		return boolValue(valid), true
	}},
}

// splitBundle finds the PEM certificates of a text, none if it is no bundle.
// Comments between them are allowed, as OpenSSL does; blocks of another kind
// and broken ones are not.
func splitBundle(b []byte) (ders [][]byte) {
	blocks := bytes.Count(b, []byte("-----BEGIN"))
	for range blocks {
		block, rest := pem.Decode(b)
		if block == nil || block.Type != "CERTIFICATE" {
			return nil
		}
		ders, b = append(ders, block.Bytes), rest
	}
	return ders
}

// isBundle says whether a text is of certificates, one at least.
func isBundle(b []byte) bool {
	ders := splitBundle(b)
	for _, der := range ders {
		if _, err := x509.ParseCertificate(der); err != nil {
			return false
		}
	}
	return len(ders) > 0
}

// validChain says whether the first certificate of chain leads to one of
// trusted by way of the others. A trusted certificate need not be
// self-signed, but has to be a CA's. The error says that the first certificate
// is of no use, which CCF throws.
func validChain(chain, trusted []byte, now time.Time) (bool, error) {
	ders, anchors := splitBundle(chain), splitBundle(trusted)
	if len(ders) == 0 || len(anchors) == 0 {
		return false, nil
	}
	target, err := x509.ParseCertificate(ders[0])
	if err != nil {
		return false, errors.New("the first certificate cannot be parsed")
	}
	switch target.PublicKey.(type) {
	case *ecdsa.PublicKey, *rsa.PublicKey:
		return leadsTo(target, ders[1:], anchors, now), nil
	default:
		return false, errors.New("unsupported public key type")
	}
}

// leadsTo verifies a certificate by others and trusted ones, all as DER.
func leadsTo(target *x509.Certificate, others, trusted [][]byte, now time.Time) bool {
	roots, middle := x509.NewCertPool(), x509.NewCertPool()
	for _, der := range trusted {
		c, err := x509.ParseCertificate(der)
		if err != nil || !isAuthority(c) {
			return false
		}
		roots.AddCert(c)
	}
	for _, der := range others {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return false
		}
		middle.AddCert(c)
	}
	_, err := target.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: middle, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err == nil
}

// isAuthority says whether a certificate may be trusted to issue others: it
// says so itself, or it is of version 1, which cannot say it, and self-signed.
func isAuthority(c *x509.Certificate) bool {
	if c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0 {
		return false
	}
	if c.BasicConstraintsValid {
		return c.IsCA
	}
	return c.Version == 1 && bytes.Equal(c.RawSubject, c.RawIssuer)
}
