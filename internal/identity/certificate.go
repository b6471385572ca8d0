package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 5280 §4.2.1.2 names keys by SHA-1; nothing rests on it
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// ErrValidity is the error for a validity period that is empty, negative or
// too long.
var ErrValidity = errors.New("identity: invalid validity period")

// yearMin and yearMax bound validity periods: what X.509 can write.
const (
	yearMin = 1950
	yearMax = 9999
)

var (
	oidSKI              = asn1.ObjectIdentifier{2, 5, 29, 14}
	oidKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidSAN              = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidAKI              = asn1.ObjectIdentifier{2, 5, 29, 35}
)

// SelfSignedRequest is what a self-signed certificate says.
type SelfSignedRequest struct {
	Subject    string    // "CN=CCF Service"; keys C, CN, DC, emailAddress, GN, L, O, OU, SN, ST, street, title
	RawSubject []byte    // DER; takes the place of Subject if not nil
	SANs       []string  // "iPAddress:…", "dNSName:…"; none for a service
	NotBefore  time.Time // cut to seconds
	Days       int       // at least 1; valid until NotBefore + Days - 1 s, as RFC 5280 counts the last second in
}

// SelfSigned makes a service's or a node's self-signed certificate in DER: a
// CA with a path length of 1. It fails with ErrValidity for a bad period.
func SelfSigned(key *ecdsa.PrivateKey, r SelfSignedRequest) ([]byte, error) {
	name, err := r.RawSubject, error(nil)
	if name == nil {
		if name, err = rawName(r.Subject); err != nil {
			return nil, err
		}
	}
	san, hasSAN, err := sanExtension(r.SANs)
	if err != nil {
		return nil, err
	}
	from, to, err := period(r.NotBefore, r.Days)
	if err != nil {
		return nil, err
	}
	keyID, err := subjectKeyID(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	exts := []pkix.Extension{basicConstraintsCA(), keyUsageCA(), skiExtension(keyID), akiExtension(keyID)}
	if hasSAN {
		exts = append(exts, san)
	}
	return issue(&key.PublicKey, name, name, key, nil, from, to, exts)
}

// NewCSR makes a certificate request (PKCS #10) in PEM, signed with SHA-512 as
// CCF's are.
func NewCSR(key *ecdsa.PrivateKey, subject string, sans []string) (string, error) {
	name, err := rawName(subject)
	if err != nil {
		return "", err
	}
	template := x509.CertificateRequest{RawSubject: name, SignatureAlgorithm: x509.ECDSAWithSHA512}
	san, hasSAN, err := sanExtension(sans)
	if err != nil {
		return "", err
	}
	if hasSAN {
		template.ExtraExtensions = []pkix.Extension{san}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		return "", fmt.Errorf("certificate request: %w", err)
	}
	return encode(pemCSR, der), nil
}

// Endorse issues the certificate that a request asks for, in PEM: no CA, with
// the request's alternative names. The request's own signature is checked. It
// is valid from notBefore for days, as in SelfSignedRequest; ErrValidity
// otherwise.
func Endorse(csrPEM string, issuerKey *ecdsa.PrivateKey, issuerCert *x509.Certificate, notBefore time.Time, days int) (string, error) {
	block, _ := pem.Decode([]byte(csrPEM))
	if block == nil || block.Type != pemCSR {
		return "", fmt.Errorf("certificate request: %w", ErrNoPEM)
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return "", fmt.Errorf("certificate request: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return "", fmt.Errorf("certificate request: %w", err)
	}
	from, to, err := period(notBefore, days)
	if err != nil {
		return "", err
	}
	keyID, err := subjectKeyID(csr.PublicKey)
	if err != nil {
		return "", err
	}
	issuerID, err := issuerKeyID(issuerCert)
	if err != nil {
		return "", err
	}
	exts := []pkix.Extension{
		{Id: oidBasicConstraints, Critical: true, Value: []byte{0x30, 0}},
		skiExtension(keyID), akiExtension(issuerID),
	}
	for _, e := range csr.Extensions {
		if e.Id.Equal(oidSAN) {
			exts = append(exts, e)
		}
	}
	der, err := issue(csr.PublicKey, csr.RawSubject, issuerCert.RawSubject, issuerKey, issuerCert, from, to, exts)
	if err != nil {
		return "", err
	}
	return CertPEM(der), nil
}

// EndorseService issues a certificate for the key of an older service
// identity, in PEM: its subject and key, the issuer's validity, a CA. Receipts
// from before a recovery carry it
// (CCF: src/node/historical_queries_utils.cpp).
func EndorseService(old *x509.Certificate, issuerKey *ecdsa.PrivateKey, issuerCert *x509.Certificate) (string, error) {
	keyID, err := subjectKeyID(old.PublicKey)
	if err != nil {
		return "", err
	}
	issuerID, err := issuerKeyID(issuerCert)
	if err != nil {
		return "", err
	}
	exts := []pkix.Extension{basicConstraintsCA(), keyUsageCA(), skiExtension(keyID), akiExtension(issuerID)}
	der, err := issue(old.PublicKey, old.RawSubject, issuerCert.RawSubject, issuerKey, issuerCert,
		issuerCert.NotBefore, issuerCert.NotAfter, exts)
	if err != nil {
		return "", err
	}
	return CertPEM(der), nil
}

// period computes a validity period.
func period(from time.Time, days int) (time.Time, time.Time, error) {
	if days < 1 || days > (yearMax-yearMin+1)*366 {
		return time.Time{}, time.Time{}, fmt.Errorf("%w: %d days", ErrValidity, days)
	}
	from = from.UTC().Truncate(time.Second)
	to := from.AddDate(0, 0, days).Add(-time.Second)
	if from.Year() < yearMin || to.Year() > yearMax {
		return time.Time{}, time.Time{}, fmt.Errorf("%w: %d days from %s", ErrValidity, days, from.Format(time.DateTime))
	}
	return from, to, nil
}

// issue signs a certificate with exactly the given extensions in their order.
// A nil issuerCert is a self-signed one.
func issue(pub crypto.PublicKey, subject, issuer []byte, key *ecdsa.PrivateKey, issuerCert *x509.Certificate,
	from, to time.Time, exts []pkix.Extension,
) ([]byte, error) {
	serial, err := newSerial(16)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, RawSubject: subject, NotBefore: from, NotAfter: to, ExtraExtensions: exts,
	}
	parent := &x509.Certificate{RawSubject: issuer}
	if issuerCert != nil {
		parent.PublicKey = issuerCert.PublicKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	if err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	return der, nil
}

// newSerial returns a random positive serial number of n bytes at most.
func newSerial(n int) (*big.Int, error) {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		return nil, err
	}
	serial := new(big.Int).SetBytes(b)
	if serial.Sign() == 0 {
		serial.SetInt64(1)
	}
	return serial, nil
}

// subjectKeyID is the SHA-1 of the key's bit string (RFC 5280 §4.2.1.2).
func subjectKeyID(pub crypto.PublicKey) ([]byte, error) {
	der, err := PublicKeyDER(pub)
	if err != nil {
		return nil, err
	}
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &spki); err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	sum := sha1.Sum(spki.Key.Bytes) //nolint:gosec // as above
	return sum[:], nil
}

// issuerKeyID is what an issuer calls its key.
func issuerKeyID(cert *x509.Certificate) ([]byte, error) {
	if len(cert.SubjectKeyId) > 0 {
		return cert.SubjectKeyId, nil
	}
	return subjectKeyID(cert.PublicKey)
}

func basicConstraintsCA() pkix.Extension { // CA:TRUE, pathlen:1
	return pkix.Extension{Id: oidBasicConstraints, Critical: true, Value: []byte{0x30, 6, 1, 1, 0xff, 2, 1, 1}}
}

func keyUsageCA() pkix.Extension { // digitalSignature, keyCertSign
	return pkix.Extension{Id: oidKeyUsage, Critical: true, Value: []byte{3, 2, 2, 0x84}}
}

func skiExtension(id []byte) pkix.Extension {
	return pkix.Extension{Id: oidSKI, Value: append([]byte{4, byte(len(id))}, id...)}
}

func akiExtension(id []byte) pkix.Extension {
	return pkix.Extension{Id: oidAKI, Value: append([]byte{0x30, byte(len(id) + 2), 0x80, byte(len(id))}, id...)}
}
