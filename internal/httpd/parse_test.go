package httpd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"synod/app"
)

// pieces is a connection that delivers bytes, at most step at a time.
type pieces struct {
	net.Conn
	data []byte
	step int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.step)], p.data)
	p.data = p.data[n:]
	return n, nil
}

// outcome is what became of a stream of bytes.
type outcome struct {
	Requests []app.Request
	Ends     []int  // offset after each request
	Fault    string // kind and reason
	At       int    // of the fault, in what was echoed
	Echo     string
	Partial  bool // more bytes would be needed to tell
	BufMax   int
}

func parseBytes(data []byte, step int, cfg Interface) outcome {
	conn := &pieces{data: data, step: step}
	l := &Listener{cfg: cfg.withDefaults(), started: time.Now()}
	s := newHTTP1(newTestConn(l, conn))
	var out outcome
	for {
		req, f, err := s.next()
		out.BufMax = max(out.BufMax, len(s.buf))
		switch {
		case err != nil:
			out.Partial = s.w > s.r || errors.Is(err, io.ErrUnexpectedEOF)
			return out
		case f != nil:
			out.Fault, out.At = fmt.Sprintf("%d %s", f.kind, f.reason), f.at
			out.Echo = string(s.buf[s.r:s.w])
			return out
		}
		out.Requests = append(out.Requests, *req)
		out.Ends = append(out.Ends, len(data)-len(conn.data)-(s.w-s.r))
		if s.head.closes() {
			return out
		}
		s.finished()
	}
}

func TestParse(t *testing.T) {
	head := func(h ...string) (header app.Header) {
		for i := 0; i < len(h); i += 2 {
			header = append(header, app.Field{Name: h[i], Value: h[i+1]})
		}
		return header
	}
	for _, test := range []struct {
		name, in string
		want     app.Request
	}{
		{"no host", "GET /node/state HTTP/1.1\r\n\r\n", app.Request{Method: "GET", URL: "/node/state", Path: "/node/state"}},
		{"query and fragment", "GET /a%20b?x=1&y#z?q HTTP/1.1\r\n\r\n", app.Request{Method: "GET", URL: "/a%20b?x=1&y", Path: "/a%20b", Query: "x=1&y"}},
		{"version 2.0", "POST /node/\xff HTTP/2.0\r\n\r\n", app.Request{Method: "POST", URL: "/node/\xff", Path: "/node/\xff"}},
		{"version 1.0", "PUT / HTTP/1.0\r\n\r\n", app.Request{Method: "PUT", URL: "/", Path: "/"}},
		{"absolute target", "GET https://h:1/a?b HTTP/1.1\r\n\r\n", app.Request{Method: "GET", URL: "/a?b", Path: "/a", Query: "b"}},
		{"absolute target without path", "GET http://h?b HTTP/1.1\r\n\r\n", app.Request{Method: "GET", URL: "/?b", Path: "/", Query: "b"}},
		{"authority target", "CONNECT h:1 HTTP/1.1\r\n\r\n", app.Request{Method: "CONNECT", URL: "h:1", Path: "h:1"}},
		{"asterisk target", "OPTIONS * HTTP/1.1\r\n\r\n", app.Request{Method: "OPTIONS", URL: "*", Path: "*"}},
		{"unusual methods", "M-SEARCH / HTTP/1.1\r\n\r\n", app.Request{Method: "M-SEARCH", URL: "/", Path: "/"}},
		{"empty lines first", "\r\n\r\nGET / HTTP/1.1\r\n\r\n", app.Request{Method: "GET", URL: "/", Path: "/"}},
		{
			"names, spaces, repeats, empty values",
			"GET / HTTP/1.1\r\nHost: h\r\nX-AbC: \t one two \t\r\nx-abc: 2\r\nEmpty:\r\nBlank:  \r\nHigh: \xc3\xa9\r\n\r\n",
			app.Request{Method: "GET", URL: "/", Path: "/", Header: head("host", "h", "x-abc", "one two", "empty", "", "blank", "", "high", "\xc3\xa9")},
		},
		{
			"upgrade", "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
			app.Request{Method: "GET", URL: "/", Path: "/", Header: head("upgrade", "websocket", "connection", "Upgrade")},
		},
		{
			"body", "GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
			app.Request{Method: "GET", URL: "/", Path: "/", Header: head("content-length", "5"), Body: []byte("hello")},
		},
		{
			"chunks", "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n05;a=\"b\"\r\nhello\r\n1\r\n!\r\n000\r\nTrailer: x\r\n\r\n",
			app.Request{Method: "POST", URL: "/", Path: "/", Header: head("transfer-encoding", "Chunked"), Body: []byte("hello!")},
		},
		{
			"no chunks", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			app.Request{Method: "POST", URL: "/", Path: "/", Header: head("transfer-encoding", "chunked")},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			// Twice, as a client that pipelines.
			in := test.in + test.in
			for _, step := range []int{1, 2, 7, len(in)} {
				got := parseBytes([]byte(in), step, Interface{})
				if got.Fault != "" || got.Partial {
					t.Fatalf("step %d: refused: %+v", step, got)
				}
				for i, r := range got.Requests {
					if len(r.Header) == 0 {
						r.Header = nil
					}
					if diff := cmp.Diff(test.want, r); diff != "" {
						t.Errorf("step %d, request %d: %s", step, i, diff)
					}
				}
				wanted := 2
				if strings.Contains(in, "HTTP/1.0") {
					wanted = 1 // it closes
				}
				if len(got.Requests) != wanted {
					t.Errorf("step %d: %d requests", step, len(got.Requests))
				}
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	const get, post = "GET / HTTP/1.1\r\n", "POST / HTTP/1.1\r\n"
	for _, test := range []struct {
		name, in string
		at       int // of the first bad byte
	}{
		{"control byte", "\x01", 0},
		{"control bytes", "\x01\x02\x03\x04", 0},
		{"unknown method", "NOTAVERB ", 3},
		{"method cut short", "GE / ", 2},
		{"lower-case method", "get / ", 0},
		{"JSON", `{"hello": "world"}`, 0},
		{"version", "POST / HTTP/42.42", 12},
		{"version 1.2", "GET / HTTP/1.2", 13},
		{"version 2.1", "GET / HTTP/2.1", 13},
		{"HTTP/0.9", "GET /\r\n", 5},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 2},
		{"TLS", "\x16\x03\x01", 0},
		{"bare CR first", "\rGET / HTTP/1.1\r\n\r\n", 1},
		{"bare LF first", "\nGET / HTTP/1.1\r\n\r\n", 0},
		{"two spaces", "GET  / HTTP/1.1", 4},
		{"space in the target", "GET /a b HTTP/1.1", 7},
		{"NUL in the target", "GET /\x00", 5},
		{"DEL in the target", "GET /\x7f", 5},
		{"relative target", "GET a/b HTTP/1.1", 5},
		{"target without slash", "GET \xafnode HTTP/1.1", 4},
		{"bad scheme", "GET http:x", 9},
		{"space after the version", "GET / HTTP/1.1 \r\n", 14},
		{"bare LF after the version", "GET / HTTP/1.1\n", 14},
		{"bare CR after the version", "GET / HTTP/1.1\rX", 15},
		{"space before the first header", get + " a: b\r\n", len(get)},
		{"folded line", get + "a: b\r\n c\r\n\r\n", len(get) + 6},
		{"space before the colon", get + "a : b\r\n", len(get) + 1},
		{"tab before the colon", get + "a\t: b\r\n", len(get) + 1},
		{"no colon", get + "a\r\n", len(get) + 1},
		{"empty name", get + ": b\r\n", len(get)},
		{"high byte in a name", get + "\xe1: b\r\n", len(get)},
		{"NUL in a value", get + "a: \x00", len(get) + 3},
		{"control byte in a value", get + "a: b\x01", len(get) + 4},
		{"DEL in a value", get + "a: b\x7f", len(get) + 4},
		{"bare LF after a value", get + "a: b\nc: d", len(get) + 4},
		{"bare CR in a value", get + "a: b\rc", len(get) + 5},
		{"bare LF as last line", get + "a: b\r\n\n", len(get) + 6},
		{"bare CR as last line", get + "a: b\r\n\rX", len(get) + 7},
		{"empty content-length", post + "Content-Length: \r\n", len(post) + 17},
		{"signed content-length", post + "Content-Length: +5\r\n", len(post) + 19},
		{"list of content-lengths", post + "Content-Length: 5, 5\r\n", len(post) + 21},
		{"hexadecimal content-length", post + "Content-Length: 0x5\r\n", len(post) + 20},
		{"huge content-length", post + "Content-Length: 99999999999999999999\r\n", len(post) + 37},
		{"two content-lengths", post + "Content-Length: 5\r\nContent-Length: 6\r\n", len(post) + 37},
		{"the same content-length twice", post + "Content-Length: 5\r\ncontent-length: 5\r\n", len(post) + 37},
		{"length and encoding", post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", len(post) + 46},
		{"encoding and length", post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", len(post) + 46},
		{"unknown encoding", post + "Transfer-Encoding: gzip\r\n", len(post) + 24},
		{"two encodings", post + "Transfer-Encoding: gzip, chunked\r\n", len(post) + 33},
		{"chunked twice", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", len(post) + 55},
		{"quoted encoding", post + "Transfer-Encoding: \"chunked\"\r\n", len(post) + 29},
		{"vertical tab in the encoding", post + "Transfer-Encoding: \vchunked\r\n", len(post) + 19},
		{"chunks in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 46},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, step := range []int{1, len(test.in)} {
				got := parseBytes([]byte(test.in), step, Interface{})
				if !strings.HasPrefix(got.Fault, "0 ") || len(got.Requests) > 0 {
					t.Fatalf("step %d: not refused as malformed: %+v", step, got)
				}
				if got.At != test.at {
					t.Errorf("step %d: refused at byte %d (%s), want %d", step, got.At, got.Fault, test.at)
				}
				if want := test.in[:min(len(test.in), max(step, test.at+1))]; got.Echo != want && step > 1 || !strings.HasPrefix(test.in, got.Echo) {
					t.Errorf("step %d: echoed %q", step, got.Echo)
				}
			}
		})
	}
}

func TestChunksRefused(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, body := range []string{
		"\r\n", " 5\r\n", "5 \r\n", "+5", "-1", "0x5", "g", ";a", "5\n", "5\rX", "00000000000000001\r\n", "5;\x00", "5;a\n",
		"5\r\nhelloX", "5\r\nhello\n", "5\r\nhello\rX", "0\r\n\n", "0\r\n\rX", "0\r\n a: b", "0\r\na b", "0\r\n:", "0\r\na: \x00",
		"0\r\na: b\n", "0\r\na: b\rX",
	} {
		for _, step := range []int{1, 1 << 10} {
			got := parseBytes([]byte(head+body), step, Interface{})
			if !strings.HasPrefix(got.Fault, "0 ") || len(got.Requests) > 0 {
				t.Errorf("%q, step %d: not refused as malformed: %+v", body, step, got)
			}
			if !strings.HasPrefix(head+body, got.Echo) || step > 1 && got.Echo != head+body {
				t.Errorf("%q, step %d: echoed %q", body, step, got.Echo)
			}
		}
	}
}

// TestCorruption changes each byte of requests to each other value: there is
// always an outcome, and a refusal shows what was sent.
func TestCorruption(t *testing.T) {
	valid := "GET /node/state HTTP/1.1\r\n\r\n"
	withHeader := "GET /node/state HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: */*\r\n\r\n"
	for _, content := range []string{valid, withHeader} {
		for i := range len(content) - 1 {
			for c := range 256 {
				corrupt := []byte(content)
				corrupt[i] = byte(c)
				got := parseBytes(bytes.Clone(corrupt), len(corrupt), Interface{})
				switch {
				case got.Partial:
					t.Errorf("byte %d as %#x: waits for more", i, c)
				case got.Fault == "" && len(got.Requests) != 1:
					t.Errorf("byte %d as %#x: %d requests", i, c, len(got.Requests))
				case got.Fault != "" && !strings.Contains(got.Echo, string(corrupt)):
					t.Errorf("byte %d as %#x: echoed %q", i, c, got.Echo)
				}
			}
		}
	}
}

func TestLimits(t *testing.T) {
	cfg := Interface{MaxBody: 100, MaxHeader: 20, MaxHeaders: 3}
	x := func(n int) string { return strings.Repeat("x", n) }
	lines := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "h%d: v\r\n", i)
		}
		return b.String()
	}
	const get, chunked = "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, test := range []struct {
		name, in string
		want     string // prefix of the fault
	}{
		{"name", get + x(20) + ": v\r\n\r\n", ""},
		{"larger name", get + x(21), "1 Header name"},
		{"larger name, then a bad byte", get + x(21) + "\x00", "1 Header name"},
		{"value", get + "a:  " + x(20) + "\r\n\r\n", ""},
		{"larger value", get + "a: " + x(21), "1 Header value"},
		{"larger value, then a bad byte", get + "a: " + x(21) + "\x00", "1 Header value"},
		{"spaces before a value", get + "a:" + strings.Repeat(" ", 22), "1 Header value"},
		{"spaces after a value", get + "a: b" + strings.Repeat(" ", 20), "1 Header value"},
		{"headers", get + lines(3) + "\r\n", ""},
		{"more headers", get + lines(3) + "h", "1 Too many"},
		{"more repeated headers", get + strings.Repeat("a: b\r\n", 4), "1 Too many"},
		{"target", "GET /" + x(targetMax-1) + " HTTP/1.1\r\n\r\n", ""},
		{"larger target", "GET /" + x(targetMax), "1 Request target"},
		{"body", get + "Content-Length: 100\r\n\r\n" + x(100), ""},
		{"larger body", get + "Content-Length: 101\r\n\r\n", "2 "},
		{"chunks", chunked + "32\r\n" + x(50) + "\r\n32\r\n" + x(50) + "\r\n0\r\n\r\n", ""},
		{"larger chunk", chunked + "65\r\n", "2 "},
		{"larger chunks", chunked + "32\r\n" + x(50) + "\r\n33\r\n", "2 "},
		{"chunk of a large size", chunked + "ffffffffffffffff", "2 "},
		{"chunk extensions", chunked + "1;" + x(20) + "\r\nx\r\n0\r\n\r\n", ""},
		{"larger chunk extensions", chunked + "1;" + x(10) + "\r\nx\r\n1;" + x(11), "1 Chunk"},
		{"larger trailers", chunked + "0\r\n" + "a: " + x(10) + "\r\nb: " + x(10), "1 Chunk"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, step := range []int{1, 1 << 20} {
				got := parseBytes([]byte(test.in), step, cfg)
				if test.want == "" && (got.Fault != "" || len(got.Requests) != 1) {
					t.Errorf("step %d: refused: %s", step, got.Fault)
				}
				if test.want != "" && (got.Fault == "" || !strings.HasPrefix(got.Fault, test.want)) {
					t.Errorf("step %d: fault %q, want %q", step, got.Fault, test.want)
				}
			}
		})
	}
}

// TestHeadLimit wants a head to be refused whose fields are each within their
// limits, at the same byte whatever the pieces, and with little memory.
func TestHeadLimit(t *testing.T) {
	const line = "GET / HTTP/1.1\r\n"
	fields := func(n, size int) string { // n header lines, size bytes in all
		var b strings.Builder
		for i := range n {
			each := size / n
			if i == n-1 {
				each = size - b.Len()
			}
			name := fmt.Sprintf("h%03d-", i)
			name += strings.Repeat("x", each/2-len(name))
			b.WriteString(name + ":" + strings.Repeat("y", each-len(name)-len(":\r\n")) + "\r\n")
		}
		return b.String()
	}
	full := headMax - len(line) - len("\r\n")
	for _, test := range []struct {
		name, in  string
		maxHeader int64
		requests  int
		want      string
	}{
		{"all of it", line + fields(100, full) + "\r\n", 0, 1, ""},
		{"all of it, after empty lines", "\r\n\r\n" + line + fields(100, full) + "\r\n", 0, 1, ""},
		{"all of it, twice", strings.Repeat(line+fields(100, full)+"\r\n", 2), 0, 2, ""},
		{"one byte more", line + fields(100, full+1) + "\r\n", 0, 0, "1 Header is too large"},
		{"what the lines' limits allow", line + fields(256, 8<<20) + "\r\n", 0, 0, "1 Header is too large"},
		{"then a bad byte", line + fields(100, full-10) + "a: " + strings.Repeat("b", 10) + "\x00", 0, 0, "1 Header is too large"},
		{"raised by the header limit", line + fields(2, 3<<20) + "\r\n", 2 << 20, 1, ""},
		{"more than the raised", line + fields(3, 4<<20) + "\r\n", 2 << 20, 0, "1 Header is too large"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, step := range []int{1000, 1 << 14, len(test.in)} {
				got := parseBytes([]byte(test.in), step, Interface{MaxHeader: test.maxHeader})
				if got.Fault != test.want || len(got.Requests) != test.requests {
					t.Errorf("step %d: %d requests, fault %q, want %q", step, len(got.Requests), got.Fault, test.want)
				}
				if most := int(max(headMax, 2*test.maxHeader)); got.BufMax > 2*most || got.At > most {
					t.Errorf("step %d: refused at %d with a buffer of %d bytes", step, got.At, got.BufMax)
				}
			}
		})
	}
}

// TestEmptyLines wants no memory for empty lines, also when each piece ends
// within one.
func TestEmptyLines(t *testing.T) {
	in := []byte(strings.Repeat("\r\n", 100_000) + "GET / HTTP/1.1\r\n\r\n")
	for _, step := range []int{1, 2, 3, 1 << 14} {
		first := &pieces{data: in, step: step}
		l := &Listener{cfg: Interface{}.withDefaults(), started: time.Now()}
		s := newHTTP1(newTestConn(l, first))
		req, f, err := s.next()
		if f != nil || err != nil || req.URL != "/" {
			t.Fatalf("step %d: %v, %v", step, f, err)
		}
		if len(s.buf) > bufferMin {
			t.Errorf("step %d: a buffer of %d bytes", step, len(s.buf))
		}
	}
}

// TestBodyOwned wants a body that later requests do not overwrite.
func TestBodyOwned(t *testing.T) {
	in := "PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcPUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\ndef"
	got := parseBytes([]byte(in), len(in), Interface{})
	if len(got.Requests) != 2 || string(got.Requests[0].Body) != "abc" || string(got.Requests[1].Body) != "def" {
		t.Fatalf("got %+v", got)
	}
}

// TestAnnouncedBody wants little memory for a body that was only announced.
func TestAnnouncedBody(t *testing.T) {
	in := []byte("PUT / HTTP/1.1\r\nContent-Length: 1073741824\r\n\r\nabc")
	allocated := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			parseBytes(bytes.Clone(in), len(in), Interface{MaxBody: 1 << 30})
		}
	}).AllocedBytesPerOp()
	if allocated > 4*bodyStep {
		t.Errorf("%d bytes allocated", allocated)
	}
}

func TestPersistence(t *testing.T) {
	for _, test := range []struct {
		in     string
		closes bool
	}{
		{"GET / HTTP/1.1\r\n\r\n", false},
		{"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", true},
		{"GET / HTTP/1.1\r\nConnection: foo , Close\t,\r\n\r\n", true},
		{"GET / HTTP/1.1\r\nConnection: closed\r\n\r\n", false},
		{"GET / HTTP/1.0\r\n\r\n", true},
		{"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", false},
		{"GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", true},
	} {
		h := head{sizeMax: 100, countMax: 100, totalMax: 1000}
		h.reset()
		if done, f := h.parse([]byte(test.in)); !done || f != nil {
			t.Fatalf("%q: %v", test.in, f)
		}
		if h.closes() != test.closes {
			t.Errorf("%q: closes is %v", test.in, h.closes())
		}
	}
}

func newTestConn(l *Listener, rw net.Conn) *conn { return &conn{l: l, rw: rw} }
