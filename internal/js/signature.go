package js

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// signatureArgs are the arguments that the prelude takes out of the
// algorithm object: count, name, hash, saltLength, then the rest.
type signatureArgs struct {
	name, hash string
	salt       int64
}

func (v *vm) signatureArgs(a args, want int) (s signatureArgs, ok bool) {
	if n, _ := numberOf(a.at(0)); int(n) != want {
		v.throw(typeError, "Passed %d arguments, but expected %d", int(n), want)
		return s, false
	}
	if s.name, ok = v.text(a.at(1)); !ok {
		return s, false
	}
	if s.hash, ok = v.text(a.at(2)); !ok {
		return s, false
	}
	if a.at(3) != valUndef {
		if s.salt, ok = v.integer(a.at(3)); !ok {
			return s, false
		}
	}
	return s, true
}

func signOp(v *vm, _ *call, a args) (value, bool) {
	v.effect()
	s, ok := v.signatureArgs(a, 3)
	if !ok {
		return valExc, false
	}
	key, ok := v.text(a.at(4))
	if !ok {
		return valExc, false
	}
	data, ok := v.buffer(a.at(5))
	if !ok {
		return v.throw(typeError, "Argument must be an ArrayBuffer")
	}
	if s.name == "EdDSA" {
		sig, err := signEdDSA(key, data)
		if err != nil {
			return v.throw(internalError, "Failed to sign with EdDSA pair: %s", err)
		}
		return owned(v.newBuffer(sig))
	}
	hash, ok := hashByName(s.hash)
	if !ok {
		return v.throw(rangeError, "Unsupported hash algorithm, supported: SHA-256, SHA-384, SHA-512")
	}
	h := hash.New()
	var sig []byte
	var err error
	switch s.name {
	case "ECDSA":
		h.Write(data)
		sig, err = signECDSA(key, h.Sum(nil))
	case "RSA-PSS":
		h.Write(data)
		sig, err = signPSS(key, hash, h.Sum(nil), s.salt)
	case "HMAC":
		mac := hmac.New(hash.New, []byte(key))
		mac.Write(data)
		sig = mac.Sum(nil)
	default:
		return v.throw(rangeError, "Unsupported signing algorithm, supported: RSA-PSS, ECDSA, EdDSA, HMAC")
	}
	if err != nil {
		return v.throw(internalError, "Failed to sign: %s", err)
	}
	return owned(v.newBuffer(sig))
}

func verifyOp(v *vm, _ *call, a args) (value, bool) {
	s, ok := v.signatureArgs(a, 4)
	if !ok {
		return valExc, false
	}
	key, ok := v.text(a.at(4))
	if !ok {
		return valExc, false
	}
	sig, ok1 := v.buffer(a.at(5))
	data, ok2 := v.buffer(a.at(6))
	if !ok1 || !ok2 {
		return v.throw(typeError, "Argument must be an ArrayBuffer")
	}
	if s.name == "EdDSA" {
		pub, _, err := parsePublic(key)
		edKey, isEd := pub.(ed25519.PublicKey)
		if err == nil && !isEd {
			err = errors.New("not an Ed25519 key")
		}
		if err != nil {
			return v.throw(rangeError, "Failed to verify EdDSA signature: %s", err)
		}
		return boolValue(ed25519.Verify(edKey, data, sig)), true
	}
	if s.hash != "SHA-256" {
		return v.throw(rangeError, "Unsupported hash algorithm, supported: SHA-256")
	}
	if s.name != "RSA-PSS" && s.name != "ECDSA" {
		return v.throw(rangeError, "Unsupported signing algorithm, supported: RSA-PSS, ECDSA, EdDSA")
	}
	h := crypto.SHA256.New()
	h.Write(data)
	valid, err := verifySignature(key, s, h.Sum(nil), sig)
	if err != nil {
		return v.throw(internalError, "Failed to verify signature: %s", err)
	}
	return boolValue(valid), true
}

func verifySignature(key string, s signatureArgs, digest, sig []byte) (bool, error) {
	pub, isCert, err := parsePublic(key)
	if err != nil {
		return false, err
	}
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		if s.name != "ECDSA" {
			break
		}
		if len(sig)%2 != 0 {
			return false, errors.New("signature has an odd length")
		}
		half := len(sig) / 2
		r, t := new(big.Int).SetBytes(sig[:half]), new(big.Int).SetBytes(sig[half:])
		return ecdsa.Verify(k, digest, r, t), nil
	case *rsa.PublicKey:
		if s.name != "RSA-PSS" {
			break
		}
		switch {
		case isCert:
			opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto}
			return rsa.VerifyPSS(k, crypto.SHA256, digest, sig, opts) == nil, nil
		case s.salt == 0:
			return verifyPSSNoSalt(k, crypto.SHA256, digest, sig), nil
		case s.salt < 0:
			return false, fmt.Errorf("salt length %d", s.salt)
		default:
			return rsa.VerifyPSS(k, crypto.SHA256, digest, sig, &rsa.PSSOptions{SaltLength: int(s.salt)}) == nil, nil
		}
	}
	return false, fmt.Errorf("the key is not one for %s", s.name)
}

// parsePublic reads the PEM of a public key or of a certificate.
func parsePublic(text string) (key any, isCert bool, err error) {
	if strings.HasPrefix(text, "-----BEGIN CERTIFICATE") {
		cert, err := parseCertificate([]byte(text))
		if err != nil {
			return nil, true, err
		}
		return cert.PublicKey, true, nil
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, false, errors.New("no PEM public key")
	}
	key, err = x509.ParsePKIXPublicKey(block.Bytes)
	return key, false, err
}

func parsePrivate(text string) (any, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("no PEM private key")
	}
	switch block.Type {
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return x509.ParsePKCS8PrivateKey(block.Bytes)
	}
}

func signEdDSA(text string, data []byte) ([]byte, error) {
	key, err := parsePrivate(text)
	if err != nil {
		return nil, err
	}
	k, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("not an Ed25519 key")
	}
	return ed25519.Sign(k, data), nil
}

// signECDSA returns r and s, each as long as the curve's order (IEEE P1363).
func signECDSA(text string, digest []byte) ([]byte, error) {
	key, err := parsePrivate(text)
	if err != nil {
		return nil, err
	}
	k, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("not an EC key")
	}
	r, s, err := ecdsa.Sign(rand.Reader, k, digest)
	if err != nil {
		return nil, err
	}
	n := (k.Params().BitSize + 7) / 8
	out := make([]byte, 2*n)
	r.FillBytes(out[:n])
	s.FillBytes(out[n:])
	return out, nil
}

func signPSS(text string, hash crypto.Hash, digest []byte, salt int64) ([]byte, error) {
	key, err := parsePrivate(text)
	if err != nil {
		return nil, err
	}
	k, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("not an RSA key")
	}
	switch {
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
	if n < 2*hash.Size()+2 && n < hash.Size()+2 {
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
