package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"math/big"

	"synod/app"
	"synod/internal/tables"
)

// verifiedToken is a session's last token, the key whose signature of it was
// good, and the row of its kid as it was then.
type verifiedToken struct {
	text  string
	token *token
	key   []byte // DER SPKI
	row   []byte
	keys  []tables.JWTKey
}

// jwt accepts a bearer token that a key of a registered issuer has signed.
// The keys of its kid are tried in the order of the table; the first that
// passes every check decides, otherwise the reason of the last one is shown
// (CCF: src/endpoints/authentication/jwt_auth.cpp).
func (a *attempt) jwt() (*app.Caller, *refusal, error) {
	caller, no, err := a.tryJWT()
	if no != nil {
		no.challenge = challengeJWT
	}
	return caller, no, err
}

func (a *attempt) tryJWT() (*app.Caller, *refusal, error) {
	h := a.c.Request.Header
	text, err := bearer(h.Get("authorization"), h.Has("authorization"))
	if err != nil {
		return nil, refuse("%s", err), nil //nolint:nilerr // the client's fault
	}
	known := a.cache.token.Load()
	if known != nil && known.text != text {
		known = nil
	}
	var t *token
	if known != nil {
		t = known.token
	} else if t, err = parseToken(text); err != nil {
		return nil, refuse("%s", err), nil //nolint:nilerr // the client's fault
	}
	row, present := a.tx.Get(tables.JWTSigningKeys, []byte(t.kid))
	var keys []tables.JWTKey
	var no *refusal
	if known != nil && present && bytes.Equal(row, known.row) {
		keys = known.keys
	} else if keys, no, err = a.signingKeys(t.kid, row); no != nil || err != nil {
		return nil, no, err
	}
	for _, key := range keys {
		if known == nil || !bytes.Equal(known.key, key.PublicKey) {
			if !t.verify(key.PublicKey) {
				no = refuse("Signature verification failed")
				continue
			}
			a.cache.token.Store(&verifiedToken{text: text, token: t, key: key.PublicKey, row: row, keys: keys})
		}
		switch {
		case t.nbf != nil && a.now < *t.nbf:
			no = refuse("Current time %d is before token's Not Before (nbf) claim %d", a.now, *t.nbf)
		case a.now > t.exp:
			no = refuse("Current time %d is after token's Expiration Time (exp) claim %d", a.now, t.exp)
		case key.Constraint != "" && !issuerAllowed(t.iss, t.tid, key.Constraint):
			no = refuse("Kid %s failed issuer constraint validation %s", t.kid, key.Constraint)
		default:
			return &app.Caller{Policy: "jwt", JWT: &app.JWTIdentity{
				KeyIssuer: key.Issuer, Header: t.header, Payload: t.payload,
			}}, nil, nil
		}
	}
	return nil, no, nil
}

// signingKeys reads the row of a key ID in today's table, nil if there is
// none, and otherwise looks in the tables of services older than 6.0 and 5.0,
// which hold certificates.
func (a *attempt) signingKeys(kid string, row []byte) ([]tables.JWTKey, *refusal, error) {
	var keys []tables.JWTKey
	if row != nil {
		if err := json.Unmarshal(row, &keys); err != nil {
			return nil, nil, fmt.Errorf("table %s key %q: %w", tables.JWTSigningKeys, kid, err)
		}
	}
	if len(keys) > 0 {
		return keys, nil, nil
	}
	id := []byte(kid)
	certs, _, err := tables.GetJSON[[]tables.JWTCert](a.tx, tables.JWTSigningCerts, id)
	if err != nil {
		return nil, nil, err
	}
	if len(certs) == 0 {
		der, ok := a.tx.Get(tables.JWTSigningKeyV1, id)
		if !ok {
			return nil, refuse("JWT signing key not found for kid %s", kid), nil
		}
		issuer, ok := a.tx.Get(tables.JWTSigningKeyIssuer, id)
		if !ok {
			return nil, refuse("JWT signing key fallback issuers not found for kid %s", kid), nil
		}
		certs = []tables.JWTCert{{Cert: der, Issuer: string(issuer)}}
	}
	for _, c := range certs {
		cert, err := x509.ParseCertificate(c.Cert)
		if err != nil {
			return nil, nil, fmt.Errorf("certificate of JWT signing key %s: %w", kid, err)
		}
		keys = append(keys, tables.JWTKey{
			PublicKey: cert.RawSubjectPublicKeyInfo, Issuer: c.Issuer, Constraint: c.Constraint,
		})
	}
	return keys, nil, nil
}

// verify checks the signature: RS256 is PKCS #1 v1.5, ES256 raw r‖s over
// P-256 (RFC 7518 §3). The algorithm must be the one that fits the key, so
// that a token cannot choose it.
func (t *token) verify(spki []byte) bool {
	key, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return false
	}
	digest := sha256.Sum256([]byte(t.signed))
	switch key := key.(type) {
	case *rsa.PublicKey:
		return t.alg == "RS256" && rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], t.signature) == nil
	case *ecdsa.PublicKey:
		if t.alg != "ES256" || key.Curve != elliptic.P256() || len(t.signature) != 64 {
			return false
		}
		r, s := new(big.Int).SetBytes(t.signature[:32]), new(big.Int).SetBytes(t.signature[32:])
		return ecdsa.Verify(key, digest[:], r, s)
	default:
		return false
	}
}
