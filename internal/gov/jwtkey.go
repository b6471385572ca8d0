package gov

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"strings"

	"synod/app"
	"synod/internal/tables"
)

// webKey is a JSON web key (RFC 7517) as far as token verification needs it.
// Issuer is not of the standard: it becomes the key's constraint, unless it is
// absent.
type webKey struct {
	KID    string   `json:"kid"`
	N      string   `json:"n"`
	E      string   `json:"e"`
	X      string   `json:"x"`
	Y      string   `json:"y"`
	Crv    string   `json:"crv"`
	X5C    []string `json:"x5c"`
	Issuer *string  `json:"issuer"`
}

// RefreshSigningKeys makes the keys of a JSON web key set, which a node fetched,
// the issuer's only ones, if members still want that of nodes. A key that names no
// issuer of its own gets the constraint, unless that is empty: the issuer of whom
// the set says it is (CCF: src/node/rpc/node_frontend.h, refresh_jwt_keys). Nothing
// is written if they are those that the service has.
func RefreshSigningKeys(tx app.Tx, issuer, constraint string, jwks json.RawMessage) error {
	row, ok, err := tables.GetJSON[tables.JWTIssuer](tx, tables.JWTIssuers, []byte(issuer))
	switch {
	case err != nil:
		return err
	case !ok:
		return fmt.Errorf("%s is not a valid issuer", issuer)
	case !row.AutoRefresh:
		return fmt.Errorf("%s does not have auto_refresh enabled", issuer)
	}
	keys, err := parseKeySet(issuer, jwks)
	if err != nil {
		return err
	}
	for i := range keys {
		if keys[i].Issuer == nil && constraint != "" {
			keys[i].Issuer = &constraint
		}
	}
	return putKeySet(tx, issuer, keys)
}

// setSigningKeys makes the keys of a JSON web key set the issuer's only ones.
func setSigningKeys(tx app.Tx, issuer string, jwks json.RawMessage) error {
	keys, err := parseKeySet(issuer, jwks)
	if err != nil {
		return err
	}
	return putKeySet(tx, issuer, keys)
}

func parseKeySet(issuer string, jwks json.RawMessage) ([]webKey, error) {
	var set struct {
		Keys []webKey `json:"keys"`
	}
	if err := json.Unmarshal(jwks, &set); err != nil {
		return nil, fmt.Errorf("JWKS of issuer %s: %s", issuer, err)
	}
	if len(set.Keys) == 0 {
		return nil, fmt.Errorf("JWKS of issuer %s has no keys", issuer)
	}
	return set.Keys, nil
}

// putKeySet makes keys the issuer's only ones. Rows that stay the same are not
// written, those of other issuers with the same key ID stay
// (CCF: src/node/rpc/jwt_management.h).
func putKeySet(tx app.Tx, issuer string, keys []webKey) error {
	fresh := map[string]tables.JWTKey{}
	for _, k := range keys {
		if k.KID == "" {
			return errors.New("Missing kid for JWT signing key") //nolint:staticcheck // shown to members as CCF words it
		}
		spki, err := k.publicKey()
		if err != nil {
			return fmt.Errorf("JWKS kid %s: %s", k.KID, err)
		}
		constraint := ""
		if k.Issuer != nil {
			constraint = *k.Issuer
			if !mayConstrain(issuer, constraint) {
				return fmt.Errorf("JWKS kid %s with issuer constraint %s fails validation against issuer %s", k.KID, constraint, issuer)
			}
		}
		if _, twice := fresh[k.KID]; !twice { // the first of a kid counts
			fresh[k.KID] = tables.JWTKey{Issuer: issuer, PublicKey: spki, Constraint: constraint}
		}
	}
	err := dropElements(tx, tables.JWTSigningKeys, func(kid string, k tables.JWTKey) bool {
		_, keep := fresh[kid]
		return k.Issuer == issuer && !keep
	})
	if err != nil {
		return err
	}
	for _, kid := range sortedKeys(fresh) {
		if err := putKey(tx, kid, fresh[kid]); err != nil {
			return err
		}
	}
	return nil
}

func putKey(tx app.Tx, kid string, key tables.JWTKey) error {
	keys, _, err := tables.GetJSON[[]tables.JWTKey](tx, tables.JWTSigningKeys, []byte(kid))
	if err != nil {
		return err
	}
	i := slices.IndexFunc(keys, func(k tables.JWTKey) bool { return k.Issuer == key.Issuer })
	switch {
	case i < 0:
		keys = append(keys, key)
	case keys[i].Constraint == key.Constraint && bytes.Equal(keys[i].PublicKey, key.PublicKey):
		return nil
	default:
		keys[i] = key
	}
	return tables.PutJSON(tx, tables.JWTSigningKeys, []byte(kid), keys)
}

// removeSigningKeys removes every key of an issuer, also from the tables of
// older services.
func removeSigningKeys(tx app.Tx, issuer string) error {
	err := dropElements(tx, tables.JWTSigningKeys, func(_ string, k tables.JWTKey) bool { return k.Issuer == issuer })
	if err != nil {
		return err
	}
	err = dropElements(tx, tables.JWTSigningCerts, func(_ string, c tables.JWTCert) bool { return c.Issuer == issuer })
	if err != nil {
		return err
	}
	var kids [][]byte
	tx.ForEach(tables.JWTSigningKeyIssuer, func(kid, value []byte) bool {
		if string(value) == issuer {
			kids = append(kids, kid)
		}
		return true
	})
	for _, kid := range kids {
		tx.Delete(tables.JWTSigningKeyV1, kid)
		tx.Delete(tables.JWTSigningKeyIssuer, kid)
	}
	return nil
}

// dropElements takes elements out of a table of lists, and the rows that this
// leaves empty.
func dropElements[T any](tx app.Tx, table string, drop func(kid string, v T) bool) error {
	changed := map[string][]T{}
	err := tables.EachJSON(tx, table, func(kid string, list []T) bool {
		left := slices.DeleteFunc(slices.Clone(list), func(v T) bool { return drop(kid, v) })
		if len(left) < len(list) {
			changed[kid] = left
		}
		return true
	})
	if err != nil {
		return err
	}
	for _, kid := range sortedKeys(changed) {
		if len(changed[kid]) == 0 {
			tx.Delete(table, []byte(kid))
		} else if err := tables.PutJSON(tx, table, []byte(kid), changed[kid]); err != nil {
			return err
		}
	}
	return nil
}

// mayConstrain lets an issuer constrain a key only to its own host or a
// parent domain of it, so that it cannot answer for others.
func mayConstrain(issuer, constraint string) bool {
	host := func(s string) string {
		u, err := url.Parse(s)
		if err != nil {
			return ""
		}
		return u.Hostname()
	}
	want := host(constraint)
	return want != "" && (host(issuer) == want || strings.HasSuffix(host(issuer), "."+want))
}

// publicKey returns the DER SPKI of the key: from n and e, else from x and y,
// else from the first certificate.
func (k *webKey) publicKey() ([]byte, error) {
	switch {
	case k.N != "" && k.E != "":
		return k.rsaKey()
	case k.X != "" && k.Y != "" && k.Crv != "":
		return k.ecKey()
	case len(k.X5C) > 0:
		der, err := base64.StdEncoding.DecodeString(k.X5C[0])
		if err != nil {
			return nil, fmt.Errorf("x5c: %s", err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("x5c: %s", err)
		}
		return cert.RawSubjectPublicKeyInfo, nil
	default:
		return nil, errors.New("it has neither RSA/EC public key or x5c")
	}
}

func (k *webKey) rsaKey() ([]byte, error) {
	n, err := base64URL(k.N)
	if err != nil {
		return nil, fmt.Errorf("n: %s", err)
	}
	e, err := base64URL(k.E)
	if err != nil {
		return nil, fmt.Errorf("e: %s", err)
	}
	modulus, exponent := new(big.Int).SetBytes(n), new(big.Int).SetBytes(e)
	if bits := modulus.BitLen(); bits < 1024 || bits > 16384 {
		return nil, fmt.Errorf("n has %d bits, want 1024 to 16384", bits)
	}
	if exponent.BitLen() > 31 || exponent.Bit(0) == 0 || exponent.Cmp(big.NewInt(3)) < 0 {
		return nil, errors.New("e must be odd, at least 3 and less than 2^31")
	}
	return x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: modulus, E: int(exponent.Int64())})
}

func (k *webKey) ecKey() ([]byte, error) {
	curve, ok := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[k.Crv]
	if !ok {
		return nil, fmt.Errorf("unknown curve %q", k.Crv)
	}
	size := (curve.Params().BitSize + 7) / 8
	point := make([]byte, 1+2*size)
	point[0] = 4 // uncompressed (SEC 1 §2.3.3)
	for i, text := range []string{k.X, k.Y} {
		b, err := base64URL(text)
		if err != nil {
			return nil, fmt.Errorf("x or y: %s", err)
		}
		if len(b) > size {
			return nil, fmt.Errorf("x or y has %d bytes, want %d", len(b), size)
		}
		copy(point[1+(i+1)*size-len(b):], b)
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKIXPublicKey(pub)
}

// eitherAlphabet turns base64 into base64url.
var eitherAlphabet = strings.NewReplacer("+", "-", "/", "_")

// base64URL decodes either alphabet, with or without padding: JWKS are written
// in every way and CCF takes them all (CCF: src/crypto/base64.cpp).
func base64URL(s string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(eitherAlphabet.Replace(strings.TrimRight(s, "=")))
}
