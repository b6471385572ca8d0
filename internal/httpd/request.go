package httpd

import (
	"bytes"
	"strings"

	"synod/app"
)

// request makes the request of a complete head b. One string holds the whole
// head and every text is a part of it. scratch is reused; b is left as it was
// received, since a fault in the body shows it. Of fields with one name the
// first is kept, as CCF does; names become lower case.
func (h *head) request(b, scratch []byte) (*app.Request, []byte) {
	from := h.target
	scratch = append(scratch[:0], b[from:h.pos]...)
	for _, f := range h.fields {
		for i := f.name - from; i < f.nameEnd-from; i++ {
			scratch[i] = toLower(scratch[i])
		}
	}
	text := string(scratch)
	r := &app.Request{Method: methods[h.method], Header: make(app.Header, 0, len(h.fields))}
	r.URL, r.Path, r.Query = splitTarget(text[:h.targetEnd-from])
	for _, f := range h.fields {
		name := text[f.name-from : f.nameEnd-from]
		if !r.Header.Has(name) {
			r.Header = append(r.Header, app.Field{Name: name, Value: text[f.value-from : f.valueEnd-from]})
		}
	}
	return r, scratch
}

// splitTarget cuts the fragment off and splits what is left at its "?". Of an
// absolute target what follows the authority counts (RFC 9112 §3.2.2).
func splitTarget(target string) (url, path, query string) {
	url, _, _ = strings.Cut(target, "#")
	if url != "" && url[0] != '/' {
		if _, rest, ok := strings.Cut(url, "://"); ok {
			url = "/"
			if i := strings.IndexAny(rest, "/?"); i >= 0 {
				url = "/" + strings.TrimPrefix(rest[i:], "/")
			}
		}
	}
	path, query, _ = strings.Cut(url, "?")
	return url, path, query
}

// bodyStep is the first allocation for a body whose bytes have not arrived: a
// client that announces much and sends little holds no more than this.
const bodyStep = 64 << 10

// grow makes room in a body of which want bytes will arrive in all.
func grow(body []byte, want int64) []byte {
	if len(body) < cap(body) || int64(len(body)) >= want {
		return body
	}
	size := min(want, max(bodyStep, 2*int64(cap(body))))
	return append(make([]byte, 0, size), body...)
}

// owned copies a body out of a buffer.
func owned(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return bytes.Clone(b)
}
