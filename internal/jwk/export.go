package jwk

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
)

// Kind is the family of a key, which callers name beforehand.
type Kind int

// The kinds of keys, with their "kty".
const (
	EC    Kind = iota // "EC": P-256, P-384
	RSA               // "RSA"
	EdDSA             // "OKP": Ed25519, X25519
)

// PublicFromPEM makes a JWK of the public key in PEM text. The JSON has its
// members in alphabetical order, and "kid" if kid is not nil.
func PublicFromPEM(kind Kind, text string, kid *string) ([]byte, error) {
	var key any
	var err error
	if kind == RSA {
		key, err = ReadRSAPublic(text)
	} else {
		key, err = ReadPublic(text)
	}
	if err != nil {
		return nil, err
	}
	return export(kind, key, kid, publicMembers)
}

// PrivateFromPEM is PublicFromPEM for private keys: the JWK has the public
// members too.
func PrivateFromPEM(kind Kind, text string, kid *string) ([]byte, error) {
	key, err := ReadPrivate(text)
	if err != nil {
		return nil, err
	}
	return export(kind, key, kid, privateMembers)
}

func export(kind Kind, key any, kid *string, of func(Kind, any) (members, error)) ([]byte, error) {
	m, err := of(kind, key)
	if err != nil {
		return nil, err
	}
	if kid != nil {
		m["kid"] = *kid
	}
	return json.Marshal(m)
}

// members are those of a JWK; encoding/json sorts them.
type members map[string]string

// set writes octets.
func (m members) set(name string, b []byte) { m[name] = base64.RawURLEncoding.EncodeToString(b) }

// number writes an integer in as few octets as it needs.
func (m members) number(name string, n *big.Int) { m.set(name, n.Bytes()) }

func publicMembers(kind Kind, key any) (members, error) {
	switch kind {
	case EC:
		if k, ok := key.(*ecdsa.PublicKey); ok {
			return ecMembers(k)
		}
		return nil, errors.New("invalid EC key")
	case RSA:
		if k, ok := key.(*rsa.PublicKey); ok {
			m := members{"kty": "RSA"}
			m.number("n", k.N)
			m.number("e", big.NewInt(int64(k.E)))
			return m, nil
		}
		return nil, errRSA
	default:
		switch k := key.(type) {
		case ed25519.PublicKey:
			return okpMembers("Ed25519", k), nil
		case *ecdh.PublicKey:
			if k.Curve() == ecdh.X25519() {
				return okpMembers("X25519", k.Bytes()), nil
			}
		}
		return nil, errors.New("Unknown OpenSSL curve: the key is neither Ed25519 nor X25519")
	}
}

func ecMembers(k *ecdsa.PublicKey) (members, error) {
	name := k.Params().Name
	if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() {
		return nil, fmt.Errorf("Unknown OpenSSL group %s", name)
	}
	point, err := k.Bytes() // 4, x, y
	if err != nil {
		return nil, err
	}
	m := members{"kty": "EC", "crv": name}
	half := len(point) / 2
	m.set("x", point[1:1+half])
	m.set("y", point[1+half:])
	return m, nil
}

func okpMembers(curve string, x []byte) members {
	m := members{"kty": "OKP", "crv": curve}
	m.set("x", x)
	return m
}

func privateMembers(kind Kind, key any) (members, error) {
	var public any
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		public = k.Public()
	case *rsa.PrivateKey:
		public = k.Public()
	case ed25519.PrivateKey:
		public = k.Public()
	case *ecdh.PrivateKey:
		public = k.Public()
	}
	m, err := publicMembers(kind, public)
	if err != nil {
		return nil, err
	}
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		d, err := k.Bytes()
		if err != nil {
			return nil, err
		}
		m.set("d", d)
	case *rsa.PrivateKey:
		if len(k.Primes) != 2 {
			return nil, errRSA
		}
		m.number("d", k.D)
		m.number("p", k.Primes[0])
		m.number("q", k.Primes[1])
		m.number("dp", k.Precomputed.Dp)
		m.number("dq", k.Precomputed.Dq)
		m.number("qi", k.Precomputed.Qinv)
	case ed25519.PrivateKey:
		m.set("d", k.Seed())
	case *ecdh.PrivateKey:
		m.set("d", k.Bytes())
	}
	return m, nil
}
