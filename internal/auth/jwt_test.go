package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"synod/app"
	"synod/internal/auth"
	"synod/internal/tables"
)

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// issue makes a token of the given JSON texts.
func issue(t testing.TB, key crypto.Signer, header, payload string) string {
	t.Helper()
	signed := b64([]byte(header)) + "." + b64([]byte(payload))
	digest := sha256.Sum256([]byte(signed))
	switch key := key.(type) {
	case *rsa.PrivateKey:
		sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		return signed + "." + b64(sig)
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		sig := make([]byte, 64)
		r.FillBytes(sig[:32])
		s.FillBytes(sig[32:])
		return signed + "." + b64(sig)
	default:
		t.Fatalf("key %T", key)
		return ""
	}
}

func spki(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func row(t testing.TB, keys ...tables.JWTKey) string {
	t.Helper()
	b, err := json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func withToken(token string) *app.Request {
	return &app.Request{Header: app.Header{{Name: "authorization", Value: "Bearer " + token}}}
}

func TestJWT(t *testing.T) {
	rs := rsaKey()
	es, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const entra = "https://login.microsoftonline.com/{tenantid}/v2.0"
	legacy := newCert(t, rs, now.Add(-time.Hour), now)
	legacyRow, err := json.Marshal([]tables.JWTCert{{Cert: legacy, Issuer: "old", Constraint: "https://old"}})
	if err != nil {
		t.Fatal(err)
	}
	tx := newTx(t, map[string]map[string]string{
		tables.JWTSigningKeys: {
			"rsa":    row(t, tables.JWTKey{Issuer: "https://a", PublicKey: spki(t, rs)}),
			"ec":     row(t, tables.JWTKey{Issuer: "https://a", PublicKey: spki(t, es), Constraint: "https://a"}),
			"entra":  row(t, tables.JWTKey{Issuer: "https://login.microsoftonline.com", PublicKey: spki(t, es), Constraint: entra}),
			"second": row(t, tables.JWTKey{Issuer: "x", PublicKey: spki(t, other)}, tables.JWTKey{Issuer: "https://b", PublicKey: spki(t, es)}),
			"empty":  `[]`,
		},
		tables.JWTSigningCerts:     {"older": string(legacyRow)},
		tables.JWTSigningKeyV1:     {"oldest": string(legacy), "orphan": string(legacy)},
		tables.JWTSigningKeyIssuer: {"oldest": "oldest issuer"},
	})
	head := func(alg, kid string) string { return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"JWT"}`, alg, kid) }
	in, past := now.Unix()+60, now.Unix()-60
	body := func(extra string) string { return fmt.Sprintf(`{"iss":"https://a","exp":%d%s}`, in, extra) }
	cases := map[string]struct {
		token  string
		issuer string // of the key, if accepted
		reason string
	}{
		"rs256":                {token: issue(t, rs, head("RS256", "rsa"), body("")), issuer: "https://a"},
		"es256":                {token: issue(t, es, head("ES256", "ec"), body("")), issuer: "https://a"},
		"second key of a kid":  {token: issue(t, es, head("ES256", "second"), body("")), issuer: "https://b"},
		"fractions of seconds": {token: issue(t, es, head("ES256", "ec"), fmt.Sprintf(`{"iss":"https://a","exp":%d.75,"nbf":%d.5}`, now.Unix(), now.Unix())), issuer: "https://a"},
		"older table":          {token: issue(t, rs, head("RS256", "older"), fmt.Sprintf(`{"iss":"https://old","exp":%d}`, in)), issuer: "old"},
		"oldest table":         {token: issue(t, rs, head("RS256", "oldest"), body("")), issuer: "oldest issuer"},
		"oldest, no issuer":    {token: issue(t, rs, head("RS256", "orphan"), body("")), reason: "JWT signing key fallback issuers not found for kid orphan"},
		"entra":                {token: issue(t, es, head("ES256", "entra"), fmt.Sprintf(`{"iss":"https://login.microsoftonline.com/T/v2.0","tid":"T","exp":%d}`, in)), issuer: "https://login.microsoftonline.com"},
		"entra, other tenant":  {token: issue(t, es, head("ES256", "entra"), fmt.Sprintf(`{"iss":"https://login.microsoftonline.com/T/v2.0","tid":"U","exp":%d}`, in)), reason: "Kid entra failed issuer constraint validation " + entra},
		"tid outside entra":    {token: issue(t, es, head("ES256", "ec"), body(`,"tid":"T"`)), reason: "Kid ec failed issuer constraint validation https://a"},
		"other issuer":         {token: issue(t, es, head("ES256", "ec"), fmt.Sprintf(`{"iss":"https://evil","exp":%d}`, in)), reason: "Kid ec failed issuer constraint validation https://a"},
		"not yet":              {token: issue(t, es, head("ES256", "ec"), body(fmt.Sprintf(`,"nbf":%d`, in))), reason: fmt.Sprintf("Current time %d is before token's Not Before (nbf) claim %d", now.Unix(), in)},
		"no more":              {token: issue(t, es, head("ES256", "ec"), fmt.Sprintf(`{"iss":"https://a","exp":%d}`, past)), reason: fmt.Sprintf("Current time %d is after token's Expiration Time (exp) claim %d", now.Unix(), past)},
		"wrong key":            {token: issue(t, other, head("ES256", "ec"), body("")), reason: "Signature verification failed"},
		"algorithm of another": {token: issue(t, es, head("RS256", "ec"), body("")), reason: "Signature verification failed"},
		"unknown kid":          {token: issue(t, es, head("ES256", "nope"), body("")), reason: "JWT signing key not found for kid nope"},
		"kid without keys":     {token: issue(t, es, head("ES256", "empty"), body("")), reason: "JWT signing key not found for kid empty"},
		"negative exp":         {token: issue(t, es, head("ES256", "ec"), `{"iss":"https://a","exp":-1}`), reason: "JWT payload is missing required field: exp is not a number of seconds since the epoch"},
		"exp as text":          {token: issue(t, es, head("ES256", "ec"), `{"iss":"https://a","exp":"1"}`), reason: "JWT payload is missing required field: exp is not a number of seconds since the epoch"},
		"no exp":               {token: issue(t, es, head("ES256", "ec"), `{"iss":"https://a","EXP":9999999999}`), reason: "JWT payload is missing required field: exp"},
		"no iss":               {token: issue(t, es, head("ES256", "ec"), `{"exp":9999999999}`), reason: "JWT payload is missing required field: iss"},
		"alg none":             {token: b64([]byte(head("none", "ec"))) + "." + b64([]byte(body(""))) + ".", reason: `JWT header does not follow schema: alg "none" is neither RS256 nor ES256`},
		"no kid":               {token: issue(t, es, `{"alg":"ES256"}`, body("")), reason: "JWT header does not follow schema: missing kid"},
		"payload an array":     {token: issue(t, es, head("ES256", "ec"), `[]`), reason: "JWT header or payload is not an object"},
		"payload null":         {token: issue(t, es, head("ES256", "ec"), `null`), reason: "JWT header or payload is not an object"},
		"payload no JSON":      {token: issue(t, es, head("ES256", "ec"), `{`), reason: "JWT header or payload is not valid JSON"},
		"payload no UTF-8":     {token: issue(t, es, head("ES256", "ec"), "{\"a\":\"\xff\"}"), reason: "JWT header or payload is not valid JSON: it is not UTF-8"},
		"two parts":            {token: "a.b", reason: "Malformed JWT: must contain exactly 3 parts"},
		"four parts":           {token: "a.b.c.d", reason: "Malformed JWT: must contain exactly 3 parts"},
		"nothing":              {token: "", reason: "Malformed JWT: must contain exactly 3 parts"},
		"padding":              {token: "eyJ9==.e30.", reason: "Malformed JWT: header is not base64url: illegal base64 data at input byte 4"},
		"a line break":         {token: "e30.e30.e30\n", reason: "Malformed JWT: signature is not base64url: it contains a line break"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			cache := &auth.Cache{}
			for range 2 { // the second time from the cache
				caller, err, _ := tryWith(t, cache, tx, withToken(tc.token), app.JWT)
				if tc.reason != "" {
					if diff := cmp.Diff([]string{"jwt|" + tc.reason}, reasons(err)); diff != "" {
						t.Error(diff)
					}
					continue
				}
				if err != nil {
					t.Fatal(err, reasons(err))
				}
				if caller.Policy != "jwt" || caller.JWT.KeyIssuer != tc.issuer || !json.Valid(caller.JWT.Header) || !json.Valid(caller.JWT.Payload) {
					t.Errorf("caller %+v", caller.JWT)
				}
			}
		})
	}
}

func TestBearer(t *testing.T) {
	tx := newTx(t, nil)
	for value, want := range map[string]string{
		"Bearer":    "Authorization header only contains one field",
		"":          "Authorization header only contains one field",
		"bearer x":  "Authorization header does not have Bearer scheme",
		"Basic x":   "Authorization header does not have Bearer scheme",
		"Bearer  x": "Malformed JWT: must contain exactly 3 parts",
	} {
		req := &app.Request{Header: app.Header{{Name: "authorization", Value: value}}}
		_, err, _ := try(t, tx, req, app.JWT)
		if diff := cmp.Diff([]string{"jwt|" + want}, reasons(err)); diff != "" {
			t.Errorf("%q: %s", value, diff)
		}
	}
}

// TestTokenCache takes the key away under one session's cache.
func TestTokenCache(t *testing.T) {
	key := rsaKey()
	token := issue(t, key, `{"alg":"RS256","kid":"k"}`, `{"iss":"i","exp":9999999999}`)
	cache := &auth.Cache{}
	rows := map[string]map[string]string{tables.JWTSigningKeys: {"k": row(t, tables.JWTKey{Issuer: "i", PublicKey: spki(t, key)})}}
	if _, err, _ := tryWith(t, cache, newTx(t, rows), withToken(token), app.JWT); err != nil {
		t.Fatal(err)
	}
	if _, err, _ := tryWith(t, cache, newTx(t, nil), withToken(token), app.JWT); err == nil {
		t.Error("accepted without its key")
	}
	es, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rows[tables.JWTSigningKeys]["k"] = row(t, tables.JWTKey{Issuer: "i", PublicKey: spki(t, es)})
	if _, err, _ := tryWith(t, cache, newTx(t, rows), withToken(token), app.JWT); err == nil {
		t.Error("accepted under another key")
	}
}

// FuzzJWT sends any authorization header.
func FuzzJWT(f *testing.F) {
	key := rsaKey()
	good := issue(f, key, `{"alg":"RS256","kid":"k"}`, `{"iss":"i","exp":9999999999,"nbf":1.5,"tid":"t"}`)
	tx := newTx(f, map[string]map[string]string{tables.JWTSigningKeys: {"k": row(f, tables.JWTKey{
		Issuer: "i", PublicKey: spki(f, key), Constraint: "https://login.microsoftonline.com/{tenantid}",
	})}})
	f.Add("Bearer " + good)
	f.Add("Bearer e30.e30.e30")
	f.Add("Bearer " + b64([]byte(`{"alg":"ES256","kid":"k"}`)) + "." + b64([]byte(`{"iss":"","exp":1e400}`)) + ".AA")
	f.Add("")
	f.Fuzz(func(t *testing.T, header string) {
		req := &app.Request{Header: app.Header{{Name: "authorization", Value: header}}}
		caller, err, _ := try(t, tx, req, app.JWT)
		if caller != nil {
			t.Errorf("accepted %q", header) // the good one fails its constraint
		}
		if err.Status != 401 {
			t.Errorf("%q: %v", header, err)
		}
	})
}

func BenchmarkJWT(b *testing.B) {
	key := rsaKey()
	token := issue(b, key, `{"alg":"RS256","kid":"k"}`, `{"iss":"i","exp":9999999999}`)
	tx := newTx(b, map[string]map[string]string{tables.JWTSigningKeys: {"k": row(b, tables.JWTKey{Issuer: "i", PublicKey: spki(b, key)})}})
	for name, fresh := range map[string]bool{"fresh": true, "same": false} {
		b.Run(name, func(b *testing.B) {
			cache := &auth.Cache{}
			c := app.NewContext(b.Context(), withToken(token), tx, nil, nil)
			for b.Loop() {
				if fresh {
					cache = &auth.Cache{}
				}
				if _, err := auth.Authenticate(c, []app.Policy{app.JWT}, now, cache); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
