package portal

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// TestLocal: pages come from here, questions go to the control plane with its own
// cookie and origin, and nobody else's name is answered to.
func TestLocal(t *testing.T) {
	up := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/portal/v1/") {
			t.Errorf("%s was passed on", r.URL.Path)
		}
		if err := sameOrigin(r); err != nil {
			fail(w, err)
			return
		}
		if c, err := r.Cookie(cookieName); r.Method == http.MethodGet && (err != nil || c.Value != "sealed") {
			t.Errorf("cookies %v", r.Header["Cookie"])
		}
		http.SetCookie(w, &http.Cookie{Name: cookieName, Value: "sealed", Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
		_, _ = io.WriteString(w, "answer")
	}))
	defer up.Close()
	upstream, err := url.Parse(up.URL)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(up.Certificate())
	local := httptest.NewUnstartedServer(nil)
	host := local.Listener.Addr().String()
	local.Config.Handler = Local(upstream, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, []string{host}, slog.New(slog.DiscardHandler))
	local.Start()
	defer local.Close()
	do := func(method, path string, header ...string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, local.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			if header[i] == "Host" {
				r.Host = header[i+1]
			}
			r.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	resp := do("POST", "/portal/v1/session", "Origin", local.URL, "Content-Type", "application/json")
	cookie := resp.Header.Get("Set-Cookie")
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(cookie, localCookie+"=sealed;") || strings.Contains(cookie, "Secure") || !strings.Contains(cookie, "SameSite=Strict") {
		t.Errorf("%d, %q", resp.StatusCode, cookie)
	}
	if resp = do("GET", "/portal/v1/summary", "Cookie", "other=1; "+localCookie+"=sealed"); resp.StatusCode != http.StatusOK {
		t.Errorf("%d", resp.StatusCode)
	}
	if resp = do("POST", "/portal/v1/session", "Origin", "https://evil.example", "Content-Type", "application/json"); resp.StatusCode != http.StatusForbidden {
		t.Errorf("another origin: %d", resp.StatusCode)
	}
	if resp = do("GET", "/portal/v1/summary", "Host", "evil.example"); resp.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("another name: %d", resp.StatusCode)
	}
	if resp = do("GET", "/"); resp.StatusCode != http.StatusFound {
		t.Errorf("%d", resp.StatusCode)
	}
	if resp = do("GET", "/portal/networks", "Accept", "text/html"); resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Security-Policy") != contentSecurityPolicy {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	up.Close()
	if resp = do("GET", "/portal/v1/summary"); resp.StatusCode != http.StatusBadGateway {
		t.Errorf("without a control plane: %d", resp.StatusCode)
	}
}
