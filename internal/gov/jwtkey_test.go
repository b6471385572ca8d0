package gov

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"synod"
	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/tables"
)

// A 1024-bit modulus, a point of P-256 (RFC 7517 appendix A.1) and things
// that are neither.
var (
	modulus = strings.Repeat("_", 170) + "8"
	point   = `"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"`
)

func rsaJWK(kid, more string) string {
	return `{"kty":"RSA","kid":"` + kid + `","n":"` + modulus + `","e":"AQAB"` + more + `}`
}

func jwks(keys ...string) json.RawMessage {
	return json.RawMessage(`{"keys":[` + strings.Join(keys, ",") + `]}`)
}

// keysBy lists "kid issuer constraint", and checks the form of each key.
func keysBy(t *testing.T, tx *kv.Tx) []string {
	t.Helper()
	var all []string
	err := tables.EachJSON(tx, tables.JWTSigningKeys, func(kid string, keys []tables.JWTKey) bool {
		for _, k := range keys {
			if len(k.PublicKey) < 80 {
				t.Errorf("%s: key of %d bytes", kid, len(k.PublicKey))
			}
			all = append(all, strings.TrimSpace(kid+" "+k.Issuer+" "+k.Constraint))
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSigningKeys(t *testing.T) {
	store := kv.New()
	tx := store.Begin()
	defer tx.Release()
	check := func(what string, err error, want ...string) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if diff := cmp.Diff(want, keysBy(t, tx)); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	check("two issuers", setSigningKeys(tx, "https://a", jwks(rsaJWK("1", ""), `{"kid":"2",`+point+`}`)), "1 https://a", "2 https://a")
	check("same kid", setSigningKeys(tx, "https://x.b.org", jwks(rsaJWK("1", `,"issuer":"https://b.org/{tenantid}"`))),
		"1 https://a", "1 https://x.b.org https://b.org/{tenantid}", "2 https://a")
	check("replace", setSigningKeys(tx, "https://a", jwks(rsaJWK("3", ""), `{"kid":"1",`+point+`}`)),
		"1 https://a", "1 https://x.b.org https://b.org/{tenantid}", "3 https://a")

	// The same again writes nothing.
	if err := store.Commit(tx.WriteSet(), synod.TxID{View: 2, SeqNo: 1}); err != nil {
		t.Fatal(err)
	}
	tx.Release()
	tx = store.Begin()
	check("again", setSigningKeys(tx, "https://a", jwks(rsaJWK("3", ""), `{"kid":"1",`+point+`}`)),
		"1 https://a", "1 https://x.b.org https://b.org/{tenantid}", "3 https://a")
	if tx.Written() {
		t.Error("wrote what was there")
	}

	tx.Put(tables.JWTSigningKeyIssuer, []byte("o"), []byte("https://a"))
	tx.Put(tables.JWTSigningKeyV1, []byte("o"), []byte("der"))
	tx.Put(tables.JWTSigningKeyIssuer, []byte("p"), []byte("https://other"))
	tx.Put(tables.JWTSigningCerts, []byte("o"), []byte(`[{"cert":"","issuer":"https://a"},{"cert":"","issuer":"https://other"}]`))
	check("remove", removeSigningKeys(tx, "https://a"), "1 https://x.b.org https://b.org/{tenantid}")
	if tx.Has(tables.JWTSigningKeyV1, []byte("o")) || tx.Len(tables.JWTSigningKeyIssuer) != 1 {
		t.Error("keys of the oldest tables stay")
	}
	if got, _ := tx.Get(tables.JWTSigningCerts, []byte("o")); string(got) != `[{"cert":"","issuer":"https://other"}]` {
		t.Errorf("older table %s", got)
	}
	check("remove nothing", removeSigningKeys(tx, "https://nobody"), "1 https://x.b.org https://b.org/{tenantid}")

	who, err := identity.NewMember("x", "Secp256R1", time.Unix(1_750_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	x5c := `{"kty":"RSA","kid":"c","x5c":["` + base64.StdEncoding.EncodeToString(who.CertDER) + `"]}`
	check("certificate", setSigningKeys(tx, "https://x.b.org", jwks(x5c)), "c https://x.b.org")
}

func TestSigningKeysRefused(t *testing.T) {
	tx := kv.New().Begin()
	defer tx.Release()
	for name, tc := range map[string]struct{ jwks, want string }{
		"no JSON":            {`{`, "JWKS of issuer https://a: "},
		"no keys":            {`{"keys":[]}`, "has no keys"},
		"keys no list":       {`{"keys":3}`, "JWKS of issuer"},
		"no kid":             {string(jwks(`{"n":"AQAB","e":"AQAB"}`)), "Missing kid"},
		"nothing in it":      {string(jwks(`{"kid":"1"}`)), "neither RSA/EC public key or x5c"},
		"other's constraint": {string(jwks(rsaJWK("1", `,"issuer":"https://b"`))), "fails validation against issuer https://a"},
		"child's constraint": {string(jwks(rsaJWK("1", `,"issuer":"https://x.a"`))), "fails validation"},
		"empty constraint":   {string(jwks(rsaJWK("1", `,"issuer":""`))), "fails validation"},
		"host's end alone":   {string(jwks(rsaJWK("1", `,"issuer":"https://"`))), "fails validation"},
		"short modulus":      {string(jwks(`{"kid":"1","n":"AQAB","e":"AQAB"}`)), "17 bits"},
		"even exponent":      {string(jwks(`{"kid":"1","n":"` + modulus + `","e":"Ag"}`)), "e must be odd"},
		"huge exponent":      {string(jwks(`{"kid":"1","n":"` + modulus + `","e":"AQAAAAAB"}`)), "e must be odd"},
		"no base64":          {string(jwks(`{"kid":"1","n":"**","e":"AQAB"}`)), "n: illegal base64"},
		"off the curve":      {string(jwks(`{"kid":"1","crv":"P-256","x":"AQ","y":"AQ"}`)), "JWKS kid 1: "},
		"long coordinate":    {string(jwks(`{"kid":"1","crv":"P-256","x":"` + modulus + `","y":"AQ"}`)), "want 32"},
		"unknown curve":      {string(jwks(`{"kid":"1","crv":"secp256k1","x":"AQ","y":"AQ"}`)), "unknown curve"},
		"no certificate":     {string(jwks(`{"kid":"1","x5c":["AQID"]}`)), "x5c: "},
		"good before bad":    {string(jwks(rsaJWK("1", ""), `{"kid":"2"}`)), "JWKS kid 2: "},
	} {
		err := setSigningKeys(tx, "https://a", json.RawMessage(tc.jwks))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if tx.Written() {
		t.Error("a refused set left something")
	}
}

// Keys that a node fetched are taken as those that members propose, if members
// want them to be fetched.
func TestRefreshSigningKeys(t *testing.T) {
	store := kv.New()
	tx := store.Begin()
	defer tx.Release()
	const issuer = "https://x.b.org"
	row := func(text string) { tx.Put(tables.JWTIssuers, []byte(issuer), []byte(text)) }
	refresh := func(constraint string, keys ...string) error {
		return RefreshSigningKeys(tx, issuer, constraint, jwks(keys...))
	}
	if err := refresh("", rsaJWK("1", "")); err == nil || !strings.Contains(err.Error(), "is not a valid issuer") {
		t.Errorf("nobody: %v", err)
	}
	row(`{"issuer":"https://x.b.org"}`)
	if err := refresh("", rsaJWK("1", "")); err == nil || !strings.Contains(err.Error(), "does not have auto_refresh enabled") {
		t.Errorf("by hand: %v", err)
	}
	row(`{"issuer":"https://x.b.org","auto_refresh":true}`)
	for _, x := range []struct {
		constraint string
		keys, want []string
	}{
		{"", []string{rsaJWK("1", ""), rsaJWK("2", "")}, []string{"1 https://x.b.org", "2 https://x.b.org"}},
		{
			"https://b.org/t",
			[]string{rsaJWK("2", ""), rsaJWK("3", `,"issuer":"https://x.b.org/own"`)},
			[]string{"2 https://x.b.org https://b.org/t", "3 https://x.b.org https://x.b.org/own"},
		},
	} {
		if err := refresh(x.constraint, x.keys...); err != nil {
			t.Errorf("%v: %v", x.want, err)
		}
		if diff := cmp.Diff(x.want, keysBy(t, tx)); diff != "" {
			t.Error(diff)
		}
	}
	if err := store.Commit(tx.WriteSet(), synod.TxID{View: 2, SeqNo: 1}); err != nil {
		t.Fatal(err)
	}
	again := store.Begin()
	defer again.Release()
	if err := RefreshSigningKeys(again, issuer, "https://b.org/t", jwks(rsaJWK("3", `,"issuer":"https://x.b.org/own"`), rsaJWK("2", ""))); err != nil || again.Written() {
		t.Errorf("the same keys are written again: %v", err)
	}
	for name, err := range map[string]error{
		"a constraint of others": refresh("https://evil.org", rsaJWK("1", "")),
		"no keys":                refresh(""),
		"no set":                 RefreshSigningKeys(tx, issuer, "", json.RawMessage(`[]`)),
	} {
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
