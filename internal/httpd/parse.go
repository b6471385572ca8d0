package httpd

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"synod/app"
)

// errIncomplete says that the bytes so far are the start of a request.
var errIncomplete = errors.New("incomplete request")

// malformed says that the bytes cannot be a request.
type malformed struct{ reason string }

func (e *malformed) Error() string { return e.reason }

func bad(format string, args ...any) error { return &malformed{fmt.Sprintf(format, args...)} }

// Errors for what is over a limit.
var (
	errHeaderTooLarge = errors.New("header too large")
	errBodyTooLarge   = errors.New("body too large")
)

// limits are those of an interface.
type limits struct {
	body, header int64
	headers      int
}

// head is a parsed request line and header.
type head struct {
	req       *app.Request
	size      int   // bytes up to the body
	length    int64 // of the body; meaningless if chunked
	chunked   bool
	keepAlive bool
}

var methods = []string{"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT"}

// parseHead reads a request's head from the start of b. It refuses at the
// first byte that cannot be right, also when the rest has not come yet;
// errIncomplete asks for more bytes.
func parseHead(b []byte, l limits) (*head, error) {
	method, i, err := parseMethod(b)
	if err != nil {
		return nil, err
	}
	target, i, err := parseTarget(b, i, l)
	if err != nil {
		return nil, err
	}
	minor, i, err := parseVersion(b, i)
	if err != nil {
		return nil, err
	}
	h := &head{keepAlive: minor == '1'}
	var fields []fieldSpan
	for {
		var f fieldSpan
		var done bool
		if f, i, done, err = parseField(b, i, l, len(fields)); err != nil {
			return nil, err
		}
		if done {
			break
		}
		fields = append(fields, f)
	}
	// One string for the whole head; everything is a part of it.
	text := string(b[:i])
	h.size = i
	h.req = &app.Request{Method: method, URL: text[target.from:target.to]}
	splitTarget(h.req)
	return h, h.fields(text, fields, l)
}

type span struct{ from, to int }

type fieldSpan struct{ name, value span }

func parseMethod(b []byte) (string, int, error) {
	for _, m := range methods {
		n := min(len(m), len(b))
		if string(b[:n]) != m[:n] {
			continue
		}
		if len(b) <= len(m) {
			return "", 0, errIncomplete
		}
		if b[len(m)] == ' ' {
			return m, len(m) + 1, nil
		}
	}
	return "", 0, bad("invalid method")
}

func parseTarget(b []byte, i int, l limits) (span, int, error) {
	from := i
	for ; i < len(b); i++ {
		c := b[i]
		switch {
		case c == ' ' && i > from:
			return span{from, i}, i + 1, nil
		case c <= ' ' || c == 0x7f:
			return span{}, 0, bad("invalid character in the request target")
		case i == from && c != '/' && c != '*' && c != 'h' && c != 'H':
			return span{}, 0, bad("the request target must start with /")
		case int64(i-from) >= l.header:
			return span{}, 0, errHeaderTooLarge
		}
	}
	return span{}, 0, errIncomplete
}

// versions are the version tokens that CCF's parser knows; all but 1.0 are
// served as 1.1.
var versions = []string{"HTTP/1.1\r\n", "HTTP/1.0\r\n", "HTTP/2.0\r\n", "HTTP/0.9\r\n"}

func parseVersion(b []byte, i int) (minor byte, next int, err error) {
	rest := b[i:]
	for _, v := range versions {
		n := min(len(v), len(rest))
		if string(rest[:n]) != v[:n] {
			continue
		}
		if len(rest) < len(v) {
			return 0, 0, errIncomplete
		}
		if v[5] == '1' {
			return v[7], i + len(v), nil
		}
		return '1', i + len(v), nil
	}
	return 0, 0, bad("invalid HTTP version")
}

// parseField reads one header field, or the empty line that ends the header.
func parseField(b []byte, i int, l limits, count int) (f fieldSpan, next int, done bool, err error) {
	if i == len(b) {
		return f, 0, false, errIncomplete
	}
	if b[i] == '\r' {
		if i+1 == len(b) {
			return f, 0, false, errIncomplete
		}
		if b[i+1] != '\n' {
			return f, 0, false, bad("missing LF after CR")
		}
		return f, i + 2, true, nil
	}
	if count >= l.headers {
		return f, 0, false, errHeaderTooLarge
	}
	f.name.from = i
	for ; ; i++ {
		if i == len(b) {
			return f, 0, false, errIncomplete
		}
		if b[i] == ':' && i > f.name.from {
			break
		}
		if !isToken(b[i]) {
			return f, 0, false, bad("invalid character in a header name")
		}
		if int64(i-f.name.from) >= l.header {
			return f, 0, false, errHeaderTooLarge
		}
	}
	f.name.to = i
	for i++; i < len(b) && (b[i] == ' ' || b[i] == '\t'); i++ {
	}
	f.value.from = i
	for ; ; i++ {
		if i == len(b) {
			return f, 0, false, sizeOr(errIncomplete, i-f.value.from, l)
		}
		c := b[i]
		if c == '\r' {
			break
		}
		if c < ' ' && c != '\t' || c == 0x7f {
			return f, 0, false, bad("invalid character in a header value")
		}
	}
	f.value.to = i
	for f.value.to > f.value.from && (b[f.value.to-1] == ' ' || b[f.value.to-1] == '\t') {
		f.value.to--
	}
	if err := sizeOr(nil, f.value.to-f.value.from, l); err != nil {
		return f, 0, false, err
	}
	if i+1 == len(b) {
		return f, 0, false, errIncomplete
	}
	if b[i+1] != '\n' {
		return f, 0, false, bad("missing LF after a header value")
	}
	return f, i + 2, false, nil
}

func sizeOr(err error, n int, l limits) error {
	if int64(n) > l.header {
		return errHeaderTooLarge
	}
	return err
}

// isToken says whether c may be in a token (RFC 9110 §5.6.2).
func isToken(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return c != 0 && strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// fields fills in the header and what it says of the body.
func (h *head) fields(text string, spans []fieldSpan, l limits) error {
	header := make(app.Header, 0, len(spans))
	lengths := 0
	for _, f := range spans {
		name, value := lower(text[f.name.from:f.name.to]), text[f.value.from:f.value.to]
		switch name {
		case "content-length":
			n, err := contentLength(value)
			if err != nil {
				return err
			}
			if lengths > 0 && n != h.length {
				return bad("content-length is there twice")
			}
			h.length = n
			lengths++
		case "transfer-encoding":
			if h.chunked || !strings.EqualFold(value, "chunked") {
				return bad("unsupported transfer-encoding")
			}
			h.chunked = true
		case "connection":
			h.connection(value)
		}
		if !header.Has(name) {
			header = append(header, app.Field{Name: name, Value: value})
		}
	}
	if h.chunked && lengths > 0 {
		return bad("both content-length and transfer-encoding")
	}
	if h.length > l.body {
		return errBodyTooLarge
	}
	h.req.Header = header
	return nil
}

// contentLength reads digits alone (RFC 9110 §8.6).
func contentLength(s string) (int64, error) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, bad("invalid content-length")
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, errBodyTooLarge
	}
	return n, nil
}

func (h *head) connection(value string) {
	for token := range strings.SplitSeq(value, ",") {
		switch strings.ToLower(strings.TrimSpace(token)) {
		case "close":
			h.keepAlive = false
		case "keep-alive":
			h.keepAlive = true
		}
	}
}

// lower is strings.ToLower without a copy for names that need none.
func lower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return strings.ToLower(s)
		}
	}
	return s
}

// splitTarget cuts the target into path and query, and its fragment off.
func splitTarget(r *app.Request) {
	if i := strings.IndexByte(r.URL, '#'); i >= 0 {
		r.URL = r.URL[:i]
	}
	target := r.URL
	if i := strings.Index(target, "://"); i >= 0 && target[0] != '/' {
		// The absolute form: what follows the authority counts.
		rest := target[i+3:]
		if j := strings.IndexByte(rest, '/'); j >= 0 {
			target = rest[j:]
		} else {
			target = "/"
		}
		r.URL = target
	}
	r.Path, r.Query, _ = strings.Cut(target, "?")
}

// parseChunk reads one chunk's size line from the start of b and says how
// long that line is (RFC 9112 §7.1). Extensions are skipped, up to a bound.
func parseChunk(b []byte) (size int64, line int, err error) {
	const lineMax = 256
	end := bytes.IndexByte(b, '\n')
	digits := 0
	for digits < len(b) && isHex(b[digits]) {
		digits++
	}
	if digits > 15 || digits == 0 && len(b) > 0 {
		return 0, 0, bad("invalid chunk size")
	}
	if digits < len(b) && b[digits] != '\r' && b[digits] != ';' {
		return 0, 0, bad("invalid chunk size")
	}
	if end < 0 {
		if len(b) > lineMax {
			return 0, 0, bad("chunk size line too long")
		}
		return 0, 0, errIncomplete
	}
	if end > lineMax || b[end-1] != '\r' || bytes.IndexByte(b[:end-1], '\r') >= 0 {
		return 0, 0, bad("invalid chunk size line")
	}
	for _, c := range b[digits : end-1] {
		if c < ' ' && c != '\t' || c == 0x7f {
			return 0, 0, bad("invalid character in a chunk extension")
		}
	}
	size, err = strconv.ParseInt(string(b[:digits]), 16, 64)
	if err != nil {
		return 0, 0, bad("invalid chunk size")
	}
	return size, end + 1, nil
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
