package arm

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// provider is an OpenID Connect provider with one key.
type provider struct {
	*httptest.Server
	key   *rsa.PrivateKey
	asked atomic.Int64 // for its keys
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"authorization_endpoint":%q,"id_token_signing_alg_values_supported":["RS256"]}`, p.URL, p.URL+"/keys", p.URL+"/auth")
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		p.asked.Add(1)
		fmt.Fprintf(w, `{"keys":[{"kty":"RSA","alg":"RS256","use":"sig","kid":"k","n":%q,"e":%q}]}`,
			base64.RawURLEncoding.EncodeToString(key.N.Bytes()), base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()))
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) token(t *testing.T, claims map[string]any) string {
	t.Helper()
	part := func(v any) string { return base64.RawURLEncoding.EncodeToString([]byte(jsonText(v))) }
	signed := part(map[string]string{"alg": "RS256", "kid": "k"}) + "." + part(claims)
	sum := sha256.Sum256([]byte(signed))
	sig, err := rsa.SignPKCS1v15(rand.Reader, p.key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func TestTokens(t *testing.T) {
	p := newProvider(t)
	stranger := newProvider(t)
	s := newService(t, func(c *Config) {
		auth, err := NewAuth(AuthConfig{Token: testToken, Issuer: p.URL, Audience: "synod", Now: c.Now, Client: p.Client()})
		if err != nil {
			t.Fatal(err)
		}
		c.Auth = auth
	})
	claims := func(change map[string]any) map[string]any {
		all := map[string]any{"iss": p.URL, "sub": "ann-1", "aud": "synod", "exp": s.clock.now().Add(time.Hour).Unix(), "iat": s.clock.now().Unix()}
		maps.Copy(all, change)
		return all
	}
	good := p.token(t, claims(nil))
	for name, test := range map[string]struct {
		header string
		status int
		code   string
	}{
		"static token":         {"Bearer " + testToken, 200, ""},
		"any case":             {"bearer " + testToken, 200, ""},
		"none":                 {"", 401, CodeAuthenticationFailed},
		"basic":                {"Basic dG9rZW46eA==", 401, CodeAuthenticationFailed},
		"empty":                {"Bearer ", 401, CodeInvalidToken},
		"wrong":                {"Bearer " + testToken + "x", 401, CodeInvalidToken},
		"a prefix":             {"Bearer " + testToken[:8], 401, CodeInvalidToken},
		"huge":                 {"Bearer " + strings.Repeat("a.", 100_000), 401, CodeInvalidToken},
		"not signed":           {"Bearer " + good[:strings.LastIndex(good, ".")+1], 401, CodeInvalidToken},
		"of no algorithm":      {"Bearer eyJhbGciOiJub25lIn0" + good[strings.Index(good, "."):], 401, CodeInvalidToken},
		"expired":              {"Bearer " + p.token(t, claims(map[string]any{"exp": s.clock.now().Add(-time.Minute).Unix()})), 401, CodeInvalidToken},
		"for another audience": {"Bearer " + p.token(t, claims(map[string]any{"aud": "other"})), 401, CodeInvalidToken},
		"of another issuer":    {"Bearer " + p.token(t, claims(map[string]any{"iss": "https://other.example"})), 401, CodeInvalidToken},
		"of another key":       {"Bearer " + stranger.token(t, claims(nil)), 401, CodeInvalidToken},
		"for nobody":           {"Bearer " + p.token(t, claims(map[string]any{"sub": ""})), 401, CodeInvalidToken},
		"without a role":       {"Bearer " + good, 403, CodeAuthorizationFailed},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.want(t, test.status, "GET", "/subscriptions"+azure, "", "Authorization", test.header)
			if test.code == "" {
				return
			}
			if a.code(t) != test.code {
				t.Error(a.body)
			}
			want := fmt.Sprintf(`Bearer authorization_uri=%q, resource="synod", error="invalid_token"`, p.URL)
			if got := a.header.Get("WWW-Authenticate"); test.status == 401 && got != want {
				t.Errorf("WWW-Authenticate: %s", got)
			}
			if len(test.header) > 20 && strings.Contains(a.body, strings.TrimPrefix(test.header, "Bearer ")) {
				t.Error("the answer repeats the token")
			}
		})
	}
	// None of these that do not verify was a question of its own to the issuer.
	if n := p.asked.Load(); n != 1 {
		t.Errorf("the issuer was asked for its keys %d times", n)
	}
	s.clock.move(2 * keysInterval)
	s.want(t, 401, "GET", "/subscriptions"+azure, "", "Authorization", "Bearer "+stranger.token(t, claims(nil)))
	if n := p.asked.Load(); n != 2 {
		t.Errorf("the issuer was asked for its keys %d times: a new key would not be seen", n)
	}
	t.Run("a role by each of its names", func(t *testing.T) {
		token := "Bearer " + p.token(t, claims(map[string]any{"email": "ann@contoso.example", "email_verified": true, "groups": []string{"ops"}}))
		for _, principal := range []string{"oidc:" + p.URL + "#ann-1", "email:ann@contoso.example", "group:ops"} {
			a := RoleAssignment{Principal: principal, Role: "reader", Scope: "/"}
			if err := s.Store.AddRole(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			s.want(t, 200, "GET", "/subscriptions"+azure, "", "Authorization", token)
			if err := s.Store.RemoveRole(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		}
		unverified := "Bearer " + p.token(t, claims(map[string]any{"email": "ann@contoso.example"}))
		if err := s.Store.AddRole(t.Context(), RoleAssignment{Principal: "email:ann@contoso.example", Role: "owner", Scope: "/"}); err != nil {
			t.Fatal(err)
		}
		s.want(t, 403, "GET", "/subscriptions"+azure, "", "Authorization", unverified)
	})
}

// TestAnIssuerThatIsDown: its tokens are not refused, they cannot be judged.
func TestAnIssuerThatIsDown(t *testing.T) {
	p := newProvider(t)
	s := newService(t, func(c *Config) {
		auth, err := NewAuth(AuthConfig{Issuer: p.URL + "/no", Audience: "synod", Now: c.Now, Client: p.Client()})
		if err != nil {
			t.Fatal(err)
		}
		c.Auth = auth
	})
	if a := s.want(t, 503, "GET", sub+azure, "", "Authorization", "Bearer a.b.c"); a.code(t) != CodeAuthenticationOffline {
		t.Error(a.body)
	}
	if _, err := NewAuth(AuthConfig{Issuer: p.URL}); err == nil {
		t.Error("an issuer without an audience is taken")
	}
}

// shown is a connection on which a client certificate with that name was verified.
func shown(name string) *tls.ConnectionState {
	return &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{Subject: pkix.Name{CommonName: name}}}}}
}

// TestRoles tries each role on each kind of request, on the scope and beside it.
func TestRoles(t *testing.T) {
	s := newService(t)
	s.makeGroup(t)
	s.want(t, 201, "PUT", base+"/mine"+azure, createBody())
	s.want(t, 201, "PUT", base+"/theirs"+azure, createBody())
	s.finish(t)
	const mine = base + "/mine"
	requests := []struct {
		right  Right
		method string
		path   string
		body   string
	}{
		{Read, "GET", mine + azure, ""},
		{Operate, "PATCH", mine + azure, `{"tags":{}}`},
		{Operate, "POST", mine + "/backup" + azure, `{"uri":"store:default"}`},
		{Write, "PUT", mine + azure, createBody()},
		{Delete, "DELETE", mine + azure, ""},
	}
	as := func(role, scope string) *service {
		name := "cert:" + role
		if err := s.Store.AddRole(t.Context(), RoleAssignment{Principal: name, Role: role, Scope: scope}); err != nil {
			t.Fatal(err)
		}
		return s
	}
	do := func(role, method, path, body string) answer {
		r := httptest.NewRequestWithContext(t.Context(), method, "https://synod.example:8400"+path, strings.NewReader(body))
		r.TLS = shown(role)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return answer{w.Code, w.Header(), w.Body.String()}
	}
	for _, role := range []string{"reader", "member", "operator", "owner"} {
		as(role, mine)
		for _, r := range requests {
			may := false
			for _, right := range Roles[role] {
				may = may || right == r.right
			}
			a := do(role, r.method, r.path, r.body)
			if (a.status != 403) != may {
				t.Errorf("%s, %s %s: %d %s", role, r.method, r.path, a.status, a.body)
			}
			s.finish(t)
			if !may {
				least := map[Right]string{Read: "reader", Govern: "member", Operate: "operator", Write: "operator", Delete: "owner", Grant: "owner"}[r.right]
				for _, word := range []string{"cert:" + role, "by a client certificate", role + " on " + mine, "needs the role", "synod server roles add cert:" + role + " " + least} {
					if !strings.Contains(a.body, word) {
						t.Errorf("%q is not in %s", word, a.body)
					}
				}
			}
			if a := do(role, r.method, strings.Replace(r.path, "mine", "theirs", 1), r.body); a.status != 403 {
				t.Errorf("%s goes beyond its scope: %d", role, a.status)
			}
		}
		a := do(role, "GET", base+azure, "")
		if role != "owner" && (a.status != 200 || !strings.Contains(a.body, `"name":"mine"`) || strings.Contains(a.body, `"name":"theirs"`)) {
			t.Errorf("%s sees %s", role, a.body)
		}
	}
	if a := do("nobody", "GET", base+azure, ""); a.status != 403 || !strings.Contains(a.body, "no role anywhere") {
		t.Error(a.body)
	}
	entries, err := s.Store.Audit(t.Context(), AuditFilter{})
	if err != nil || len(entries) == 0 || entries[0].Principal != "cert:nobody" || entries[0].Result != "403 AuthorizationFailed" {
		t.Errorf("%+v, %v", entries[0], err)
	}
}

// Who only reads has the server look into its own stores, and nowhere else.
func TestWhoMayNameAStore(t *testing.T) {
	asked := ""
	s := newService(t, func(c *Config) {
		c.ListBackups = func(_ context.Context, address string) ([]BackupRecord, error) {
			asked = address
			return nil, nil
		}
	})
	list := func(role, address string) answer {
		if err := s.Store.AddRole(t.Context(), RoleAssignment{Principal: "cert:" + role, Role: role, Scope: sub + "/resourceGroups/rg"}); err != nil {
			t.Fatal(err)
		}
		asked = ""
		path := sub + "/providers/Microsoft.ConfidentialLedger/backups?api-version=" + OwnVersion + "&uri=" + url.QueryEscape(address)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://synod.example:8400"+path, http.NoBody)
		r.TLS = shown(role)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return answer{w.Code, w.Header(), w.Body.String()}
	}
	const elsewhere = "s3://key:secret@bucket/?endpoint=10.0.0.1:9000"
	for _, role := range []string{"reader", "member"} {
		if a := list(role, elsewhere); a.code(t) != CodeAuthorizationFailed || asked != "" || strings.Contains(a.body, "secret") {
			t.Errorf("%s: %d %s", role, a.status, a.body)
		}
		if a := list(role, "store:default"); a.status != 200 || asked != "store:default" {
			t.Errorf("%s: %d %s", role, a.status, a.body)
		}
	}
	if a := list("operator", elsewhere); a.status != 200 || asked != elsewhere {
		t.Errorf("operator: %d %s", a.status, a.body)
	}
}

func TestRoleAssignmentsAreChecked(t *testing.T) {
	s := openTestStore(t, newClock())
	good := RoleAssignment{Principal: "group:ops", Role: "reader", Scope: "/subscriptions/s/resourcegroups/g"}
	for name, change := range map[string]func(*RoleAssignment){
		"role":      func(a *RoleAssignment) { a.Role = "god" },
		"scope":     func(a *RoleAssignment) { a.Scope = "/subscriptions" },
		"principal": func(a *RoleAssignment) { a.Principal = "ann" },
		"token":     func(a *RoleAssignment) { a.Principal = "token" },
	} {
		a := good
		change(&a)
		if err := s.AddRole(t.Context(), a); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	for range 2 {
		if err := s.AddRole(t.Context(), good); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := s.RoleAssignments(t.Context()); err != nil || len(all) != 1 {
		t.Error(all, err)
	}
}

// TestTLS serves over the server's own authority: a certificate that is renewed
// at two thirds of its life, and client certificates.
func TestTLS(t *testing.T) {
	s := newService(t)
	dir := t.TempDir()
	authority, err := OpenAuthority(dir, s.clock.now)
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenAuthority(dir, s.clock.now)
	if err != nil || again.Fingerprint() != authority.Fingerprint() {
		t.Fatal("another authority at the second start", err)
	}
	if info, err := os.Stat(filepath.Join(dir, "ca.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	client, err := again.issue([]string{"robot"}) // any authority does; this one is at hand
	if err != nil {
		t.Fatal(err)
	}
	config, err := ServerTLS{Authority: authority, Hosts: LocalHosts(), ClientCA: authority.PEM, Now: s.clock.now}.Config()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: s, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)}
	go server.Serve(listener) //nolint:errcheck // ends with Close
	defer server.Close()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority.PEM)
	get := func(certs ...tls.Certificate) (*http.Response, string) {
		t.Helper()
		transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: certs, Time: s.clock.now}}
		defer transport.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+listener.Addr().String()+"/subscriptions"+azure, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Client{Transport: transport}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(body)
	}
	first, _ := get()
	if first.StatusCode != 401 || first.ProtoMajor != 2 || !strings.Contains(first.Header.Get("WWW-Authenticate"), "Bearer authorization_uri=") {
		t.Errorf("%d %v", first.StatusCode, first.Header)
	}
	serial := first.TLS.PeerCertificates[0].SerialNumber
	s.clock.move(certificateLife * 61 / 100)
	if second, _ := get(); second.TLS.PeerCertificates[0].SerialNumber.Cmp(serial) != 0 {
		t.Error("renewed too early")
	}
	s.clock.move(certificateLife * 7 / 100)
	if third, _ := get(); third.TLS.PeerCertificates[0].SerialNumber.Cmp(serial) == 0 {
		t.Error("not renewed at two thirds of its life")
	}

	leaf := client.Leaf
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	leaf.NotAfter = s.clock.now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, leaf, authority.Certificate, leaf.PublicKey, authority.key)
	if err != nil {
		t.Fatal(err)
	}
	robot := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: client.PrivateKey}
	if resp, body := get(robot); resp.StatusCode != 403 || !strings.Contains(body, "cert:robot") {
		t.Error(resp.StatusCode, body)
	}
	if err := s.Store.AddRole(t.Context(), RoleAssignment{Principal: "cert:robot", Role: "reader", Scope: "/"}); err != nil {
		t.Fatal(err)
	}
	if resp, body := get(robot); resp.StatusCode != 200 {
		t.Error(resp.StatusCode, body)
	}
}

func TestAGivenCertificateIsReloaded(t *testing.T) {
	c := newClock()
	dir := t.TempDir()
	authority, err := OpenAuthority(dir, c.now)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write := func(host string) []byte {
		made, err := authority.issue([]string{host})
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(made.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: made.Certificate[0]}, keyFile: {Type: "PRIVATE KEY", Bytes: der}} {
			if err := writePrivate(name, pem.EncodeToMemory(block)); err != nil {
				t.Fatal(err)
			}
		}
		return made.Certificate[0]
	}
	first := write("one")
	config, err := ServerTLS{CertFile: certFile, KeyFile: keyFile, Now: c.now}.Config()
	if err != nil {
		t.Fatal(err)
	}
	shown := func() []byte {
		cert, err := config.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return cert.Certificate[0]
	}
	second := write("another-name")
	if !bytes.Equal(shown(), first) {
		t.Error("read again at once")
	}
	c.move(2 * reloadInterval)
	if !bytes.Equal(shown(), second) {
		t.Error("not read again")
	}
	if err := os.WriteFile(certFile, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.move(2 * reloadInterval)
	if !bytes.Equal(shown(), second) {
		t.Error("a half-written file has replaced a good one")
	}
	if _, err := (ServerTLS{CertFile: certFile, KeyFile: keyFile, Now: c.now}).Config(); err == nil {
		t.Error("a broken certificate is taken at start")
	}
}

func TestStaticToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	first, err := OpenToken(path)
	if err != nil || len(first) != 64 {
		t.Fatal(first, err)
	}
	if second, err := OpenToken(path); err != nil || second != first {
		t.Error(second, err)
	}
	if err := os.WriteFile(path, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenToken(path); err == nil {
		t.Error("a short token is taken")
	}
}
