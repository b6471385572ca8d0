package httpd

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"synod/app"
)

const waitMax = 10 * time.Second // for what must happen soon

// handlerFunc is a Handler.
type handlerFunc func(ctx context.Context, s *Session, r *app.Request) *app.Response

func (f handlerFunc) Serve(ctx context.Context, s *Session, r *app.Request) *app.Response {
	return f(ctx, s, r)
}

// echo answers with what it sees; /close asks to close, /nil has no answer.
var echo = handlerFunc(func(_ context.Context, s *Session, r *app.Request) *app.Response {
	if r.Path == "/nil" {
		return nil
	}
	seen, _ := s.State.(int)
	s.State = seen + 1
	body := fmt.Appendf(nil, "%s %s %d cert=%d ", r.Method, r.URL, seen, len(r.ClientCert))
	return &app.Response{
		Status: 200, Header: app.Header{{Name: "content-type", Value: "text/plain"}},
		Body: append(body, r.Body...), Close: r.Path == "/close",
	}
})

func testCert(tb testing.TB, name string) *tls.Certificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		// Long expired: validity is not looked at.
		NotBefore: time.Unix(1, 0), NotAfter: time.Unix(2, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// start serves an interface until the test ends.
func start(tb testing.TB, cfg Interface, h Handler) *Listener {
	tb.Helper()
	l, stop := startUntil(tb, cfg, h)
	tb.Cleanup(func() {
		if err := stop(); err != nil {
			tb.Error(err)
		}
	})
	return l
}

func startUntil(tb testing.TB, cfg Interface, h Handler) (l *Listener, stop func() error) {
	tb.Helper()
	cfg.Name, cfg.BindAddress = "test", "127.0.0.1:0"
	if cfg.GetCertificate == nil && !cfg.Unsecured {
		cert := testCert(tb, "server")
		cfg.GetCertificate = func() *tls.Certificate { return cert }
	}
	l, err := Listen(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Serve(ctx, h) }()
	return l, func() error { cancel(); return <-done }
}

// peer is a client of one connection.
type peer struct {
	net.Conn
	tb testing.TB
}

func dial(tb testing.TB, l *Listener, cfg *tls.Config) *peer {
	tb.Helper()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { raw.Close() })
	raw.SetDeadline(time.Now().Add(waitMax))
	if l.tls == nil {
		return &peer{raw, tb}
	}
	if cfg == nil {
		cfg = &tls.Config{}
	}
	cfg.InsecureSkipVerify = true
	c := tls.Client(raw, cfg)
	if err := c.Handshake(); err != nil {
		tb.Fatalf("handshake: %v", err)
	}
	return &peer{c, tb}
}

func (p *peer) send(s string) {
	p.tb.Helper()
	if _, err := p.Write([]byte(s)); err != nil {
		p.tb.Fatal(err)
	}
}

// response reads one response byte by byte, so as to take no more.
func (p *peer) response() (head, body string) {
	p.tb.Helper()
	var b []byte
	for !strings.HasSuffix(string(b), "\r\n\r\n") {
		b = append(b, p.read(1)...)
	}
	var n int
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "content-length: "); ok {
			fmt.Sscan(v, &n)
		}
	}
	return string(b), string(p.read(n))
}

func (p *peer) read(n int) []byte {
	p.tb.Helper()
	b := make([]byte, n)
	for at := 0; at < n; {
		m, err := p.Read(b[at:])
		if at += m; err != nil && at < n {
			p.tb.Fatalf("read after %q: %v", b[:at], err)
		}
	}
	return b
}

// closed wants a clean end: over TLS that is a close_notify, not only a FIN.
func (p *peer) closed() {
	p.tb.Helper()
	var b [1]byte
	if n, err := p.Read(b[:]); n != 0 || err == nil || err.Error() != "EOF" {
		p.tb.Fatalf("not closed: %d bytes, %v", n, err)
	}
}

func (p *peer) wantGet(path, body string) {
	p.tb.Helper()
	p.send("GET " + path + " HTTP/1.1\r\n\r\n")
	if head, got := p.response(); !strings.HasPrefix(head, "HTTP/1.1 200 OK\r\n") || got != body {
		p.tb.Fatalf("got %s%q, want %q", head, got, body)
	}
}

// eventually polls until ok.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	deadline := time.Now().Add(waitMax)
	for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
		if ok() {
			tick.Stop()
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("%s did not happen", what)
		}
	}
}

func TestSession(t *testing.T) {
	for _, unsecured := range []bool{false, true} {
		t.Run(fmt.Sprintf("unsecured %v", unsecured), func(t *testing.T) {
			l := start(t, Interface{Unsecured: unsecured}, echo)
			c := dial(t, l, nil)
			c.wantGet("/a", "GET /a 0 cert=0 ")
			// Pipelined requests are answered in order; state stays.
			c.send("GET /b HTTP/1.1\r\n\r\nPOST /c HTTP/1.1\r\ncontent-length: 2\r\n\r\nhiHEAD /d HTTP/1.1\r\n\r\n")
			for _, want := range []string{"GET /b 1 cert=0 ", "POST /c 2 cert=0 hi"} {
				if _, body := c.response(); body != want {
					t.Errorf("got %q, want %q", body, want)
				}
			}
			want := "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 17\r\n\r\n"
			if got := string(c.read(len(want))); got != want {
				t.Errorf("HEAD: got %q, want %q", got, want)
			}
			c.wantGet("/e", "GET /e 4 cert=0 ")
		})
	}
}

func TestAnswers(t *testing.T) {
	l := start(t, Interface{}, echo)
	for _, test := range []struct {
		in, head, body string
		closed         bool
	}{
		{"GET /nil HTTP/1.1\r\n\r\n", "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n", "", false},
		{"GET /close HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 20\r\n\r\n", "GET /close 0 cert=0 ", true},
		{"GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 15\r\n\r\n", "GET / 0 cert=0 ", true},
		{"GET / HTTP/1.1\r\nconnection: close\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: 15\r\n\r\n", "GET / 0 cert=0 ", true},
		{"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: keep-alive\r\ncontent-length: 15\r\n\r\n", "GET / 0 cert=0 ", false},
		{"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 15\r\n\r\n", "GET / 0 cert=0 ", false},
	} {
		c := dial(t, l, nil)
		c.send(test.in)
		if head, body := c.response(); head != test.head || body != test.body {
			t.Errorf("%q: got %q %q", test.in, head, body)
		}
		if test.closed {
			c.closed()
		} else {
			c.wantGet("/again", "GET /again "+again(test.in)+" cert=0 ")
		}
	}
}

func again(in string) string {
	if strings.Contains(in, "/nil") {
		return "0"
	}
	return "1"
}

// TestIllegal is CCF's test_illegal (CCF: tests/e2e_logging.py) on this
// listener: the answer comes at once, shows what was sent, and is counted once.
func TestIllegal(t *testing.T) {
	l := start(t, Interface{}, echo)
	contents := []string{
		"\x01", "\x01\x02\x03\x04", "NOTAVERB ", "POST / HTTP/42.42", `{"hello": "world"}`, "\x00A", "\x80",
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
	}
	good := "GET /node/state HTTP/1.1\r\n\r\n"
	for i := range len(good) - 1 {
		for _, c := range []byte{0, 1, good[i] + 128} {
			contents = append(contents, good[:i]+string([]byte{c})+good[i+1:])
		}
	}
	for _, content := range contents {
		before := l.Metrics().Errors.Parsing
		c := dial(t, l, nil)
		c.send(content)
		head, body := c.response()
		if strings.HasPrefix(head, "HTTP/1.1 200 OK\r\n") {
			if before != l.Metrics().Errors.Parsing {
				t.Errorf("%q: counted", content)
			}
			continue // a high byte in the target
		}
		if !strings.HasPrefix(head, "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\n") ||
			!strings.HasPrefix(body, "Unable to parse data as a HTTP request.") || !strings.HasSuffix(body, content) {
			t.Errorf("%q: got %s%q", content, head, body)
		}
		if got := l.Metrics().Errors.Parsing - before; got != 1 {
			t.Errorf("%q: counted %d times", content, got)
		}
		c.closed()
		c.Close()
	}
}

func TestTooLarge(t *testing.T) {
	l := start(t, Interface{MaxBody: 1 << 20}, echo)
	for _, test := range []struct {
		in, status, code string
		count            func(Errors) int64
	}{
		// All of it is sent, so that closing early could destroy the answer.
		{"POST / HTTP/1.1\r\ncontent-length: 2097152\r\n\r\n" + strings.Repeat("x", 2<<20), "413", "RequestBodyTooLarge", func(e Errors) int64 { return e.RequestPayloadTooLarge }},
		{"GET / HTTP/1.1\r\nx: " + strings.Repeat("x", 320<<10) + "\r\n\r\n", "431", "RequestHeaderTooLarge", func(e Errors) int64 { return e.RequestHeaderTooLarge }},
		{"GET / HTTP/1.1\r\n" + strings.Repeat("x: "+strings.Repeat("y", 16000)+"\r\n", 70) + "\r\n", "431", "RequestHeaderTooLarge", func(e Errors) int64 { return e.RequestHeaderTooLarge }},
		{"GET / HTTP/1.1\r\n" + strings.Repeat("x: y\r\n", 5120) + "\r\n", "431", "RequestHeaderTooLarge", func(e Errors) int64 { return e.RequestHeaderTooLarge }},
	} {
		before := test.count(l.Metrics().Errors)
		c := dial(t, l, nil)
		c.send(test.in)
		head, body := c.response()
		if !strings.HasPrefix(head, "HTTP/1.1 "+test.status+" ") || !strings.Contains(body, `{"error":{"code":"`+test.code+`"`) {
			t.Errorf("got %s%s", head, body)
		}
		if got := test.count(l.Metrics().Errors) - before; got != 1 {
			t.Errorf("%s: counted %d times", test.code, got)
		}
		c.closed()
	}
}

func TestLargeBodies(t *testing.T) {
	l := start(t, Interface{MaxBody: 4 << 20}, echo)
	c := dial(t, l, nil)
	body := strings.Repeat("0123456789abcdef", 3<<16)
	for i := range 3 {
		go c.send(fmt.Sprintf("PUT / HTTP/1.1\r\ncontent-length: %d\r\n\r\n%s", len(body), body))
		if _, got := c.response(); got != fmt.Sprintf("PUT / %d cert=0 %s", i, body) {
			t.Fatalf("got %d bytes", len(got))
		}
	}
}

// TestClientCertificate wants each session to carry the certificate of its own
// handshake, also from a client that would resume.
func TestClientCertificate(t *testing.T) {
	l := start(t, Interface{}, echo)
	cache := tls.NewLRUClientSessionCache(10)
	for i, name := range []string{"alice", "", "robert-with-a-longer-name"} {
		cfg := &tls.Config{ClientSessionCache: cache, ServerName: "same"}
		want := 0
		if name != "" {
			cert := testCert(t, name)
			cfg.Certificates = []tls.Certificate{*cert}
			want = len(cert.Certificate[0])
		}
		c := dial(t, l, cfg)
		c.wantGet("/", fmt.Sprintf("GET / 0 cert=%d ", want))
		if c.Conn.(*tls.Conn).ConnectionState().DidResume {
			t.Errorf("session %d was resumed", i)
		}
	}
}

func TestTLS(t *testing.T) {
	h1 := start(t, Interface{}, echo)
	h2 := start(t, Interface{AppProtocol: HTTP2Protocol}, echo)
	for _, test := range []struct {
		l      *Listener
		offers []string
		want   string
	}{
		{h1, nil, ""},
		{h1, []string{"http/1.1"}, "http/1.1"},
		{h1, []string{"h2", "http/1.1"}, "http/1.1"},
		{h1, []string{"h2"}, ""},
		{h1, []string{"unheard-of"}, ""},
		{h2, []string{"h2", "http/1.1"}, "h2"},
		{h2, []string{"http/1.1"}, ""},
		{h2, nil, ""},
	} {
		c := dial(t, test.l, &tls.Config{NextProtos: test.offers})
		if got := c.Conn.(*tls.Conn).ConnectionState().NegotiatedProtocol; got != test.want {
			t.Errorf("offered %q: got %q, want %q", test.offers, got, test.want)
		}
	}
	for _, curve := range []tls.CurveID{tls.CurveP256, tls.CurveP384, tls.CurveP521} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			c := dial(t, h1, &tls.Config{CurvePreferences: []tls.CurveID{curve}, MaxVersion: version})
			if got := c.Conn.(*tls.Conn).ConnectionState(); got.CurveID != curve || got.Version != version {
				t.Errorf("got curve %v, version %x", got.CurveID, got.Version)
			}
		}
	}
	for _, cfg := range []*tls.Config{
		{CurvePreferences: []tls.CurveID{tls.X25519}, InsecureSkipVerify: true},
		{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11, InsecureSkipVerify: true},
	} {
		d := tls.Dialer{Config: cfg}
		if c, err := d.DialContext(t.Context(), "tcp", h1.Addr().String()); err == nil {
			c.Close()
			t.Errorf("handshake with %+v succeeded", cfg)
		}
	}
}

func TestCertificateLive(t *testing.T) {
	var current atomic.Pointer[tls.Certificate]
	l := start(t, Interface{GetCertificate: current.Load}, echo)
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(waitMax))
	if n, err := raw.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Fatalf("without a certificate: %d bytes, %v", n, err)
	}
	if m := l.Metrics(); m.Active != 0 || m.Peak != 0 {
		t.Errorf("a refused session counts: %+v", m)
	}
	first, second := testCert(t, "first"), testCert(t, "second")
	current.Store(first)
	old := dial(t, l, nil)
	current.Store(second)
	for c, want := range map[*peer]string{old: "first", dial(t, l, nil): "second"} {
		c.wantGet("/", "GET / 0 cert=0 ")
		if got := c.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestCaps(t *testing.T) {
	l := start(t, Interface{SoftCap: 2, HardCap: 4}, echo)
	served := []*peer{dial(t, l, nil), dial(t, l, nil)}
	for _, c := range served {
		c.wantGet("/", "GET / 0 cert=0 ")
	}
	over := []*peer{dial(t, l, nil), dial(t, l, nil)}
	if m := l.Metrics(); m.Active != 4 || m.Peak != 4 || m.SoftCap != 2 || m.HardCap != 4 {
		t.Errorf("got %+v", m)
	}
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(waitMax))
	if n, err := raw.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("over the hard cap: %d bytes, %v", n, err)
	}
	for i, c := range over {
		c.send("G")
		head, body := c.response()
		if !strings.HasPrefix(head, "HTTP/1.1 503 ") || !strings.Contains(body, `"code":"SessionCapExhausted"`) {
			t.Errorf("got %s%s", head, body)
		}
		// It no longer counts although the client has not closed it.
		if m := l.Metrics(); m.Active != int64(3-i) {
			t.Errorf("%d sessions open", m.Active)
		}
		c.closed()
	}
	for _, c := range served {
		c.wantGet("/", "GET / 1 cert=0 ")
		c.Close()
	}
	eventually(t, "the end of sessions", func() bool { return l.Metrics().Active == 0 })
	if m := l.Metrics(); m.Peak != 4 {
		t.Errorf("got %+v", m)
	}
}

func TestIdle(t *testing.T) {
	const timeout = time.Second
	release := make(chan struct{})
	l := start(t, Interface{IdleTimeout: timeout}, handlerFunc(func(ctx context.Context, s *Session, r *app.Request) *app.Response {
		if r.Path == "/slow" {
			<-release
		}
		return echo(ctx, s, r)
	}))
	began := time.Now()
	idle, slow, partial := dial(t, l, nil), dial(t, l, nil), dial(t, l, nil)
	silent, err := net.Dial("tcp", l.Addr().String()) // never shakes hands
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	silent.SetDeadline(time.Now().Add(waitMax))
	idle.wantGet("/", "GET / 0 cert=0 ")
	slow.send("GET /slow HTTP/1.1\r\n\r\n")
	partial.send("GET /")
	idle.closed()
	if passed := time.Since(began); passed < timeout {
		t.Errorf("closed after %v", passed)
	}
	partial.closed()
	if n, err := silent.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("without a handshake: %d bytes, %v", n, err)
	}
	eventually(t, "the end of the idle", func() bool { return l.Metrics().Active == 1 })
	close(release)
	if _, body := slow.response(); body != "GET /slow 0 cert=0 " {
		t.Errorf("got %q", body)
	}
}

func TestDrain(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	var began time.Time
	l, stop := startUntil(t, Interface{}, handlerFunc(func(ctx context.Context, s *Session, r *app.Request) *app.Response {
		if r.Path == "/slow" {
			close(entered)
			<-release
			if ended, passed := ctx.Err() != nil, time.Since(began); ended && passed < graceMax {
				t.Errorf("the context of a request under way ended after %v", passed)
			}
		}
		return echo(ctx, s, r)
	}))
	waiting, slow := dial(t, l, nil), dial(t, l, nil)
	waiting.wantGet("/", "GET / 0 cert=0 ")
	slow.send("GET /slow HTTP/1.1\r\n\r\n")
	<-entered
	stopped := make(chan error, 1)
	began = time.Now()
	go func() { stopped <- stop() }()
	waiting.closed()
	close(release)
	if _, body := slow.response(); body != "GET /slow 0 cert=0 " {
		t.Errorf("got %q", body)
	}
	slow.closed()
	slow.Close()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
		c.Close()
		t.Error("still listening")
	}
}

// TestDrainAnswersWaiting wants a request that waits until its context ends to
// be answered, although the listener is shut down under it, and idle sessions
// to end before that.
func TestDrainAnswersWaiting(t *testing.T) {
	waits := func(entered chan<- struct{}, idle <-chan struct{}) Handler {
		return handlerFunc(func(ctx context.Context, s *Session, r *app.Request) *app.Response {
			if r.Path == "/wait" {
				close(entered)
				<-ctx.Done()
				<-idle
			}
			return echo(ctx, s, r)
		})
	}
	t.Run("HTTP1", func(t *testing.T) {
		entered, idleEnded := make(chan struct{}), make(chan struct{})
		l, stop := startUntil(t, Interface{}, waits(entered, idleEnded))
		idle, c := dial(t, l, nil), dial(t, l, nil)
		idle.wantGet("/", "GET / 0 cert=0 ")
		c.send("GET /wait HTTP/1.1\r\n\r\n")
		<-entered
		stopped := make(chan error, 1)
		go func() { stopped <- stop() }()
		idle.closed()
		close(idleEnded)
		if _, body := c.response(); body != "GET /wait 0 cert=0 " {
			t.Errorf("got %q", body)
		}
		c.closed()
		c.Close()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
	t.Run("HTTP2", func(t *testing.T) {
		entered, idleEnded := make(chan struct{}), make(chan struct{})
		close(idleEnded)
		l, stop := startUntil(t, Interface{AppProtocol: HTTP2Protocol}, waits(entered, idleEnded))
		stopped := make(chan error, 1)
		go func() {
			<-entered
			stopped <- stop()
		}()
		if _, body := do(t, client2(t, l, nil), l, "GET", "/wait", ""); body != "GET /wait 0 cert=0 " {
			t.Errorf("got %q", body)
		}
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}

// TestDrainBounded wants the connection of a request to be closed that goes on
// after its context has ended, and Serve to say so if even that does not help.
func TestDrainBounded(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	l, stop := startUntil(t, Interface{}, handlerFunc(func(context.Context, *Session, *app.Request) *app.Response {
		close(entered)
		<-release
		return nil
	}))
	c := dial(t, l, nil)
	c.send("GET / HTTP/1.1\r\n\r\n")
	<-entered
	began := time.Now()
	if err := stop(); err == nil {
		t.Error("no error although a request is still being served")
	}
	if passed := time.Since(began); passed < drainMax {
		t.Errorf("gave up after %v", passed)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the connection is open: %d bytes, %v", n, err)
	}
}

func TestListenRefuses(t *testing.T) {
	for _, cfg := range []Interface{
		{BindAddress: "127.0.0.1:0", Unsecured: true, AppProtocol: "HTTP3"},
		{BindAddress: "127.0.0.1:0"},
		{BindAddress: "nowhere", Unsecured: true},
	} {
		if l, err := Listen(cfg); err == nil {
			l.Close()
			t.Errorf("%+v: no error", cfg)
		}
	}
}

// TestNetHTTPClient uses a client that people have.
func TestNetHTTPClient(t *testing.T) {
	l := start(t, Interface{}, echo)
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: false,
	}}
	defer client.CloseIdleConnections()
	for i := range 3 {
		// A body of unknown length is sent in chunks.
		req, err := http.NewRequestWithContext(t.Context(), "POST", "https://"+l.Addr().String()+"/a?b", struct{ *strings.Reader }{strings.NewReader("hello")})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body := make([]byte, 100)
		n, _ := resp.Body.Read(body)
		resp.Body.Close()
		if want := fmt.Sprintf("POST /a?b %d cert=0 hello", i); string(body[:n]) != want {
			t.Errorf("got %q, want %q", body[:n], want)
		}
	}
}

// TestIdleWriter wants a session to end whose client reads nothing.
func TestIdleWriter(t *testing.T) {
	l := start(t, Interface{IdleTimeout: 100 * time.Millisecond}, handlerFunc(func(context.Context, *Session, *app.Request) *app.Response {
		return &app.Response{Status: 200, Body: make([]byte, 64<<20)}
	}))
	c := dial(t, l, nil)
	c.send("GET / HTTP/1.1\r\n\r\n")
	eventually(t, "the end of the session", func() bool { return l.Metrics().Active == 0 })
}

func TestClose(t *testing.T) {
	l, err := Listen(Interface{BindAddress: "127.0.0.1:0", Unsecured: true})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := l.Serve(t.Context(), echo); err != nil {
		t.Error(err)
	}
}
