package js

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math"
	"math/big"

	"synod/internal/jwk"
)

// generateOps make keys. They use randomness, so a snapshot must not keep
// what they return.
var generateOps = []hostOp{
	{"crypto.generateAesKey", 1, generateAES},
	{"crypto.generateRsaKeyPair", 1, generateRSA},
	{"crypto.generateEcdsaKeyPair", 1, generateECDSA},
	{"crypto.generateEddsaKeyPair", 1, generateEdDSA},
}

func generateAES(v *vm, _ *call, a args) (value, bool) {
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
}

func generateECDSA(v *vm, _ *call, a args) (value, bool) {
	v.effect()
	if !a.want(1) {
		return valExc, false
	}
	name, ok := v.text(a.at(0))
	if !ok {
		return valExc, false
	}
	var curve elliptic.Curve
	switch name {
	case "secp256r1":
		curve = elliptic.P256()
	case "secp384r1":
		curve = elliptic.P384()
	default:
		return v.throw(rangeError, "Unsupported curve id, supported: secp256r1, secp384r1")
	}
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		return v.throw(internalError, "Failed to generate ECDSA key pair: %s", err)
	}
	return v.keyPair("ECDSA", key, key.Public())
}

func generateEdDSA(v *vm, _ *call, a args) (value, bool) {
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
		public, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return v.throw(internalError, "Failed to generate EdDSA key pair: %s", err)
		}
		return v.keyPair("EdDSA", key, public)
	case "x25519":
		key, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			return v.throw(internalError, "Failed to generate EdDSA key pair: %s", err)
		}
		return v.keyPair("EdDSA", key, key.PublicKey())
	default:
		return v.throw(rangeError, "Unsupported curve id, supported: curve25519, x25519")
	}
}

// keyPair makes { privateKey, publicKey } of PEM texts.
func (v *vm) keyPair(kind string, private, public any) (value, bool) {
	key, err := jwk.WritePrivate(private)
	if err != nil {
		return v.throw(internalError, "Failed to generate %s key pair: %s", kind, err)
	}
	pub, err := jwk.WritePublic(public)
	if err != nil {
		return v.throw(internalError, "Failed to generate %s key pair: %s", kind, err)
	}
	o := object{b: []byte{'{'}}
	o.text("privateKey", key)
	o.text("publicKey", pub)
	return owned(v.parseJSON(string(o.end()), v.json))
}

const (
	// rsaBitsMin is where crypto/rsa begins.
	rsaBitsMin = 1024
	// rsaExponent is used unless the script names another.
	rsaExponent = 65537
)

func generateRSA(v *vm, _ *call, a args) (value, bool) {
	v.effect()
	if a.argc != 1 && a.argc != 2 {
		return v.throw(typeError, "Passed %d arguments, but expected 1 or 2", a.argc)
	}
	bits, ok := v.integer(a.at(0))
	if !ok {
		return valExc, false
	}
	exponent := int64(rsaExponent)
	if a.argc == 2 {
		if exponent, ok = v.integer(a.at(1)); !ok {
			return valExc, false
		}
	}
	key, err := newRSA(bits, exponent)
	if err != nil {
		return v.throw(internalError, "Failed to generate RSA key pair: %s", err)
	}
	return v.keyPair("RSA", key, key.Public())
}

// newRSA makes an RSA key. crypto/rsa makes its keys for one exponent only,
// and accepts odd ones from 3 to 2^31-1.
func newRSA(bits, exponent int64) (*rsa.PrivateKey, error) {
	switch {
	case bits < rsaBitsMin || bits > jwk.RSABitsMax:
		return nil, fmt.Errorf("unsupported key size %d, supported: %d to %d", bits, rsaBitsMin, jwk.RSABitsMax)
	case exponent < 3 || exponent > math.MaxInt32 || exponent%2 == 0:
		return nil, fmt.Errorf("unsupported exponent %d, supported: odd numbers from 3 to %d", exponent, math.MaxInt32)
	case exponent == rsaExponent:
		return rsa.GenerateKey(rand.Reader, int(bits))
	}
	e := big.NewInt(exponent)
	for range 100 { // the first is good but for a chance of 2^-100
		p, err := rsaPrime(int(bits+1)/2, e)
		if err != nil {
			return nil, err
		}
		q, err := rsaPrime(int(bits)/2, e)
		if err != nil {
			return nil, err
		}
		if key := rsaKeyOf(p, q, e); key.Validate() == nil {
			return key, nil
		}
	}
	return nil, errors.New("no key found")
}

// rsaPrime is a prime with its two highest bits set, so that the product of
// two has all its bits, and e has an inverse.
func rsaPrime(bits int, e *big.Int) (*big.Int, error) {
	one := big.NewInt(1)
	for {
		p, err := rand.Prime(rand.Reader, bits)
		if err != nil {
			return nil, err
		}
		if new(big.Int).GCD(nil, nil, e, new(big.Int).Sub(p, one)).Cmp(one) == 0 {
			return p, nil
		}
	}
}

// rsaKeyOf is the key with the smallest private exponent (FIPS 186-5,
// appendix A.1.1): the inverse modulo lcm(p-1, q-1).
func rsaKeyOf(p, q, e *big.Int) *rsa.PrivateKey {
	one := big.NewInt(1)
	p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
	lcm := new(big.Int).Mul(p1, q1)
	lcm.Div(lcm, new(big.Int).GCD(nil, nil, p1, q1))
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: int(e.Int64())},
		D:         new(big.Int).ModInverse(e, lcm),
		Primes:    []*big.Int{p, q},
	}
	key.Precompute()
	return key
}
