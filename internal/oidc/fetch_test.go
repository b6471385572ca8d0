package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A provider is an OpenID provider whose two answers a test can change.
type provider struct {
	*httptest.Server
	metadata, keys http.HandlerFunc
}

func text(status int, format string, a ...any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprintf(w, format, a...)
	}
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{keys: text(200, `{"keys":[]}`)}
	mux := http.NewServeMux()
	mux.HandleFunc("/tenant/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) { p.metadata(w, r) })
	mux.HandleFunc("/keys", func(w http.ResponseWriter, r *http.Request) { p.keys(w, r) })
	p.Server = httptest.NewUnstartedServer(mux)
	p.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.StartTLS()
	t.Cleanup(p.Close)
	p.metadata = text(200, `{"jwks_uri":"%s/keys","issuer":"https://claim.example"}`, p.URL)
	return p
}

func (p *provider) bundle() []byte { return asPEM(p.Certificate()) }

func asPEM(certs ...*x509.Certificate) (all []byte) {
	for _, c := range certs {
		all = append(all, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return all
}

func TestFetch(t *testing.T) {
	p := newProvider(t)
	for _, issuer := range []string{p.URL + "/tenant", p.URL + "/tenant/"} {
		k, err := Fetch(t.Context(), issuer, p.bundle())
		if err != nil || string(k.Set) != `{"keys":[]}` || k.Issuer != "https://claim.example" {
			t.Errorf("%s: %v, %v", issuer, k, err)
		}
	}
}

// What an issuer answers that is of no use, as against no answer at all.
func TestFetchInVain(t *testing.T) {
	other := newCertificate(t, nil, "other.example")
	for name, x := range map[string]struct {
		change   func(p *provider)
		issuer   string
		bundle   []byte
		answered bool
		says     string
	}{
		"no metadata":           {change: func(p *provider) { p.metadata = text(404, "secret") }, answered: true, says: "status 404"},
		"redirected":            {change: func(p *provider) { p.metadata = http.RedirectHandler("/keys", http.StatusFound).ServeHTTP }, answered: true, says: "status 302"},
		"metadata are no JSON":  {change: func(p *provider) { p.metadata = text(200, "secret") }, answered: true, says: "OpenID metadata"},
		"no jwks_uri":           {change: func(p *provider) { p.metadata = text(200, `{"issuer":"secret"}`) }, answered: true, says: "jwks_uri"},
		"jwks_uri without TLS":  {change: func(p *provider) { p.metadata = text(200, `{"jwks_uri":"http://secret/keys"}`) }, answered: true, says: "jwks_uri"},
		"jwks_uri of a file":    {change: func(p *provider) { p.metadata = text(200, `{"jwks_uri":"file:///secret"}`) }, answered: true, says: "jwks_uri"},
		"jwks_uri with a user":  {change: func(p *provider) { p.metadata = text(200, `{"jwks_uri":"https://secret:x@h/"}`) }, answered: true, says: "jwks_uri"},
		"issuer is no text":     {change: func(p *provider) { p.metadata = text(200, `{"jwks_uri":"%s/keys","issuer":1}`, p.URL) }, answered: true, says: "OpenID metadata"},
		"no keys":               {change: func(p *provider) { p.keys = text(500, "secret") }, answered: true, says: "status 500"},
		"keys are no JSON":      {change: func(p *provider) { p.keys = text(200, "secret") }, answered: true, says: "JWKS"},
		"too many keys":         {change: func(p *provider) { p.keys = text(200, "%s", strings.Repeat("x", bodyMax+1)) }, answered: true, says: "bytes"},
		"a header without end":  {change: func(p *provider) { p.keys = header(2 * headerMax) }, says: "header"},
		"nobody there":          {change: func(p *provider) { p.Close() }, says: "refused"},
		"of no authority":       {bundle: asPEM(other.cert), says: "unknown authority"},
		"a bundle of nothing":   {bundle: []byte("x"), says: "no certificate"},
		"a certificate of junk": {bundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), says: "bundle"},
		"no URL":                {issuer: "login.example", says: "https://"},
		"no TLS":                {issuer: "http://login.example", says: "https://"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			if x.change != nil {
				x.change(p)
			}
			bundle, issuer := p.bundle(), p.URL+"/tenant"
			if x.bundle != nil {
				bundle = x.bundle
			}
			if x.issuer != "" {
				issuer = x.issuer
			}
			_, err := Fetch(t.Context(), issuer, bundle)
			if err == nil || errors.Is(err, ErrAnswer) != x.answered || !strings.Contains(err.Error(), x.says) || strings.Contains(err.Error(), "secret") {
				t.Errorf("it says %v", err)
			}
		})
	}
}

func header(size int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("x", strings.Repeat("x", size)) }
}

// An issuer that does not answer costs no more than the time that is allowed.
func TestFetchEnds(t *testing.T) {
	p := newProvider(t)
	hangs := make(chan struct{})
	p.metadata = func(http.ResponseWriter, *http.Request) { <-hangs }
	defer close(hangs)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Fetch(ctx, p.URL+"/tenant", p.bundle()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it says %v", err)
	}
}

type certificate struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newCertificate is one for a name, or an authority without one.
func newCertificate(t *testing.T, by *certificate, name string) *certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Unix(1000, 0), NotAfter: time.Unix(2000, 0),
		BasicConstraintsValid: true, IsCA: name == "",
	}
	if name != "" {
		template.DNSNames = []string{name}
	}
	if by == nil {
		by = &certificate{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &certificate{cert, key}
}

func TestBelieve(t *testing.T) {
	root := newCertificate(t, nil, "")
	middle := newCertificate(t, root, "")
	server := newCertificate(t, middle, "login.example")
	for name, x := range map[string]struct {
		host    string
		trusted []*x509.Certificate
		chain   []*x509.Certificate
		now     int64
		want    bool
	}{
		"issued by a root":             {"login.example", []*x509.Certificate{root.cert}, []*x509.Certificate{server.cert, middle.cert}, 1500, true},
		"issued by one in the middle":  {"login.example", []*x509.Certificate{middle.cert}, []*x509.Certificate{server.cert}, 1500, true},
		"a link is missing":            {"login.example", []*x509.Certificate{root.cert}, []*x509.Certificate{server.cert}, 1500, false},
		"for another name":             {"evil.example", []*x509.Certificate{root.cert}, []*x509.Certificate{server.cert, middle.cert}, 1500, false},
		"run out":                      {"login.example", []*x509.Certificate{root.cert}, []*x509.Certificate{server.cert, middle.cert}, 2500, false},
		"named itself":                 {"evil.example", []*x509.Certificate{root.cert, server.cert}, []*x509.Certificate{server.cert}, 1500, true},
		"named itself, and run out":    {"login.example", []*x509.Certificate{server.cert}, []*x509.Certificate{server.cert}, 2500, false},
		"named itself, of the future":  {"login.example", []*x509.Certificate{server.cert}, []*x509.Certificate{server.cert}, 500, false},
		"another of the same name":     {"login.example", []*x509.Certificate{newCertificate(t, nil, "login.example").cert}, []*x509.Certificate{server.cert}, 1500, false},
		"a server that names a server": {"login.example", []*x509.Certificate{server.cert}, []*x509.Certificate{newCertificate(t, server, "login.example").cert}, 1500, false},
	} {
		if err := believe(x.chain, x.host, x.trusted, time.Unix(x.now, 0)); (err == nil) != x.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzMetadata(f *testing.F) {
	f.Add([]byte(`{"jwks_uri":"https://h/keys","issuer":"i"}`))
	f.Add([]byte(`{"jwks_uri":"https://[::1]:1/"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		u, _, err := parseMetadata(body)
		if err == nil && (u.Scheme != "https" || u.Hostname() == "") {
			t.Errorf("%q leads to %s", body, u)
		}
	})
}
