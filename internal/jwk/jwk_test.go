package jwk

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// golden is a key as OpenSSL and jwcrypto write it; see testdata/README.md.
type golden struct {
	Name        string            `json:"name"`
	Kty         string            `json:"kty"`
	Private     string            `json:"private"`
	Public      string            `json:"public"`
	Older       string            `json:"older"`
	OlderPublic string            `json:"older_public"`
	PrivateJWK  map[string]string `json:"private_jwk"`
	PublicJWK   map[string]string `json:"public_jwk"`
}

func (g *golden) kind() Kind { return map[string]Kind{"EC": EC, "RSA": RSA, "OKP": EdDSA}[g.Kty] }

func goldens(t testing.TB) []golden {
	t.Helper()
	b, err := os.ReadFile("testdata/keys.json")
	if err != nil {
		t.Fatal(err)
	}
	var out []golden
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// goldenNamed is one of them.
func goldenNamed(t testing.TB, name string) golden {
	t.Helper()
	all := goldens(t)
	i := slices.IndexFunc(all, func(g golden) bool { return g.Name == name })
	if i < 0 {
		t.Fatal("no key", name)
	}
	return all[i]
}

func text(t testing.TB, m map[string]string) []byte {
	t.Helper()
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGolden(t *testing.T) {
	for _, g := range goldens(t) {
		t.Run(g.Name, func(t *testing.T) {
			kid := g.PublicJWK["kid"]
			same := func(what string, got, want []byte, err error) {
				t.Helper()
				if err != nil || string(got) != string(want) {
					t.Errorf("%s: %v\ngot  %s\nwant %s", what, err, got, want)
				}
			}
			b, err := PublicFromPEM(g.kind(), g.Public, &kid)
			same("public JWK", b, text(t, g.PublicJWK), err)
			b, err = PrivateFromPEM(g.kind(), g.Private, &kid)
			same("private JWK", b, text(t, g.PrivateJWK), err)
			pem, err := PublicToPEM(g.kind(), text(t, g.PublicJWK))
			same("public PEM", []byte(pem), []byte(g.Public), err)
			pem, err = PublicToPEM(g.kind(), text(t, g.PrivateJWK))
			same("public PEM of the private JWK", []byte(pem), []byte(g.Public), err)
			pem, err = PrivateToPEM(g.kind(), text(t, g.PrivateJWK))
			same("private PEM", []byte(pem), []byte(g.Private), err)

			without := maps.Clone(g.PublicJWK)
			delete(without, "kid")
			b, err = PublicFromPEM(g.kind(), g.Public, nil)
			same("public JWK without kid", b, text(t, without), err)
			if g.Older != "" {
				b, err = PrivateFromPEM(g.kind(), "-----BEGIN X-----\n-----END X-----\nwords\n"+g.Older, &kid)
				same("JWK of the older form", b, text(t, g.PrivateJWK), err)
			}
			if g.OlderPublic != "" {
				b, err = PublicFromPEM(g.kind(), g.OlderPublic, &kid)
				same("JWK of the older public form", b, text(t, g.PublicJWK), err)
			}
		})
	}
}

// TestSpellings: what OpenSSL's base64 and big numbers let pass in CCF.
func TestSpellings(t *testing.T) {
	short, p384 := goldenNamed(t, "P-256 short"), goldenNamed(t, "P-384")
	for _, tc := range []struct {
		name          string
		key           golden
		member, value string
	}{
		{"padding", short, "x", short.PublicJWK["x"] + "="},
		{"plain alphabet", p384, "y", strings.NewReplacer("-", "+", "_", "/").Replace(p384.PublicJWK["y"])},
		{"no leading zeros", short, "d", "ASNFZw"},
		{"more leading zeros", short, "d", "AAAA" + short.PrivateJWK["d"]},
		{"line end", short, "x", short.PublicJWK["x"] + "\n"},
		{"other members", short, "use", "sig"},
	} {
		m := maps.Clone(tc.key.PrivateJWK)
		if m[tc.member] == tc.value {
			t.Errorf("%s: nothing changed", tc.name)
		}
		m[tc.member] = tc.value
		if pem, err := PrivateToPEM(EC, text(t, m)); err != nil || pem != tc.key.Private {
			t.Error(tc.name, err, pem)
		}
	}
}

func TestRefusedJWK(t *testing.T) {
	p256, p384 := goldenNamed(t, "P-256"), goldenNamed(t, "P-384")
	rsa, other := goldenNamed(t, "RSA 2048"), goldenNamed(t, "RSA 2047")
	ed, x := goldenNamed(t, "Ed25519"), goldenNamed(t, "X25519")
	const none = "\x00" // leaves the member out
	for _, tc := range []struct {
		key           golden
		member, value string
		want          string
	}{
		{p256, "kty", none, "Missing required field 'kty'"},
		{p256, "kty", "RSA", "Cannot construct EC key from non-EC JWK"},
		{rsa, "kty", "EC", "Cannot construct RSA key from non-RSA JWK"},
		{ed, "kty", "EC", "Cannot construct EdDSA key from non-OKP JWK"},
		{p256, "crv", none, "Missing required field 'crv'"},
		{p256, "crv", "P-521", `Unknown JWK curve "P-521", known: P-256, P-384`},
		{p256, "crv", "P-384", "the point is not on the curve"},
		{p384, "crv", "P-256", "field 'x' is too large"},
		{p256, "x", none, "Missing required field 'x'"},
		{p256, "x", "", "the point is not on the curve"},
		{p256, "x", "AAAAA", "field 'x' is not base64url"},
		{p256, "x", "a b", "field 'x' is not base64url"},
		{p256, "x", strings.Repeat("A", memberMax+1), "field 'x' is too long"},
		{p256, "y", p256.PublicJWK["x"], "the point is not on the curve"},
		{p256, "d", none, "Missing required field 'd'"},
		{p256, "d", "AA", "field 'd' is not in the range of the curve"},
		{p256, "d", strings.Repeat("_", 42) + "8", "field 'd' is not in the range of the curve"},
		{p256, "d", "AQ", "field 'd' does not belong to the public key"},
		{rsa, "n", "", "invalid RSA key"},
		{rsa, "n", other.PublicJWK["n"], "invalid RSA key"},
		{rsa, "n", strings.Repeat("_", 1367), "invalid RSA key"},
		{rsa, "e", "AQ", "invalid RSA key"},
		{rsa, "e", "AQAA", "invalid RSA key"},
		{rsa, "e", "_____w", "invalid RSA key"},
		{rsa, "d", "Aw", "invalid RSA key"},
		{rsa, "d", rsa.PrivateJWK["n"], "invalid RSA key"},
		{rsa, "p", "AQ", "invalid RSA key"},
		{rsa, "p", "", "invalid RSA key"},
		{rsa, "p", rsa.PrivateJWK["q"], "invalid RSA key"},
		{rsa, "dp", rsa.PrivateJWK["dq"], "invalid RSA key"},
		{rsa, "dq", none, "Missing required field 'dq'"},
		{rsa, "qi", "AQ", "invalid RSA key"},
		{ed, "crv", "Ed448", "Cannot construct EdDSA key from JWK that is neither Ed25519 nor X25519"},
		{ed, "x", "AAAA", "field 'd' does not belong to the public key"},
		{ed, "d", "AAAA", "field 'd' is not of 32 octets"},
		{ed, "x", none, "Missing required field 'x'"},
		{x, "crv", "Ed25519", "field 'd' does not belong to the public key"},
		{x, "x", ed.PublicJWK["x"], "field 'd' does not belong to the public key"},
	} {
		m := maps.Clone(tc.key.PrivateJWK)
		m[tc.member] = tc.value
		if tc.value == none {
			delete(m, tc.member)
		}
		pem, err := PrivateToPEM(tc.key.kind(), text(t, m))
		if err == nil || err.Error() != tc.want || pem != "" {
			t.Errorf("%s %s %.20q: %v, want %s", tc.key.Name, tc.member, tc.value, err, tc.want)
		}
	}
	if _, err := PublicToPEM(EdDSA, []byte(`{"kty":"OKP","crv":"X25519","x":"AAAA"}`)); err == nil || err.Error() != "Error constructing EdDSA public key from JWK" {
		t.Error(err)
	}
}

func TestRefusedJSON(t *testing.T) {
	for in, want := range map[string]string{
		``: "the key is not a JSON object", `undefined`: "the key is not a JSON object", `null`: "the key is not a JSON object",
		`[]`: "the key is not a JSON object", `"EC"`: "the key is not a JSON object",
		`{}`:                         "Missing required field 'kty'",
		`{"KTY":"EC"}`:               "Missing required field 'kty'",
		`{"kty":null}`:               "field 'kty' has the wrong type",
		`{"kty":1}`:                  "field 'kty' has the wrong type",
		`{"kty":"EC","kid":1}`:       "field 'kid' has the wrong type",
		`{"kty":"EC","x5c":"a"}`:     "field 'x5c' has the wrong type",
		`{"kty":"EC","crv":["P"]}`:   "field 'crv' has the wrong type",
		`{"kty":"EC","crv":"P-256"}`: "Missing required field 'x'",
	} {
		if _, err := PublicToPEM(EC, []byte(in)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
}

func TestRefusedPEM(t *testing.T) {
	p256, rsa, ed := goldenNamed(t, "P-256"), goldenNamed(t, "RSA 2048"), goldenNamed(t, "Ed25519")
	broken := strings.Replace(p256.Private, "MIGH", "MIGI", 1)
	large := "-----BEGIN PUBLIC KEY-----\n" + strings.Repeat(strings.Repeat("A", 64)+"\n", 1+derMax/48) + "-----END PUBLIC KEY-----\n"
	type from = func(Kind, string, *string) ([]byte, error)
	for _, tc := range []struct {
		name string
		from from
		kind Kind
		pem  string
		want string
	}{
		{"no PEM", PublicFromPEM, EC, "secret", "PEM constructed with non-PEM data"},
		{"empty", PrivateFromPEM, EC, "", "PEM constructed with non-PEM data"},
		{"cut", PrivateFromPEM, EC, p256.Private[:80], "could not parse PEM"},
		{"broken", PrivateFromPEM, EC, broken, "could not parse PEM"},
		{"too large", PublicFromPEM, EC, large, "could not parse PEM"},
		{"public for private", PrivateFromPEM, EC, p256.Public, "could not parse PEM"},
		{"private for public", PublicFromPEM, EC, p256.Private, "could not parse PEM"},
		{"RSA for EC", PrivateFromPEM, EC, rsa.Private, "invalid EC key"},
		{"EC for RSA", PrivateFromPEM, RSA, p256.Private, "invalid RSA key"},
		{"EC for public RSA", PublicFromPEM, RSA, p256.Public, "invalid RSA key"},
		{"no PEM for public RSA", PublicFromPEM, RSA, "secret", "PEM constructed with non-PEM data"},
		{"cut public RSA", PublicFromPEM, RSA, rsa.Public[:80], "invalid RSA key"},
		{"EC for EdDSA", PublicFromPEM, EdDSA, p256.Public, "Unknown OpenSSL curve: the key is neither Ed25519 nor X25519"},
		{"EdDSA for EC", PublicFromPEM, EC, ed.Public, "invalid EC key"},
		{"P-521", PrivateFromPEM, EC, p521, "Unknown OpenSSL group P-521"},
	} {
		if b, err := tc.from(tc.kind, tc.pem, nil); err == nil || err.Error() != tc.want || b != nil {
			t.Errorf("%s: %v, want %s", tc.name, err, tc.want)
		}
	}
}

// p521 is of `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521`.
const p521 = `-----BEGIN PRIVATE KEY-----
MIHuAgEAMBAGByqGSM49AgEGBSuBBAAjBIHWMIHTAgEBBEIA6wYd3bgqDxIhzQLa
zvd3DpSuZU4oQpagheLdNI9IvwmjnVU3a0LnMUuO2R7VAUwW7sjATmHJwN513sy0
r3FiplWhgYkDgYYABAFmnC1NNB0M3rjsJBCfEbiK2rqxMnWXI5UUuzXSYZRS/DvY
ceIhELwEGvGJh9vtJOceYNOtLAbfrWtwi5+CIxmfwAFE836p4xdSQzn3bBu5HRoc
l44YQQbz/xDhMHaZJKOmVNs7pfgsBNWfY6914hqfDTczVJmW4LIw326vcBn2G7oS
WA==
-----END PRIVATE KEY-----
`

func FuzzToPEM(f *testing.F) {
	for _, g := range goldens(f) {
		f.Add(int(g.kind()), text(f, g.PrivateJWK))
	}
	f.Add(0, []byte(`{"kty":"EC","crv":"P-256","x":"AA","y":"","d":null}`))
	f.Fuzz(func(t *testing.T, kind int, b []byte) {
		k := Kind(uint(kind) % 3)
		if pem, err := PublicToPEM(k, b); err == nil {
			if _, err := PublicFromPEM(k, pem, nil); err != nil {
				t.Errorf("made PEM that it cannot read: %v\n%s", err, pem)
			}
		}
		if pem, err := PrivateToPEM(k, b); err == nil {
			if _, err := PrivateFromPEM(k, pem, nil); err != nil {
				t.Errorf("made PEM that it cannot read: %v\n%s", err, pem)
			}
		}
	})
}

func FuzzFromPEM(f *testing.F) {
	for _, g := range goldens(f) {
		f.Add(int(g.kind()), g.Private)
		f.Add(int(g.kind()), g.Public+g.Older)
	}
	f.Fuzz(func(t *testing.T, kind int, pem string) {
		k := Kind(uint(kind) % 3)
		if b, err := PublicFromPEM(k, pem, nil); err == nil {
			if _, err := PublicToPEM(k, b); err != nil {
				t.Logf("public key that no JWK says: %v", err)
			}
		}
		if b, err := PrivateFromPEM(k, pem, nil); err == nil {
			if _, err := PrivateToPEM(k, b); err != nil {
				t.Errorf("made a JWK that it cannot read: %v\n%s", err, b)
			}
		}
	})
}
