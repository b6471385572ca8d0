package client

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"synod"
	"synod/internal/identity"
)

// service is a service's identity that can make nodes.
type service struct {
	t    *testing.T
	cert string
	node func() tls.Certificate
}

func newService(t *testing.T) *service {
	t.Helper()
	now := time.Now().Add(-time.Minute)
	key, err := identity.NewKey(identity.Secp384r1)
	if err != nil {
		t.Fatal(err)
	}
	der, err := identity.SelfSigned(key, identity.SelfSignedRequest{Subject: "CN=CCF Service", NotBefore: now, Days: 1})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := identity.ParseCertPEM([]byte(identity.CertPEM(der)))
	if err != nil {
		t.Fatal(err)
	}
	return &service{t: t, cert: identity.CertPEM(der), node: func() tls.Certificate {
		nodeKey, err := identity.NewKey(identity.Secp384r1)
		if err != nil {
			t.Fatal(err)
		}
		csr, err := identity.NewCSR(nodeKey, "CN=CCF Node", []string{"iPAddress:127.0.0.1"})
		if err != nil {
			t.Fatal(err)
		}
		nodePEM, err := identity.Endorse(csr, key, cert, now, 1)
		if err != nil {
			t.Fatal(err)
		}
		keyPEM, err := identity.KeyPEM(nodeKey)
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair([]byte(nodePEM), []byte(keyPEM))
		if err != nil {
			t.Fatal(err)
		}
		return pair
	}}
}

// serve starts a node of the service with the given behaviour.
func (s *service) serve(h http.HandlerFunc) *httptest.Server {
	s.t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{s.node()}, ClientAuth: tls.RequestClientCert}
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are the point
	srv.StartTLS()
	s.t.Cleanup(srv.Close)
	return srv
}

func (s *service) dial(url string, opts ...Option) *Client {
	s.t.Helper()
	c, err := Dial(url, append([]Option{WithServiceCertificate([]byte(s.cert))}, opts...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

func TestOnlyTheServiceIsTrusted(t *testing.T) {
	svc, other := newService(t), newService(t)
	srv := svc.serve(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `"ok"`) })
	var out string
	if _, err := svc.dial(srv.URL).Get(t.Context(), "/app/x", &out); err != nil || out != "ok" {
		t.Errorf("own service: %q, %v", out, err)
	}
	if _, err := other.dial(srv.URL).Get(t.Context(), "/app/x", &out); err == nil {
		t.Error("a node of another service was believed")
	}
	// The certificate names 127.0.0.1 and no other host.
	if _, err := svc.dial(strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)).Get(t.Context(), "/app/x", &out); err == nil {
		t.Error("a node was believed under another name than in its certificate")
	}
}

func TestDialRefuses(t *testing.T) {
	cert := WithServiceCertificate([]byte(newService(t).cert))
	for name, tt := range map[string]struct {
		url  string
		opts []Option
		want error
	}{
		"plain HTTP":      {"http://127.0.0.1:1", []Option{cert}, ErrNotSecure},
		"no scheme":       {"127.0.0.1:8000", []Option{cert}, nil},
		"no host":         {"https://", []Option{cert}, ErrNotSecure},
		"a path":          {"https://h:1/app", []Option{cert}, nil},
		"a password":      {"https://u:p@h:1", []Option{cert}, nil},
		"no certificate":  {"https://h:1", nil, ErrNoServiceCertificate},
		"bad certificate": {"https://h:1", []Option{WithServiceCertificate([]byte("x"))}, nil},
		"bad identity":    {"https://h:1", []Option{cert, WithClientCertificate(nil, nil)}, nil},
		"bad timeout":     {"https://h:1", []Option{cert, WithTimeout(0)}, nil},
		"bad retries":     {"https://h:1", []Option{cert, WithRetries(-1)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Dial(tt.url, tt.opts...); err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func TestErrorsAreTyped(t *testing.T) {
	svc := newService(t)
	srv := svc.serve(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/app/json":
			w.WriteHeader(403)
			io.WriteString(w, `{"error":{"code":"AuthorizationFailed","message":"no","details":[{"code":"c","message":"m","auth_policy":"p"}]}}`)
		case "/app/text":
			w.WriteHeader(502)
			io.WriteString(w, strings.Repeat("x", 1000))
		case "/app/empty":
			w.WriteHeader(503)
		}
	})
	c := svc.dial(srv.URL)
	for path, want := range map[string]*synod.Error{
		"/app/json": {
			Status: 403, Code: "AuthorizationFailed", Message: "no",
			Details: []synod.ErrorDetail{{AuthPolicy: "p", Code: "c", Message: "m"}},
		},
		"/app/text":  {Status: 502, Code: "HTTP 502", Message: strings.Repeat("x", 200)},
		"/app/empty": {Status: 503, Code: "HTTP 503", Message: "Service Unavailable"},
	} {
		resp, err := c.Get(t.Context(), path, nil)
		var got *synod.Error
		if !errors.As(err, &got) || resp == nil {
			t.Fatalf("%s: %v", path, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
	if _, err := c.Get(t.Context(), "//elsewhere/x", nil); err == nil {
		t.Error("a path went to another host")
	}
}

func TestPostIsSentAgainOnlyAfter503WithRetryAfter(t *testing.T) {
	svc := newService(t)
	for name, tt := range map[string]struct {
		status     int
		retryAfter string
		want       int32 // requests
	}{
		"nothing was done":    {503, "0", 3},
		"503 without a time":  {503, "", 1},
		"an error":            {500, "0", 1},
		"an unreadable time":  {503, "soon", 1},
		"a result":            {200, "0", 1},
		"a negative interval": {503, "-1", 1},
	} {
		t.Run(name, func(t *testing.T) {
			var count atomic.Int32
			srv := svc.serve(func(w http.ResponseWriter, r *http.Request) {
				count.Add(1)
				if body, _ := io.ReadAll(r.Body); string(body) != `{"a":1}` {
					t.Errorf("body is %q", body)
				}
				if tt.retryAfter != "" {
					w.Header().Set("retry-after", tt.retryAfter)
				}
				w.WriteHeader(tt.status)
			})
			_, err := svc.dial(srv.URL, WithRetries(2)).Post(t.Context(), "/app/x", map[string]int{"a": 1}, nil)
			if (err != nil) != (tt.status >= 400) || count.Load() != tt.want {
				t.Errorf("%d requests, want %d; error %v", count.Load(), tt.want, err)
			}
		})
	}
}

func TestRetryEndsWithTheContext(t *testing.T) {
	svc := newService(t)
	srv := svc.serve(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("retry-after", "9999999999")
		w.WriteHeader(503)
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := svc.dial(srv.URL).Get(ctx, "/app/x", nil)
	var refused *synod.Error
	if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &refused) {
		t.Errorf("error is %v", err)
	}
}

func TestRedirectsKeepMethodAndBody(t *testing.T) {
	svc, stranger := newService(t), newService(t)
	for _, status := range []int{307, 308} {
		primary := svc.serve(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("x-ms-ccf-transaction-id", "2.7")
			json.NewEncoder(w).Encode(r.Method + " " + r.URL.RequestURI() + " " + string(body))
		})
		backup := svc.serve(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("location", primary.URL+r.URL.RequestURI())
			w.WriteHeader(status)
		})
		var out string
		resp, err := svc.dial(backup.URL).Post(t.Context(), "/app/x?y=1", 5, &out)
		if err != nil || out != "POST /app/x?y=1 5" || resp.TxID != (synod.TxID{View: 2, SeqNo: 7}) {
			t.Errorf("%d: %q, %v, %v", status, out, resp, err)
		}
	}
	t.Run("to a stranger", func(t *testing.T) {
		var reached atomic.Bool
		evil := stranger.serve(func(http.ResponseWriter, *http.Request) { reached.Store(true) })
		backup := svc.serve(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("location", evil.URL)
			w.WriteHeader(307)
		})
		if _, err := svc.dial(backup.URL).Post(t.Context(), "/app/x", 1, nil); err == nil || reached.Load() {
			t.Error("a stranger was sent the request")
		}
	})
	t.Run("to plain HTTP", func(t *testing.T) {
		backup := svc.serve(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("location", "http://127.0.0.1:1/")
			w.WriteHeader(307)
		})
		if _, err := svc.dial(backup.URL).Get(t.Context(), "/app/x", nil); !errors.Is(err, ErrNotSecure) {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("for ever", func(t *testing.T) {
		var count atomic.Int32
		loop := svc.serve(func(w http.ResponseWriter, _ *http.Request) {
			count.Add(1)
			w.Header().Set("location", "/app/y")
			w.WriteHeader(308)
		})
		if _, err := svc.dial(loop.URL).Get(t.Context(), "/app/x", nil); !errors.Is(err, ErrTooManyRedirects) || count.Load() != redirectsMax+1 {
			t.Errorf("error is %v after %d requests", err, count.Load())
		}
	})
}

func TestWaitCommitted(t *testing.T) {
	svc := newService(t)
	for name, tt := range map[string]struct {
		answers []string
		want    error
	}{
		"committed after a while": {[]string{"Unknown", "Pending", "Pending", "Committed"}, nil},
		"invalid":                 {[]string{"Pending", "Invalid"}, ErrInvalid},
		"over a change of view":   {[]string{"Pending", "", "", "Committed"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var i atomic.Int32
			srv := svc.serve(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/app/tx" {
					w.WriteHeader(404) // as before the service is open
					io.WriteString(w, `{"error":{"code":"FrontendNotOpen","message":"Frontend is not open."}}`)
					return
				}
				if r.URL.RequestURI() != "/node/tx?transaction_id=2.9" {
					t.Errorf("asked for %s", r.URL.RequestURI())
				}
				status := tt.answers[i.Add(1)-1]
				if status == "" {
					w.Header().Set("connection", "close")
					w.WriteHeader(500)
					io.WriteString(w, `{"error":{"code":"SessionConsistencyLost","message":"Started in view 2, now in view 3."}}`)
					return
				}
				json.NewEncoder(w).Encode(map[string]string{"status": status})
			})
			err := svc.dial(srv.URL).WaitCommitted(t.Context(), synod.TxID{View: 2, SeqNo: 9})
			if !errors.Is(err, tt.want) || int(i.Load()) != len(tt.answers) {
				t.Errorf("error is %v after %d questions", err, i.Load())
			}
		})
	}
}

func TestWaitHeaders(t *testing.T) {
	svc := newService(t)
	srv := svc.serve(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("x-synod-wait") != "receipt" {
			t.Errorf("x-synod-wait is %q", r.Header.Get("x-synod-wait"))
		}
		w.Header().Set("x-ms-ccf-transaction-id", "2.9")
		w.Header().Set("x-synod-status", "Committed")
		w.Header().Set("x-synod-receipt", `{"a":1}`)
		w.WriteHeader(204)
	})
	resp, err := svc.dial(srv.URL).Do(t.Context(), Request{Method: "PUT", Path: "/app/x", Wait: WaitReceipt})
	if err != nil || resp.TxStatus != synod.TxCommitted || string(resp.Receipt) != `{"a":1}` {
		t.Errorf("%+v, %v", resp, err)
	}
}
