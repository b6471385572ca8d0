package app

import (
	"context"
	"net/url"
	"strings"
)

// Field is one header field; names are lower case.
type Field struct{ Name, Value string }

// Header is a list of fields in the order received or to be sent.
type Header []Field

// Get returns the first value of a lower-case name, or "".
func (h Header) Get(name string) string {
	for i := range h {
		if h[i].Name == name {
			return h[i].Value
		}
	}
	return ""
}

// Has says whether a field of that lower-case name is present.
func (h Header) Has(name string) bool {
	for i := range h {
		if h[i].Name == name {
			return true
		}
	}
	return false
}

// Set replaces every field of that name by one.
func (h *Header) Set(name, value string) {
	name = strings.ToLower(name)
	for i := range *h {
		if (*h)[i].Name == name {
			(*h)[i].Value = value
			return
		}
	}
	*h = append(*h, Field{name, value})
}

// Request is one HTTP request as a front end received it. It is read-only.
type Request struct {
	Method string // upper case
	URL    string // target as received, without its fragment
	Path   string // undecoded, with the front end's prefix
	Query  string // undecoded, without "?"
	Header Header
	Body   []byte
	// Interface is the name of the interface that received the request.
	Interface string
	// ClientCert is the DER certificate that the client presented in the TLS
	// handshake, or nil. It was not verified in any way.
	ClientCert []byte
}

// DecodedQuery is the query with %XX and + decoded as a whole, before it is
// split; a malformed escape is kept as it is
// (CCF: src/http/http_rpc_context.h).
func (r *Request) DecodedQuery() string {
	if s, err := url.QueryUnescape(r.Query); err == nil {
		return s
	}
	return unescapeLenient(r.Query)
}

// QueryValue returns the first value of a query parameter and whether it is
// present; "foo" and "foo=" both mean an empty value.
func (r *Request) QueryValue(name string) (string, bool) {
	if r.Query == "" {
		return "", false
	}
	for part := range strings.SplitSeq(r.DecodedQuery(), "&") {
		if k, v, _ := strings.Cut(part, "="); k == name {
			return v, true
		}
	}
	return "", false
}

func unescapeLenient(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			b.WriteByte(' ')
		case s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			b.WriteByte(unhex(s[i+1])<<4 | unhex(s[i+2]))
			i += 2
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	default:
		return c - 'a' + 10
	}
}

// Response is the answer to a request.
type Response struct {
	Status int
	Header Header
	Body   []byte
	// Close asks the front end to close the session after this answer.
	Close bool
	// Stream, if not nil, writes the body, whose length nobody knows: Body is
	// not sent. It runs after the head was sent, until it returns; nil ends the
	// body properly, an error breaks it off, so that the client can tell. send
	// returns once the bytes are on their way, or with an error if the client
	// does not take them or has gone. ctx ends when the node stops or, as far as
	// that is noticed, the client leaves. An HTTP/1 session ends with it, unless
	// Length says how many bytes it sends.
	Stream func(ctx context.Context, send func([]byte) error) error
	// Length is what Stream sends, in bytes, if that is known and not 0.
	Length int64
}
