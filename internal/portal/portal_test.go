package portal_test

import (
	"bufio"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"synod/internal/arm"
	"synod/internal/portal"
)

const token = "the-development-token"

// service is a control plane with one network whose only node is node.
type service struct {
	*testing.T
	url    string
	client *http.Client
	portal *portal.Portal
	store  *arm.Store
	moved  atomic.Int64 // of the portal's clock

	certificate *x509.Certificate // of the portal's server
}

func newService(t *testing.T, node http.HandlerFunc) *service {
	t.Helper()
	store, err := arm.OpenStore(t.Context(), filepath.Join(t.TempDir(), "server.db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	s := &service{T: t, store: store}
	auth, err := arm.NewAuth(arm.AuthConfig{Token: token, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	api, err := arm.NewServer(t.Context(), arm.Config{Store: store, Auth: auth, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s.portal, err = portal.New(portal.Config{
		Store: store, ARM: api, Token: token, Logger: slog.New(slog.DiscardHandler),
		Now:    func() time.Time { return time.Now().Add(time.Duration(s.moved.Load())) },
		Ledger: func(string, int) string { return filepath.Join("..", "audit", "testdata", "ledger") },
	})
	if err != nil {
		t.Fatal(err)
	}
	if node == nil {
		node = func(http.ResponseWriter, *http.Request) {}
	}
	behind := httptest.NewTLSServer(node)
	t.Cleanup(behind.Close)
	n := arm.Network{ID: arm.NetworkID{Subscription: "s", Group: "g", Name: "Net-1"}, Desired: arm.Desired{
		NodeCount: 1, RunningState: arm.RunningActive, Backup: arm.BackupPolicy{Target: "https://store/?sig=secret"},
	}}
	if _, err := store.PutDesired(t.Context(), n, arm.Precondition{}, nil); err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: behind.Certificate().Raw})
	status := arm.Status{ProvisioningState: arm.StateSucceeded, ServiceCertificate: string(cert), Nodes: []arm.NodeStatus{
		{Ordinal: 0, NodeID: strings.Repeat("ab", 32), Address: behind.Listener.Addr().String(), Role: arm.RolePrimary, Health: arm.HealthOk},
	}, LastBackup: &arm.BackupRecord{Share: "b", Target: "https://store/?sig=secret"}}
	if err := store.PutStatus(t.Context(), n.ID, status); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewUnstartedServer(s.portal)
	front.EnableHTTP2 = true
	front.StartTLS()
	t.Cleanup(front.Close)
	s.url, s.client, s.certificate = front.URL, front.Client(), front.Certificate()
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return s
}

// ask sends a request with headers given as pairs and returns status and body.
func (s *service) ask(method, path, body string, headers ...string) (*http.Response, string) {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := s.client.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.Fatal(err)
	}
	return resp, string(b)
}

func (s *service) want(status int, method, path, body string, headers ...string) string {
	s.Helper()
	resp, text := s.ask(method, path, body, headers...)
	if resp.StatusCode != status {
		s.Errorf("%s %s: %d, want %d: %s", method, path, resp.StatusCode, status, text)
	}
	return text
}

// signIn returns the cookie of a new session.
func (s *service) signIn() string {
	s.Helper()
	resp, text := s.ask("POST", "/portal/v1/session", `{"code":"`+s.portal.NewCode()+`"}`, "Origin", s.url, "Content-Type", "application/json")
	if resp.StatusCode != http.StatusOK || len(resp.Cookies()) != 1 {
		s.Fatalf("sign in: %d %s", resp.StatusCode, text)
	}
	c := resp.Cookies()[0]
	if !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode || strings.Contains(c.Value, token) {
		s.Errorf("cookie %v", c)
	}
	return c.Name + "=" + c.Value
}

func TestSessions(t *testing.T) {
	s := newService(t, nil)
	s.want(http.StatusUnauthorized, "GET", "/portal/v1/summary", "")
	s.want(http.StatusUnauthorized, "GET", "/portal/v1/summary", "", "Cookie", "__Host-synod=AAAA")
	post := []string{"Origin", s.url, "Content-Type", "application/json"}
	code := s.portal.NewCode()
	s.want(http.StatusOK, "POST", "/portal/v1/session", `{"code":"`+code+`"}`, post...)
	s.want(http.StatusUnauthorized, "POST", "/portal/v1/session", `{"code":"`+code+`"}`, post...) // once
	old := s.portal.NewCode()
	s.moved.Store(int64(11 * time.Minute))
	s.want(http.StatusUnauthorized, "POST", "/portal/v1/session", `{"code":"`+old+`"}`, post...) // too old
	s.want(http.StatusOK, "POST", "/portal/v1/session", `{"token":"`+token+`"}`, post...)
	s.want(http.StatusUnauthorized, "POST", "/portal/v1/session", `{"token":"another"}`, post...)
	s.want(http.StatusForbidden, "POST", "/portal/v1/session", `{"token":"`+token+`"}`, "Origin", "https://elsewhere", "Content-Type", "application/json")
	s.want(http.StatusForbidden, "POST", "/portal/v1/session", `{"token":"`+token+`"}`, "Content-Type", "application/json")
	s.want(http.StatusUnsupportedMediaType, "POST", "/portal/v1/session", `token=x`, "Origin", s.url, "Content-Type", "application/x-www-form-urlencoded")

	cookie := s.signIn()
	if text := s.want(http.StatusOK, "GET", "/portal/v1/session", "", "Cookie", cookie); !strings.Contains(text, `"until"`) {
		t.Error(text)
	}
	s.moved.Store(int64(24 * time.Hour))
	if text := s.want(http.StatusOK, "GET", "/portal/v1/session", "", "Cookie", cookie); text != "{}\n" {
		t.Error(text)
	}
	s.want(http.StatusUnauthorized, "GET", "/portal/v1/summary", "", "Cookie", cookie)
}

func TestViewsHoldNoSecret(t *testing.T) {
	s := newService(t, nil)
	cookie := s.signIn()
	for _, path := range []string{"/portal/v1/summary", "/portal/v1/networks/net-1"} {
		text := s.want(http.StatusOK, "GET", path, "", "Cookie", cookie)
		if !strings.Contains(text, `"name":"Net-1"`) || strings.Contains(text, "secret") {
			t.Errorf("%s: %s", path, text)
		}
	}
	s.want(http.StatusNotFound, "GET", "/portal/v1/networks/none", "", "Cookie", cookie)
	s.want(http.StatusNotFound, "GET", "/portal/v1/operations/none", "", "Cookie", cookie)
	s.want(http.StatusNotFound, "GET", "/portal/v1/nothing", "", "Cookie", cookie)
	if text := s.want(http.StatusOK, "GET", "/portal/v1/arm/subscriptions?api-version=2020-01-01", "", "Cookie", cookie); !strings.Contains(text, arm.DefaultSubscription) {
		t.Error(text)
	}
	s.want(http.StatusForbidden, "POST", "/portal/v1/arm/subscriptions/s/providers/x/register?api-version=2020-01-01", "{}", "Cookie", cookie, "Content-Type", "application/json")
	s.want(http.StatusNotFound, "GET", "/portal/v1/arm/metrics", "", "Cookie", cookie)
}

// What passes to a node is what members sign and what anybody may read;
// nothing of the session goes with it.
func TestWayToTheNode(t *testing.T) {
	s := newService(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/absent") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Ms-Ccf-Transaction-Id", "2.17")
		_, _ = io.WriteString(w, r.Method+" "+r.URL.String()+" "+string(body)+r.Header.Get("Cookie")+r.Header.Get("Authorization"))
	})
	cookie := s.signIn()
	const to = "/portal/v1/networks/net-1/node/"
	resp, text := s.ask("GET", to+"any/gov/service/info?api-version=2024-07-01", "", "Cookie", cookie, "Authorization", "Basic eDp4")
	if text != "GET /gov/service/info?api-version=2024-07-01 " || resp.Header.Get("X-Ms-Ccf-Transaction-Id") != "2.17" || resp.Header.Get("X-Synod-Node") == "" {
		t.Errorf("%s %v", text, resp.Header)
	}
	if text := s.want(http.StatusOK, "GET", to+"any/gov/service/javascript-modules/%2Fa%2Fb.js", "", "Cookie", cookie); text != "GET /gov/service/javascript-modules/%2Fa%2Fb.js " {
		t.Error(text)
	}
	cose := []string{"Cookie", cookie, "Origin", s.url, "Content-Type", "application/cose"}
	if text := s.want(http.StatusOK, "POST", to+"primary/gov/members/proposals:create?api-version=2024-07-01", "signed", cose...); text != "POST /gov/members/proposals:create?api-version=2024-07-01 signed" {
		t.Error(text)
	}
	s.want(http.StatusOK, "GET", to+strings.Repeat("ab", 32)+"/node/consensus", "", "Cookie", cookie)
	for _, path := range []string{"any/app/log/private", "any/node/../app/x", "any/metrics", strings.Repeat("cd", 32) + "/node/network"} {
		if resp, _ := s.ask("GET", to+path, "", "Cookie", cookie); resp.StatusCode < 300 {
			t.Errorf("%s passed", path)
		}
	}
	s.want(http.StatusNotFound, "GET", to+"any/gov/absent", "", "Cookie", cookie)
	s.want(http.StatusNoContent, "GET", to+"any/gov/absent", "", "Cookie", cookie, "X-Synod-Absent", "ok")
	s.want(http.StatusForbidden, "POST", to+"any/node/join", "x", cose...)
	s.want(http.StatusForbidden, "POST", to+"any/gov/x", "{}", "Cookie", cookie, "Origin", s.url, "Content-Type", "application/json")
	s.want(http.StatusRequestEntityTooLarge, "POST", to+"any/gov/x", strings.Repeat("x", 10<<20+1), cose...)

	other := newService(t, nil) // a node of another service answers at the address
	n, err := s.store.NetworkNamed(t.Context(), "net-1")
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := other.store.NetworkNamed(t.Context(), "net-1")
	if err != nil {
		t.Fatal(err)
	}
	n.Status.Nodes[0].Address = foreign.Status.Nodes[0].Address
	n.Status.ServiceCertificate = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: selfSigned(t)}))
	if err := s.store.PutStatus(t.Context(), n.ID, n.Status); err != nil {
		t.Fatal(err)
	}
	s.want(http.StatusBadGateway, "GET", to+"any/node/network", "", "Cookie", cookie)
}

func TestFiles(t *testing.T) {
	s := newService(t, nil)
	resp, _ := s.ask("GET", "/portal/networks/net-1", "", "Accept", "text/html")
	csp := resp.Header.Get("Content-Security-Policy")
	if resp.StatusCode != http.StatusOK || !strings.Contains(csp, "require-trusted-types-for 'script'") || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	s.want(http.StatusNotFound, "GET", "/portal/networks/net-1", "", "Accept", "application/json")
	s.want(http.StatusNotFound, "GET", "/portal/nothing", "", "Accept", "image/png")
	s.want(http.StatusOK, "GET", "/portal/nothing", "", "Accept", "text/html") // the page says so
	s.want(http.StatusNotFound, "GET", "/portal/assets/none.js", "", "Accept", "*/*")
	s.want(http.StatusNotFound, "GET", "/portal/assets/..%2f..%2fportal.go", "", "Accept", "*/*")
	if resp, _ := s.ask("GET", "/", ""); resp.Header.Get("Location") != "/portal/" {
		t.Error(resp.Header)
	}
	if resp, _ := s.ask("GET", "/id/subscriptions/s/resourceGroups/g/providers/Microsoft.ConfidentialLedger/managedCCFs/net-1", ""); resp.Header.Get("Location") != "/portal/networks/net-1" {
		t.Error(resp.Header)
	}
}

func TestEvents(t *testing.T) {
	s := newService(t, nil)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/portal/v1/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", s.signIn())
	resp, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := func() string {
		for lines.Scan() {
			if line := lines.Text(); line != "" && !strings.HasPrefix(line, "retry") {
				return line
			}
		}
		t.Fatal("the stream ended", lines.Err())
		return ""
	}
	if a, b := next(), next(); a != "event: resync" || b != "data: {}" {
		t.Fatal(a, b)
	}
	op := &arm.Operation{Network: arm.NetworkID{Subscription: "s", Group: "g", Name: "Net-1"}, Kind: arm.KindBackup}
	if err := s.store.StartOperation(t.Context(), op); err != nil {
		t.Fatal(err)
	}
	if got := next(); !strings.Contains(got, `"network":"Net-1"`) {
		t.Error(got)
	}
}

func TestLedgerViews(t *testing.T) {
	s := newService(t, nil)
	cookie := s.signIn()
	text := s.want(http.StatusOK, "GET", "/portal/v1/networks/net-1/ledger?before=41", "", "Cookie", cookie)
	if !strings.Contains(text, `"rows":[{"tx":"2.40",`) || strings.Contains(text, "testdata") {
		t.Error(text[:200])
	}
	if text := s.want(http.StatusOK, "GET", "/portal/v1/networks/net-1/ledger/40", "", "Cookie", cookie); !strings.Contains(text, `"transaction_id":"2.40"`) {
		t.Error(text)
	}
	s.want(http.StatusNotFound, "GET", "/portal/v1/networks/net-1/ledger/99999", "", "Cookie", cookie)
	s.want(http.StatusNotFound, "GET", "/portal/v1/networks/net-1/chunks/README.md", "", "Cookie", cookie)
}
