package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// Curve names an elliptic curve as the node's configuration does
// (node_certificate.curve_id).
type Curve string

// The curves. Secp384r1 is the default.
const (
	Secp384r1 Curve = "Secp384R1"
	Secp256r1 Curve = "Secp256R1"
)

// rsaBits is the size of encryption keys.
const rsaBits = 2048

// Errors about PEM text.
var (
	ErrNoPEM   = errors.New("identity: no PEM block of the wanted kind")
	ErrKeyKind = errors.New("identity: unsupported kind of key")
)

// Types of PEM blocks.
const (
	pemCertificate = "CERTIFICATE"
	pemCSR         = "CERTIFICATE REQUEST"
	pemPublicKey   = "PUBLIC KEY"
	pemPKCS8       = "PRIVATE KEY"
	pemSEC1        = "EC PRIVATE KEY"
	pemECParams    = "EC PARAMETERS"
)

// NewKey makes a signing key. "" is Secp384r1.
func NewKey(c Curve) (*ecdsa.PrivateKey, error) {
	switch c {
	case Secp384r1, "":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case Secp256r1:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		return nil, fmt.Errorf("%w: curve %q", ErrKeyKind, c)
	}
}

// KeyPEM writes a private key, ECDSA or RSA, as PKCS #8.
func KeyPEM(key crypto.PrivateKey) (string, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", fmt.Errorf("encode private key: %w", err)
	}
	return encode(pemPKCS8, der), nil
}

// ParseKeyPEM reads an ECDSA private key on P-256, P-384 or P-521, in PKCS #8
// or SEC 1, the latter also after a block of parameters as openssl writes it.
func ParseKeyPEM(b []byte) (*ecdsa.PrivateKey, error) {
	block, rest := pem.Decode(b)
	if block != nil && block.Type == pemECParams {
		block, _ = pem.Decode(rest)
	}
	if block == nil {
		return nil, fmt.Errorf("private key: %w", ErrNoPEM)
	}
	switch block.Type {
	case pemSEC1:
		key, err := x509.ParseECPrivateKey(block.Bytes)
		if err != nil {
			return nil, errors.New("private key: not SEC 1")
		}
		return key, nil
	case pemPKCS8:
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, errors.New("private key: not PKCS #8")
		}
		ec, ok := key.(*ecdsa.PrivateKey)
		if !ok {
			return nil, fmt.Errorf("private key: %w: %T", ErrKeyKind, key)
		}
		return ec, nil
	default:
		return nil, fmt.Errorf("private key: %w: found %q", ErrNoPEM, block.Type)
	}
}

// ParseEncryptionKeyPEM reads an RSA private key in PKCS #8 or PKCS #1.
func ParseEncryptionKeyPEM(b []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("encryption key: %w", ErrNoPEM)
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("encryption key: neither PKCS #8 nor PKCS #1")
	}
	r, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("encryption key: %w: %T", ErrKeyKind, key)
	}
	return r, nil
}

// PublicKeyDER returns the key's SubjectPublicKeyInfo. It fails for kinds of
// keys that have none.
func PublicKeyDER(pub crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	return der, nil
}

// PublicKeyPEM returns PublicKeyDER as PEM.
func PublicKeyPEM(pub crypto.PublicKey) (string, error) {
	der, err := PublicKeyDER(pub)
	if err != nil {
		return "", err
	}
	return encode(pemPublicKey, der), nil
}

// ParsePublicKeyPEM reads a public key: an *ecdsa.PublicKey, *rsa.PublicKey or
// another of crypto/x509's kinds.
func ParsePublicKeyPEM(b []byte) (crypto.PublicKey, error) {
	der, err := decode(b, pemPublicKey)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	pub, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	return pub, nil
}

// CertPEM returns a DER certificate as PEM, in lines of 64 characters as
// openssl writes it.
func CertPEM(der []byte) string { return encode(pemCertificate, der) }

// ParseCertPEM reads the first certificate of a PEM text, which must be the
// text's first block.
func ParseCertPEM(b []byte) (*x509.Certificate, error) {
	der, err := decode(b, pemCertificate)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return cert, nil
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func decode(b []byte, kind string) ([]byte, error) {
	block, _ := pem.Decode(bytes.TrimSpace(b))
	if block == nil {
		return nil, ErrNoPEM
	}
	if block.Type != kind {
		return nil, fmt.Errorf("%w: found %q, want %q", ErrNoPEM, block.Type, kind)
	}
	return block.Bytes, nil
}
