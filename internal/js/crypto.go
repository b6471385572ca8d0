package js

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// cryptoOps are ccf.crypto (CCF: src/js/extensions/ccf/crypto.cpp). Those
// that make keys or sign use randomness, so a snapshot must not keep them.
var cryptoOps = []hostOp{
	{"crypto.digest", 2, func(v *vm, _ *call, a args) (value, bool) {
		if !a.want(2) {
			return valExc, false
		}
		alg, ok := v.text(a.at(0))
		if !ok {
			return valExc, false
		}
		if alg != "SHA-256" {
			return v.throw(rangeError, "unsupported digest algorithm, supported: SHA-256")
		}
		b, ok := v.bufferView(a.at(1))
		if !ok {
			return v.throw(typeError, "Argument must be an ArrayBuffer")
		}
		sum := sha256.Sum256(b)
		return owned(v.newBuffer(sum[:]))
	}},
	{"crypto.generateAesKey", 1, func(v *vm, _ *call, a args) (value, bool) {
		v.effect()
		if !a.want(1) {
			return valExc, false
		}
		bits, ok := v.integer(a.at(0))
		if !ok {
			return valExc, false
		}
		if bits != 128 && bits != 192 && bits != 256 {
			return v.throw(rangeError, "invalid key size (not one of 128, 192, 256)")
		}
		key := make([]byte, bits/8)
		_, _ = rand.Read(key) // never fails: it ends the process instead
		return owned(v.newBuffer(key))
	}},
	{"crypto.generateRsaKeyPair", 1, generateRSA},
	{"crypto.generateEcdsaKeyPair", 1, func(v *vm, _ *call, a args) (value, bool) {
		v.effect()
		if !a.want(1) {
			return valExc, false
		}
		curve, ok := v.text(a.at(0))
		if !ok {
			return valExc, false
		}
		var c elliptic.Curve
		switch curve {
		case "secp256r1":
			c = elliptic.P256()
		case "secp384r1":
			c = elliptic.P384()
		default:
			return v.throw(rangeError, "Unsupported curve id, supported: secp256r1, secp384r1")
		}
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			return v.throw(internalError, "Failed to generate ECDSA key pair: %s", err)
		}
		return v.keyPair(key, key.Public())
	}},
	{"crypto.generateEddsaKeyPair", 1, func(v *vm, _ *call, a args) (value, bool) {
		v.effect()
		if !a.want(1) {
			return valExc, false
		}
		curve, ok := v.text(a.at(0))
		if !ok {
			return valExc, false
		}
		switch curve {
		case "curve25519":
			pub, key, err := ed25519.GenerateKey(rand.Reader)
			if err != nil {
				return v.throw(internalError, "Failed to generate EdDSA key pair: %s", err)
			}
			return v.keyPair(key, pub)
		case "x25519":
			key, err := ecdh.X25519().GenerateKey(rand.Reader)
			if err != nil {
				return v.throw(internalError, "Failed to generate EdDSA key pair: %s", err)
			}
			return v.keyPair(key, key.PublicKey())
		default:
			return v.throw(rangeError, "Unsupported curve id, supported: curve25519, x25519")
		}
	}},
	{"crypto.sign", 6, signOp},
	{"crypto.verifySignature", 7, verifyOp},
	{"crypto.isValidX509CertBundle", 1, func(v *vm, _ *call, a args) (value, bool) {
		if !a.want(1) {
			return valExc, false
		}
		text, ok := v.text(a.at(0))
		if !ok {
			return valExc, false
		}
		certs, err := parseBundle([]byte(text))
		return boolValue(err == nil && len(certs) > 0), true
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
		return boolValue(validChain([]byte(chain), []byte(trusted), v.eng.now())), true
	}},
}

// rsaBitsMax bounds what a script can make the node compute: larger keys
// take many seconds.
const rsaBitsMax = 8192

func generateRSA(v *vm, _ *call, a args) (value, bool) {
	v.effect()
	if a.argc != 1 && a.argc != 2 {
		return v.throw(typeError, "Passed %d arguments, but expected 1 or 2", a.argc)
	}
	bits, ok := v.integer(a.at(0))
	if !ok {
		return valExc, false
	}
	if a.argc == 2 {
		e, ok := v.integer(a.at(1))
		if !ok {
			return valExc, false
		}
		if e != 65537 {
			return v.throw(internalError, "Failed to generate RSA key pair: unsupported exponent %d", e)
		}
	}
	if bits < 1024 || bits > rsaBitsMax {
		return v.throw(internalError, "Failed to generate RSA key pair: unsupported key size %d", bits)
	}
	key, err := rsa.GenerateKey(rand.Reader, int(bits))
	if err != nil {
		return v.throw(internalError, "Failed to generate RSA key pair: %s", err)
	}
	return v.keyPair(key, key.Public())
}

// keyPair makes { privateKey, publicKey } of PEM texts.
func (v *vm) keyPair(private, public any) (value, bool) {
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return v.throw(internalError, "Failed to serialise key pair: %s", err)
	}
	pub, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return v.throw(internalError, "Failed to serialise key pair: %s", err)
	}
	o := object{b: []byte{'{'}}
	o.text("privateKey", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	o.text("publicKey", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub})))
	return owned(v.parseJSON(string(o.end()), v.json))
}

// parseBundle reads concatenated PEM certificates; anything else between
// them is an error.
func parseBundle(b []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for {
		block, rest := pem.Decode(b)
		if block == nil {
			if len(out) == 0 {
				return nil, errors.New("no certificate")
			}
			return out, nil
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("PEM block of type %q", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		out, b = append(out, cert), rest
	}
}

// validChain says whether the first certificate of chain leads to one of
// trusted by way of the others. A trusted certificate need not be
// self-signed.
func validChain(chain, trusted []byte, now time.Time) bool {
	certs, err := parseBundle(chain)
	if err != nil {
		return false
	}
	anchors, err := parseBundle(trusted)
	if err != nil {
		return false
	}
	roots, middle := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range anchors {
		roots.AddCert(c)
	}
	for _, c := range certs[1:] {
		middle.AddCert(c)
	}
	_, err = certs[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: middle, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err == nil
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
