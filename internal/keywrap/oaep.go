package keywrap

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
)

var errKeySize = errors.New("invalid key size")

// WrapOAEP encrypts target with RSA-OAEP, SHA-256 in both places (RFC 8017,
// section 7.1). The longest target is the modulus's length less 66 bytes.
func WrapOAEP(key *rsa.PublicKey, target, label []byte) ([]byte, error) {
	return rsa.EncryptOAEP(sha256.New(), rand.Reader, key, target, label)
}

// UnwrapOAEP undoes WrapOAEP; the label has to be the same.
func UnwrapOAEP(key *rsa.PrivateKey, wrapped, label []byte) ([]byte, error) {
	return rsa.DecryptOAEP(sha256.New(), nil, key, wrapped, label)
}

// WrapOAEPAES wraps target by a new AES key of so many bits, and that by
// RSA-OAEP. The result is the wrapped AES key, then the wrapped target
// (PKCS #11 2.40, CKM_RSA_AES_KEY_WRAP).
func WrapOAEPAES(key *rsa.PublicKey, bits int, target, label []byte) ([]byte, error) {
	if bits != 128 && bits != 192 && bits != 256 {
		return nil, errKeySize
	}
	once := make([]byte, bits/8)
	defer clear(once)
	_, _ = rand.Read(once) // never fails: it ends the process instead
	first, err := WrapOAEP(key, once, label)
	if err != nil {
		return nil, err
	}
	second, err := WrapAES(once, target)
	if err != nil {
		return nil, err
	}
	return append(first, second...), nil
}

// UnwrapOAEPAES undoes WrapOAEPAES.
func UnwrapOAEPAES(key *rsa.PrivateKey, wrapped, label []byte) ([]byte, error) {
	n := key.Size()
	if len(wrapped) <= n {
		return nil, errors.New("not enough ciphertext")
	}
	once, err := UnwrapOAEP(key, wrapped[:n], label)
	if err != nil {
		return nil, err
	}
	defer clear(once)
	if len(once) != 16 && len(once) != 24 && len(once) != 32 {
		return nil, errKeySize
	}
	return UnwrapAES(once, wrapped[n:])
}
