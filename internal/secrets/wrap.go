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

// Wrap encrypts another secret with this one: tag, random IV, ciphertext
// (CCF: src/crypto/symmetric_key.cpp, GcmCipher).
func (s *Secret) Wrap(other *Secret) ([]byte, error) {
	var iv [IVSize]byte
	if _, err := rand.Read(iv[:]); err != nil {
		return nil, fmt.Errorf("wrap a ledger secret: %w", err)
	}
	return wrapWith(s, iv, other), nil
}

func wrapWith(key *Secret, iv [IVSize]byte, s *Secret) []byte {
	text := make([]byte, Size, Size+TagSize)
	copy(text, s.raw[:])
	tag := key.SealInPlace(iv, text, nil)
	return append(append(tag[:], iv[:]...), text...)
}

// Unwrap is the inverse of Wrap. The error wraps ErrAuthentication.
func (s *Secret) Unwrap(wrapped []byte) (*Secret, error) {
	if len(wrapped) != TagSize+IVSize+Size {
		return nil, fmt.Errorf("%w: a wrapped secret of %d bytes", ErrAuthentication, len(wrapped))
	}
	text, err := s.Open([IVSize]byte(wrapped[TagSize:]), [TagSize]byte(wrapped), wrapped[TagSize+IVSize:], nil)
	if err != nil {
		return nil, err
	}
	return SecretFrom([Size]byte(text)), nil
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
