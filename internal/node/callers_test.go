package node_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"synod"
	"synod/client"
	"synod/internal/identity"
)

// issuer signs tokens.
type issuer struct {
	kid  string
	alg  string
	sign func(digest []byte) []byte
	jwk  map[string]string
}

func base64URL(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func newES256(t *testing.T, kid string) issuer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return issuer{
		kid: kid, alg: "ES256",
		jwk: map[string]string{"kty": "EC", "kid": kid, "crv": "P-256", "x": base64URL(point[1:33]), "y": base64URL(point[33:])},
		sign: func(digest []byte) []byte {
			r, s, err := ecdsa.Sign(rand.Reader, key, digest)
			if err != nil {
				t.Fatal(err)
			}
			return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		},
	}
}

func newRS256(t *testing.T, kid string) issuer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return issuer{
		kid: kid, alg: "RS256",
		jwk: map[string]string{"kty": "RSA", "kid": kid, "n": base64URL(key.N.Bytes()), "e": base64URL(big.NewInt(int64(key.E)).Bytes())},
		sign: func(digest []byte) []byte {
			signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest)
			if err != nil {
				t.Fatal(err)
			}
			return signature
		},
	}
}

// token is a bearer token of that issuer with a claim sub, over the defaults
// other claims.
func (i issuer) token(t *testing.T, url string, over map[string]any) string {
	t.Helper()
	claims := map[string]any{"iss": url, "sub": "alice", "nbf": time.Now().Add(-time.Minute).Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(claims, over)
	head, err := json.Marshal(map[string]string{"alg": i.alg, "kid": i.kid, "typ": "JWT"})
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed := base64URL(head) + "." + base64URL(body)
	digest := sha256.Sum256([]byte(signed))
	return "Bearer " + signed + "." + base64URL(i.sign(digest[:]))
}

// TestCallersOfScripts: who a script sees over TLS, by each policy, as
// governance has made users, members and issuers of tokens.
func TestCallersOfScripts(t *testing.T) {
	s := start(t, nil)
	s.open()
	policies := map[string]any{
		"user": "user_cert", "member": "member_cert", "any": "any_cert", "jwt": "jwt", "cose": "user_cose_sign1", "nobody": "no_auth",
		"both": map[string]any{"all_of": []string{"user_cert", "jwt"}},
	}
	endpoints := map[string]any{}
	for name, policy := range policies {
		list := []any{policy}
		if name == "nobody" {
			list = []any{"jwt", "no_auth"}
		}
		endpoints["/"+name] = map[string]any{"post": map[string]any{
			"js_module": "main.js", "js_function": "who", "forwarding_required": "never", "authn_policies": list, "mode": "readonly",
		}}
	}
	s.pass(client.Action{Name: "set_js_app", Args: map[string]any{"bundle": map[string]any{
		"metadata": map[string]any{"endpoints": endpoints},
		"modules": []any{map[string]any{"name": "main.js", "module": `
export function who(request) {
  const shown = (c) => c === null || typeof c !== "object" ? c :
    { policy: c.policy, id: c.id, data: c.data, sub: c.jwt?.payload?.sub, issuer: c.jwt?.keyIssuer, alg: c.jwt?.header?.alg,
      cert: c.cert?.startsWith("-----BEGIN CERTIFICATE-----"), content: c.cose && ccf.bufToStr(c.cose.content),
      user_cert: shown(c.user_cert), jwt: c.jwt?.policy && shown(c.jwt) };
  return { body: shown(request.caller) };
}`}},
	}}})
	const url = "https://issuer.example"
	ec, rs, unknown := newES256(t, "ec"), newRS256(t, "rs"), newES256(t, "ec")
	s.pass(
		client.Action{Name: "set_user", Args: map[string]any{"cert": s.user.CertPEM, "user_data": map[string]any{"role": "clerk"}}},
		client.Action{Name: "set_jwt_issuer", Args: map[string]any{"issuer": url, "jwks": map[string]any{"keys": []any{ec.jwk, rs.jwk}}}},
	)
	stranger, err := identity.NewUser("stranger", identity.Secp384r1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	userID, _, err := client.MemberOf([]byte(s.user.CertPEM))
	if err != nil {
		t.Fatal(err)
	}
	memberID, _, err := client.MemberOf([]byte(s.members[0].CertPEM))
	if err != nil {
		t.Fatal(err)
	}
	key, err := identity.ParseKeyPEM([]byte(s.user.KeyPEM))
	if err != nil {
		t.Fatal(err)
	}
	signed := envelope{alg: -35, kid: []byte(userID), payload: []byte("what I say"), key: key}.bytes()
	corrupt := slices.Clone(signed)
	corrupt[len(corrupt)-1] ^= 1

	call := func(name string, who *identity.Participant, token string, body []byte) string {
		t.Helper()
		header := http.Header{}
		if token != "" {
			header.Set("Authorization", token)
		}
		if body != nil {
			header.Set("Content-Type", "application/cose")
		}
		resp, err := s.dial(who).Do(t.Context(), client.Request{Method: "POST", Path: "/app/" + name, Header: header, Body: body})
		var e *synod.Error
		if errors.As(err, &e) {
			text := fmt.Sprint(e.Status, " ", e.Code)
			for _, d := range e.Details {
				text += " " + d.Message
			}
			return text
		}
		if err != nil {
			t.Fatal(err)
		}
		return string(resp.Body)
	}
	jwt := func(alg string) string { return fmt.Sprintf(`"sub":"alice","issuer":"%s","alg":"%s"`, url, alg) }
	for _, tc := range []struct {
		name  string
		who   *identity.Participant
		token string
		body  []byte
		want  string
	}{
		{"user", s.user, "", nil, `{"policy":"user_cert","id":"` + string(userID) + `","data":{"role":"clerk"},"cert":true}`},
		{"user", s.members[0], "", nil, "401 InvalidAuthenticationInfo Could not find matching user certificate"},
		{"user", nil, "", nil, "401 InvalidAuthenticationInfo No caller user certificate"},
		{"member", s.members[0], "", nil, `{"policy":"member_cert","id":"` + string(memberID) + `","data":null,"cert":true}`},
		{"member", s.user, "", nil, "401 InvalidAuthenticationInfo Could not find matching member certificate"},
		{"any", stranger, "", nil, `{"policy":"any_cert","cert":true}`},
		{"any", nil, "", nil, "401 InvalidAuthenticationInfo No caller certificate"},
		{"jwt", nil, ec.token(t, url, nil), nil, `{"policy":"jwt",` + jwt("ES256") + `}`},
		{"jwt", nil, rs.token(t, url, nil), nil, `{"policy":"jwt",` + jwt("RS256") + `}`},
		{"jwt", nil, unknown.token(t, url, nil), nil, "401 InvalidAuthenticationInfo "},
		{"jwt", nil, ec.token(t, url, map[string]any{"exp": 1}), nil, "401 InvalidAuthenticationInfo "},
		{"jwt", nil, ec.token(t, url, map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}), nil, "401 InvalidAuthenticationInfo "},
		{"jwt", s.user, "", nil, "401 InvalidAuthenticationInfo "},
		{"cose", nil, "", signed, `{"policy":"user_cose_sign1","id":"` + string(userID) + `","data":{"role":"clerk"},"cert":true,"content":"what I say"}`},
		{"cose", nil, "", corrupt, "401 InvalidAuthenticationInfo "},
		{"cose", s.user, "", nil, "401 InvalidAuthenticationInfo "},
		{"both", s.user, ec.token(t, url, nil), nil, `{"policy":["jwt","user_cert"],"user_cert":{"policy":"user_cert","id":"` + string(userID) + `","data":{"role":"clerk"},"cert":true},"jwt":{"policy":"jwt",` + jwt("ES256") + `}}`},
		{"both", s.user, "", nil, "401 InvalidAuthenticationInfo jwt:"},
		{"both", nil, ec.token(t, url, nil), nil, "401 InvalidAuthenticationInfo user_cert:"},
		{"nobody", nil, "", nil, `{"policy":"no_auth"}`},
	} {
		got := call(tc.name, tc.who, tc.token, tc.body)
		if strings.HasPrefix(tc.want, "401") && strings.HasPrefix(got, tc.want) {
			t.Logf("%s: %s", tc.name, got)
			continue
		}
		if d := cmp.Diff(tc.want, got); d != "" {
			t.Errorf("%s: %s", tc.name, d)
		}
	}
	// What governance takes back counts at once.
	s.pass(client.Action{Name: "remove_jwt_issuer", Args: map[string]any{"issuer": url}},
		client.Action{Name: "remove_user", Args: map[string]any{"user_id": userID}})
	if got := call("jwt", nil, ec.token(t, url, nil), nil); !strings.HasPrefix(got, "401") {
		t.Error(got)
	}
	if got := call("cose", nil, "", signed); !strings.HasPrefix(got, "401") {
		t.Error(got)
	}
	if got := call("user", s.user, "", nil); !strings.HasPrefix(got, "401") {
		t.Error(got)
	}
}
