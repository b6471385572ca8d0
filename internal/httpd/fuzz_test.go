package httpd

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzRequest feeds a stream of bytes: it is the same stream in any pieces,
// it costs bounded memory, and net/http, where it accepts a request that starts
// where ours does, sees the same request and the same end, so that no proxy
// and node can disagree about where a request ends.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		"GET /node/state HTTP/1.1\r\n\r\n",
		"\r\nGET /a?b=c#d HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
		"POST /app/log HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n\r\n",
		"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\nGET / HTTP/1.1\r\n\r\n",
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
		"POST / HTTP/2.0\r\nTransfer-Encoding:\tchunked \r\n\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\na: b\r\n c\r\n\r\n",
		"GET http://h/p HTTP/1.1\r\nX : y\r\n\r\n",
	} {
		f.Add([]byte(seed), uint16(3))
	}
	cfg := Interface{MaxBody: 1 << 10, MaxHeader: 64, MaxHeaders: 8}
	f.Fuzz(func(t *testing.T, data []byte, step uint16) {
		whole := parseBytes(data, len(data)+1, cfg)
		for _, s := range []int{1, int(step) + 1} {
			got := parseBytes(data, s, cfg)
			if diff := cmp.Diff(settled(whole), settled(got)); diff != "" {
				t.Fatalf("in pieces of %d: %s", s, diff)
			}
			if got.BufMax > 4*targetMax {
				t.Fatalf("a buffer of %d bytes", got.BufMax)
			}
		}
		start := 0
		for i, r := range whole.Requests {
			end := whole.Ends[i]
			// Empty lines before a request are ours to skip.
			for bytes.HasPrefix(data[start:], []byte("\r\n")) {
				start += 2
			}
			n, their, body, ok := netHTTP(data[start:])
			if ok {
				if start+n != end {
					t.Fatalf("request %d at %d ends at %d, for net/http at %d", i, start, end, start+n)
				}
				if their.Method != r.Method || !bytes.Equal(body, r.Body) {
					t.Fatalf("request %d is %s with %q, for net/http %s with %q", i, r.Method, r.Body, their.Method, body)
				}
				for _, field := range r.Header {
					if values := their.Header.Values(field.Name); len(values) > 0 && values[0] != field.Value {
						t.Fatalf("request %d: %s is %q, for net/http %q", i, field.Name, field.Value, values[0])
					}
				}
			}
			start = end
		}
		if whole.Partial {
			if n, _, _, ok := netHTTP(data[start:]); ok {
				t.Fatalf("net/http sees a whole request of %d bytes at %d", n, start)
			}
		}
	})
}

// settled leaves out what depends on the pieces.
func settled(o outcome) outcome {
	o.BufMax, o.At, o.Echo = 0, 0, ""
	return o
}

// netHTTP reads one whole request as net/http does and says how long it is.
func netHTTP(data []byte) (n int, r *http.Request, body []byte, ok bool) {
	rest := bytes.NewReader(data)
	br := bufio.NewReader(rest)
	r, err := http.ReadRequest(br)
	if err != nil {
		return 0, nil, nil, false
	}
	if body, err = io.ReadAll(r.Body); err != nil {
		return 0, nil, nil, false
	}
	return len(data) - rest.Len() - br.Buffered(), r, body, true
}

// FuzzResponse wants any response to be framed so that net/http reads exactly
// one, with the body that is to be sent.
func FuzzResponse(f *testing.F) {
	f.Add(200, "content-type", "text/plain", []byte("hello"), false)
	f.Add(204, "content-length", "7", []byte("hello"), false)
	f.Add(304, "x\r\ny", "a\r\n\r\nGET", []byte(nil), true)
	f.Add(100, "Transfer-Encoding", "chunked", []byte("0\r\n\r\n"), false)
	f.Fuzz(func(t *testing.T, status int, name, value string, body []byte, isHead bool) {
		method := "GET"
		if isHead {
			method = "HEAD"
		}
		resp := response(status, name, value, body)
		out, sent := appendHead(nil, method, resp, "")
		out = append(out, sent...)
		if strings.Count(string(out), "\r\n\r\n") == 0 {
			t.Fatalf("no end of the head: %q", out)
		}
		br := bufio.NewReader(bytes.NewReader(out))
		their, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("net/http: %v: %q", err, out)
		}
		got, err := io.ReadAll(their.Body)
		if err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("body %q (%v), want %q", got, err, sent)
		}
		if br.Buffered() > 0 {
			t.Fatalf("%d bytes after the response: %q", br.Buffered(), out)
		}
	})
}
