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
		_, err := parseBundle([]byte(text))
		return boolValue(err == nil), true
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

var errNoCertificate = errors.New("no certificate")

// splitBundle finds the PEM certificates of a text, one at least. Comments
// between them are allowed, as OpenSSL does; blocks of another kind and broken
// ones are not.
func splitBundle(b []byte) (ders [][]byte, err error) {
	blocks := bytes.Count(b, []byte("-----BEGIN"))
	for {
		block, rest := pem.Decode(b)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, errors.New("a PEM block that is no certificate")
		}
		ders, b = append(ders, block.Bytes), rest
	}
	if len(ders) == 0 || len(ders) != blocks {
		return nil, errNoCertificate
	}
	return ders, nil
}

// parseBundle reads concatenated PEM certificates.
func parseBundle(b []byte) ([]*x509.Certificate, error) {
	ders, err := splitBundle(b)
	if err != nil {
		return nil, err
	}
	return parseCertificates(ders)
}

func parseCertificates(ders [][]byte) ([]*x509.Certificate, error) {
	out := make([]*x509.Certificate, len(ders))
	for i, der := range ders {
		var err error
		if out[i], err = x509.ParseCertificate(der); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// validChain says whether the first certificate of chain leads to one of
// trusted by way of the others. A trusted certificate need not be
// self-signed, but has to be a CA's. The error says that the first certificate
// is of no use, which CCF throws.
func validChain(chain, trusted []byte, now time.Time) (bool, error) {
	ders, err := splitBundle(chain)
	if err != nil {
		return false, nil
	}
	anchorDERs, err := splitBundle(trusted)
	if err != nil {
		return false, nil
	}
	target, err := x509.ParseCertificate(ders[0])
	if err != nil {
		return false, errors.New("the first certificate cannot be parsed")
	}
	switch target.PublicKey.(type) {
	case *ecdsa.PublicKey, *rsa.PublicKey:
	default:
		return false, errors.New("unsupported public key type")
	}
	between, err := parseCertificates(ders[1:])
	if err != nil {
		return false, nil
	}
	anchors, err := parseCertificates(anchorDERs)
	if err != nil {
		return false, nil
	}
	roots, middle := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range anchors {
		if !isAuthority(c) {
			return false, nil
		}
		roots.AddCert(c)
	}
	for _, c := range between {
		middle.AddCert(c)
	}
	_, err = target.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: middle, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err == nil, nil
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
