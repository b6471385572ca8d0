package js

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"errors"
	"fmt"
	"math/big"

	"synod/internal/jwk"
)

func signPSS(text string, hash crypto.Hash, digest []byte, salt int64) ([]byte, error) {
	k, err := jwk.ReadRSAPrivate(text)
	switch {
	case err != nil:
		return nil, err
	case salt < 0 || salt > int64(k.Size()):
		return nil, fmt.Errorf("salt length %d", salt)
	case salt == 0:
		return signPSSNoSalt(k, hash, digest)
	default:
		return rsa.SignPSS(rand.Reader, k, hash, digest, &rsa.PSSOptions{SaltLength: int(salt)})
	}
}

// For crypto/rsa a salt length of 0 means "as long as possible", and CCF's
// default means none. Without salt the encoding is deterministic (RFC 8017
// section 9.1.1), so that verifying is comparing.

func encodePSSNoSalt(hash crypto.Hash, digest []byte, bits int) ([]byte, error) {
	n := (bits + 7) / 8
	if n < hash.Size()+2 {
		return nil, errors.New("the key is too short")
	}
	h := hash.New()
	h.Write(make([]byte, 8))
	h.Write(digest)
	sum := h.Sum(nil)
	em := make([]byte, n)
	db := em[:n-hash.Size()-1]
	db[len(db)-1] = 1
	var counter [4]byte
	for at := 0; at < len(db); counter[3]++ {
		h.Reset()
		h.Write(sum)
		h.Write(counter[:])
		mask := h.Sum(nil)
		at += subtle.XORBytes(db[at:], db[at:], mask)
	}
	db[0] &= 0xff >> (8*n - bits)
	copy(em[len(db):], sum)
	em[n-1] = 0xbc
	return em, nil
}

func signPSSNoSalt(k *rsa.PrivateKey, hash crypto.Hash, digest []byte) ([]byte, error) {
	em, err := encodePSSNoSalt(hash, digest, k.N.BitLen()-1)
	if err != nil {
		return nil, err
	}
	// Blinding hides the message from the timing of the exponentiation.
	blind, err := rand.Int(rand.Reader, k.N)
	if err != nil {
		return nil, err
	}
	inverse := new(big.Int).ModInverse(blind, k.N)
	if inverse == nil {
		return nil, errors.New("no blinding factor")
	}
	e := big.NewInt(int64(k.E))
	m := new(big.Int).SetBytes(em)
	m.Mul(m, new(big.Int).Exp(blind, e, k.N)).Mod(m, k.N)
	m.Exp(m, k.D, k.N)
	m.Mul(m, inverse).Mod(m, k.N)
	sig := m.FillBytes(make([]byte, k.Size()))
	if !verifyPSSNoSalt(&k.PublicKey, hash, digest, sig) {
		return nil, errors.New("the private key does not match its public key")
	}
	return sig, nil
}

func verifyPSSNoSalt(k *rsa.PublicKey, hash crypto.Hash, digest, sig []byte) bool {
	if len(sig) != k.Size() {
		return false
	}
	bits := k.N.BitLen() - 1
	want, err := encodePSSNoSalt(hash, digest, bits)
	if err != nil {
		return false
	}
	s := new(big.Int).SetBytes(sig)
	if s.Cmp(k.N) >= 0 {
		return false
	}
	m := s.Exp(s, big.NewInt(int64(k.E)), k.N)
	if m.BitLen() > 8*len(want) {
		return false
	}
	return subtle.ConstantTimeCompare(m.FillBytes(make([]byte, len(want))), want) == 1
}
