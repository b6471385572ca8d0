package secrets

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// Wrap encrypts another secret with this one, as Encrypt does.
func (s *Secret) Wrap(other *Secret) ([]byte, error) { return s.Encrypt(other.raw[:]) }

// Unwrap is the inverse of Wrap. The error wraps ErrAuthentication.
func (s *Secret) Unwrap(wrapped []byte) (*Secret, error) {
	text, err := s.Decrypt(wrapped)
	if err != nil {
		return nil, err
	}
	if len(text) != Size {
		return nil, fmt.Errorf("%w: a secret of %d bytes", ErrAuthentication, len(text))
	}
	return SecretFrom([Size]byte(text)), nil
}

// Encrypt seals text, say a submitted share, as tag ‖ random IV ‖ ciphertext,
// 28 bytes longer than text (CCF: src/crypto/symmetric_key.cpp, GcmCipher).
func (s *Secret) Encrypt(text []byte) ([]byte, error) {
	var iv [IVSize]byte
	if _, err := rand.Read(iv[:]); err != nil {
		return nil, fmt.Errorf("make an IV: %w", err)
	}
	return s.encrypt(iv, text), nil
}

func (s *Secret) encrypt(iv [IVSize]byte, text []byte) []byte {
	const header = TagSize + IVSize
	out := make([]byte, header+len(text), header+len(text)+TagSize)
	copy(out[TagSize:], iv[:])
	copy(out[header:], text)
	tag := s.SealInPlace(iv, out[header:], nil)
	copy(out, tag[:])
	return out
}

// Decrypt is the inverse of Encrypt. The error wraps ErrAuthentication.
func (s *Secret) Decrypt(sealed []byte) ([]byte, error) {
	const header = TagSize + IVSize
	if len(sealed) < header {
		return nil, fmt.Errorf("%w: %d bytes", ErrAuthentication, len(sealed))
	}
	return s.Open([IVSize]byte(sealed[TagSize:header]), [TagSize]byte(sealed), sealed[header:], nil)
}

// EncryptToMember encrypts to an RSA public key in PEM: OAEP with SHA-256 and
// no label (CCF: src/node/share_manager.h).
func EncryptToMember(publicPEM, text []byte) ([]byte, error) {
	block, _ := pem.Decode(publicPEM)
	if block == nil {
		return nil, errors.New("the encryption key is not PEM")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse the encryption key: %w", err)
	}
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("the encryption key is a %T, not RSA", key)
	}
	return rsa.EncryptOAEP(sha256.New(), rand.Reader, public, text, nil)
}

// DecryptWith is the inverse of EncryptToMember. The error wraps
// ErrAuthentication.
func DecryptWith(key *rsa.PrivateKey, sealed []byte) ([]byte, error) {
	text, err := rsa.DecryptOAEP(sha256.New(), nil, key, sealed, nil)
	if err != nil {
		return nil, ErrAuthentication
	}
	return text, nil
}
