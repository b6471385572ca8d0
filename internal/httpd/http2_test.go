package httpd

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"synod/app"
)

// client2 is an HTTP/2 client of a listener, over one connection.
func client2(tb testing.TB, l *Listener, cert *tls.Certificate) *http.Client {
	tb.Helper()
	cfg := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}
	if cert != nil {
		cfg.Certificates = []tls.Certificate{*cert}
	}
	transport := &http2.Transport{TLSClientConfig: cfg, DisableCompression: true}
	tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func do(tb testing.TB, c *http.Client, l *Listener, method, path, body string, header ...string) (*http.Response, string) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, "https://"+l.Addr().String()+path, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return resp, string(got)
}

func TestHTTP2(t *testing.T) {
	cert := testCert(t, "client")
	l := start(t, Interface{AppProtocol: HTTP2Protocol}, echo)
	c := client2(t, l, cert)
	for range 3 {
		resp, body := do(t, c, l, "POST", "/a?b", "hello")
		// State is per stream.
		if want := fmt.Sprintf("POST /a?b 0 cert=%d hello", len(cert.Certificate[0])); body != want {
			t.Errorf("got %q, want %q", body, want)
		}
		if resp.ProtoMajor != 2 || resp.Header.Get("date") != "" || resp.ContentLength != int64(len(body)) {
			t.Errorf("got %+v", resp)
		}
	}
	if resp, body := do(t, c, l, "HEAD", "/", ""); body != "" || resp.ContentLength == 0 {
		t.Errorf("HEAD: %q, length %d", body, resp.ContentLength)
	}
	if resp, _ := do(t, c, l, "GET", "/nil", ""); resp.StatusCode != 500 {
		t.Errorf("nil: %d", resp.StatusCode)
	}
	if m := l.Metrics(); m.Active != 1 || m.Peak != 1 {
		t.Errorf("got %+v", m)
	}
	// A closing response ends the session; the client opens another.
	do(t, c, l, "GET", "/close", "")
	eventually(t, "the end of the session", func() bool { return l.Metrics().Active == 0 })
	do(t, c, l, "GET", "/", "")
}

func TestHTTP2Header(t *testing.T) {
	var got app.Header
	l := start(t, Interface{AppProtocol: HTTP2Protocol}, handlerFunc(func(_ context.Context, _ *Session, r *app.Request) *app.Response {
		got = r.Header
		return &app.Response{Status: 200, Header: app.Header{{Name: "x-multi", Value: "a"}, {Name: "connection", Value: "x"}, {Name: "b\r\nc", Value: "d"}}}
	}))
	resp, _ := do(t, client2(t, l, nil), l, "GET", "/", "", "X-Twice", "first", "X-Twice", "second")
	if got.Get("x-twice") != "first" || got.Get("host") != l.Addr().String() {
		t.Errorf("got %v", got)
	}
	if resp.Header.Get("x-multi") != "a" || len(resp.Header) != 2 {
		t.Errorf("got %v", resp.Header)
	}
}

func TestHTTP2TooLarge(t *testing.T) {
	cfg := Interface{AppProtocol: HTTP2Protocol, MaxBody: 1000, MaxHeader: 16 << 10, MaxHeaders: 200}
	l := start(t, cfg, echo)
	headers := func(n int) (h []string) {
		for i := range n {
			h = append(h, fmt.Sprintf("h%d", i), "v")
		}
		return h
	}
	large := func(n int) (h []string) { // n bytes in names and values
		for ; n > 0; n -= 15_000 {
			h = append(h, "x", strings.Repeat("v", max(1, min(n, 15_000)-1)))
		}
		return h
	}
	names := func(n int) string { // n bytes in different names
		var b strings.Builder
		for i := 0; b.Len() < n+i; i++ {
			fmt.Fprintf(&b, "%sx%d,", strings.Repeat("x", 15_000), i)
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	payload := func(e Errors) int64 { return e.RequestPayloadTooLarge }
	header := func(e Errors) int64 { return e.RequestHeaderTooLarge }
	for _, test := range []struct {
		name, body string
		header     []string
		status     int
		code       string
		count      func(Errors) int64
	}{
		{"body", strings.Repeat("x", 1000), nil, 200, "", payload},
		{"larger body", strings.Repeat("x", 1001), nil, 413, "RequestBodyTooLarge", payload},
		{"much larger body", strings.Repeat("x", 1<<20), nil, 413, "RequestBodyTooLarge", payload},
		{"value", "", []string{"x", strings.Repeat("x", 16<<10)}, 200, "", header},
		{"larger value", "", []string{"x", strings.Repeat("x", 16<<10+1)}, 431, "RequestHeaderTooLarge", header},
		{"larger name", "", []string{strings.Repeat("x", 32<<10), "y"}, 431, "RequestHeaderTooLarge", header},
		// Four pseudo-headers and user-agent count.
		{"headers", "", headers(195), 200, "", header},
		{"more headers", "", headers(196), 431, "RequestHeaderTooLarge", header},
		{"head", "", large(headMax - 200), 200, "", header},
		{"larger head", "", large(headMax + 1), 431, "RequestHeaderTooLarge", header},
		{"much larger head", "", large(2*headMax - 8<<10), 431, "RequestHeaderTooLarge", header},
		{"announced trailers", "", []string{"trailer", names(headMax + 1)}, 431, "RequestHeaderTooLarge", header},
	} {
		before := test.count(l.Metrics().Errors)
		method := "POST"
		if test.body == "" {
			method = "GET"
		}
		resp, body := do(t, client2(t, l, nil), l, method, "/", test.body, test.header...)
		if resp.StatusCode != test.status || !strings.Contains(body, test.code) {
			t.Errorf("%s: got %d %s", test.name, resp.StatusCode, body)
		}
		want := int64(0)
		if test.status != 200 {
			want = 1
		}
		if got := test.count(l.Metrics().Errors) - before; got != want {
			t.Errorf("%s: counted %d times", test.name, got)
		}
	}
}

// TestHTTP2BadPreface wants no byte in answer to what is not HTTP/2.
func TestHTTP2BadPreface(t *testing.T) {
	l := start(t, Interface{AppProtocol: HTTP2Protocol}, echo)
	for i, in := range []string{"\x01", "G", "GET / HTTP/1.1\r\nhost: x\r\n\r\n", "PRI * HTTP/1", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"} {
		c := dial(t, l, nil)
		c.send(in)
		c.closed()
		if got := l.Metrics().Errors.Parsing; got != int64(i+1) {
			t.Errorf("%q: %d errors counted, want %d", in, got, i+1)
		}
	}
	// Leaving early is no error.
	c := dial(t, l, nil)
	c.send("PRI")
	c.Close()
	eventually(t, "the end of sessions", func() bool { return l.Metrics().Active == 0 })
	if got := l.Metrics().Errors.Parsing; got != 5 {
		t.Errorf("%d errors", got)
	}
}

func TestHTTP2Caps(t *testing.T) {
	l := start(t, Interface{AppProtocol: HTTP2Protocol, SoftCap: 1, HardCap: 3}, echo)
	served := client2(t, l, nil)
	do(t, served, l, "GET", "/", "")
	resp, body := do(t, client2(t, l, nil), l, "GET", "/", "")
	if resp.StatusCode != 503 || !strings.Contains(body, "SessionCapExhausted") {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
	eventually(t, "the end of the session over the cap", func() bool { return l.Metrics().Active == 1 })
	do(t, served, l, "GET", "/", "")
}

func TestHTTP2Idle(t *testing.T) {
	l := start(t, Interface{AppProtocol: HTTP2Protocol, IdleTimeout: time.Second}, echo)
	c := client2(t, l, nil)
	do(t, c, l, "GET", "/", "")
	waiting := dial(t, l, nil) // sends no preface
	eventually(t, "the end of idle sessions", func() bool { return l.Metrics().Active == 0 })
	waiting.closed()
}

func TestHTTP2Drain(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	l, stop := startUntil(t, Interface{AppProtocol: HTTP2Protocol}, handlerFunc(func(ctx context.Context, s *Session, r *app.Request) *app.Response {
		close(entered)
		<-release
		return echo(ctx, s, r)
	}))
	answered := make(chan string, 1)
	c := client2(t, l, nil)
	go func() {
		defer close(answered) // also if do gives up
		_, body := do(t, c, l, "GET", "/", "")
		answered <- body
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	eventually(t, "draining", l.draining.Load)
	close(release)
	if body := <-answered; body != "GET / 0 cert=0 " {
		t.Errorf("got %q", body)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestHTTP2Unsecured(t *testing.T) {
	l := start(t, Interface{AppProtocol: HTTP2Protocol, Unsecured: true}, echo)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+l.Addr().String()+"/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); string(body) != "GET /x 0 cert=0 " || resp.ProtoMajor != 2 {
		t.Errorf("got %q over HTTP/%d", body, resp.ProtoMajor)
	}
}
