package js

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"synod/internal/jwk"
)

// signatureArgs are the arguments that the prelude takes out of the
// algorithm object: count, name, hash, saltLength, then the rest.
type signatureArgs struct {
	name, hash string
	salt       int64
}

// wantCount checks the number of arguments that the prelude was called with,
// which it passes on as the first.
func (v *vm) wantCount(a args, want int) bool {
	n, _ := numberOf(a.at(0))
	if int(n) != want {
		v.throw(typeError, "Passed %d arguments, but expected %d", int(n), want)
	}
	return int(n) == want
}

func (v *vm) signatureArgs(a args, want int) (s signatureArgs, ok bool) {
	if !v.wantCount(a, want) {
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

var (
	errNotEC  = errors.New("invalid EC key")
	errNotRSA = errors.New("invalid RSA key")
)

// signatureOps sign and verify. Signing uses randomness, so a snapshot must
// not keep what it returns.
var signatureOps = []hostOp{
	{"crypto.sign", 6, signOp},
	{"crypto.verifySignature", 7, verifyOp},
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
	data, ok := v.bufferArg(a.at(5))
	if !ok {
		return valExc, false
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
	if !v.wantCount(a, 4) {
		return valExc, false
	}
	sig, ok := v.bufferArg(a.at(5))
	if !ok {
		return valExc, false
	}
	data, ok := v.bufferArg(a.at(6))
	if !ok {
		return valExc, false
	}
	s, ok := v.signatureArgs(a, 4)
	if !ok {
		return valExc, false
	}
	key, ok := v.text(a.at(4))
	if !ok {
		return valExc, false
	}
	if s.name == "EdDSA" {
		pub, _, err := readVerifyingKey(key)
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

func verifySignature(text string, s signatureArgs, digest, sig []byte) (bool, error) {
	key, isCert, err := readVerifyingKey(text)
	if err != nil {
		return false, err
	}
	if s.name == "ECDSA" {
		k, ok := key.(*ecdsa.PublicKey)
		if !ok {
			return false, errNotEC
		}
		return verifyECDSA(k, digest, sig), nil
	}
	k, ok := key.(*rsa.PublicKey)
	switch {
	case !ok:
		return false, errNotRSA
	case isCert:
		return verifyRSACertificate(k, digest, sig), nil
	case s.salt < 0:
		return false, fmt.Errorf("salt length %d", s.salt)
	case s.salt == 0:
		return verifyPSSNoSalt(k, crypto.SHA256, digest, sig), nil
	default:
		return rsa.VerifyPSS(k, crypto.SHA256, digest, sig, &rsa.PSSOptions{SaltLength: int(s.salt)}) == nil, nil
	}
}

// verifyECDSA takes r and s, equally long (IEEE P1363).
func verifyECDSA(k *ecdsa.PublicKey, digest, sig []byte) bool {
	half := len(sig) / 2
	if 2*half != len(sig) {
		return false
	}
	r, s := new(big.Int).SetBytes(sig[:half]), new(big.Int).SetBytes(sig[half:])
	return ecdsa.Verify(k, digest, r, s)
}

// verifyRSACertificate takes PSS with any salt, as the algorithm's name says,
// and PKCS #1 v1.5, since CCF checks by that if the key is in a certificate.
func verifyRSACertificate(k *rsa.PublicKey, digest, sig []byte) bool {
	return rsa.VerifyPSS(k, crypto.SHA256, digest, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto}) == nil ||
		rsa.VerifyPKCS1v15(k, crypto.SHA256, digest, sig) == nil
}

// readVerifyingKey reads the PEM of a public key or of a certificate.
func readVerifyingKey(text string) (key any, isCert bool, err error) {
	if !strings.HasPrefix(text, "-----BEGIN CERTIFICATE") {
		key, err = jwk.ReadPublic(text)
		return key, false, err
	}
	cert, err := parseCertificate([]byte(text))
	if err != nil {
		return nil, true, err
	}
	return cert.PublicKey, true, nil
}

// hashByName is the hash of a signature algorithm.
func hashByName(name string) (crypto.Hash, bool) {
	switch name {
	case "SHA-256":
		return crypto.SHA256, true
	case "SHA-384":
		return crypto.SHA384, true
	case "SHA-512":
		return crypto.SHA512, true
	default:
		return 0, false
	}
}

func signEdDSA(text string, data []byte) ([]byte, error) {
	key, err := jwk.ReadPrivate(text)
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
	key, err := jwk.ReadPrivate(text)
	if err != nil {
		return nil, err
	}
	k, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errNotEC
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
