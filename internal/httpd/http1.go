package httpd

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"synod"
	"synod/app"
)

const (
	bufferSize = 4 << 10  // of a connection's read buffer at first
	keepBuffer = 64 << 10 // a larger one is not kept between requests
)

// http1 is the loop of one HTTP/1 connection.
type http1 struct {
	*serverConn
	limits limits
	in     []byte // received and not yet used
	out    []byte // scratch for answers
}

func (c *serverConn) serveHTTP1(ctx context.Context) {
	cfg := c.listener.cfg
	x := &http1{serverConn: c, limits: limits{body: cfg.MaxBody, header: cfg.MaxHeader, headers: cfg.MaxHeaders}}
	for {
		h, err := x.next()
		if err != nil {
			x.refuse(err)
			return
		}
		h.req.ClientCert = c.session.ClientCert
		resp := c.handler.Serve(ctx, &c.session, h.req)
		c.busy.Store(false)
		if resp == nil {
			resp = &app.Response{Status: 500}
		}
		keep := h.keepAlive && !resp.Close && !c.closing.Load()
		x.out = appendResponse(x.out[:0], resp, h.req.Method == "HEAD")
		if _, err := c.conn.Write(x.out); err != nil || !keep {
			return
		}
		if cap(x.out) > keepBuffer {
			x.out = nil
		}
		c.touch()
	}
}

// next reads one whole request.
func (x *http1) next() (*head, error) {
	var h *head
	for {
		if len(x.in) > 0 {
			var err error
			if h, err = parseHead(x.in, x.limits); err == nil {
				break
			} else if !errors.Is(err, errIncomplete) {
				return nil, err
			}
		}
		if err := x.fill(); err != nil {
			return nil, err
		}
	}
	x.busy.Store(true)
	x.in = x.in[h.size:]
	if h.chunked {
		return h, x.chunks(h)
	}
	if h.length == 0 {
		return h, nil
	}
	body := make([]byte, h.length)
	n := copy(body, x.in)
	x.in = x.in[n:]
	for n < len(body) {
		m, err := x.conn.Read(body[n:])
		if n += m; err != nil && n < len(body) {
			return nil, localError("read body", err)
		}
		x.touch()
	}
	h.req.Body = body
	return h, nil
}

// fill reads more into in.
func (x *http1) fill() error {
	if cap(x.in)-len(x.in) < 1<<10 {
		size := bufferSize
		if len(x.in) > bufferSize/2 {
			size = 2 * len(x.in)
		}
		grown := make([]byte, len(x.in), size+len(x.in))
		copy(grown, x.in)
		x.in = grown
	}
	n, err := x.conn.Read(x.in[len(x.in):cap(x.in)])
	x.in = x.in[:len(x.in)+n]
	x.touch()
	if n > 0 {
		return nil
	}
	return localError("read", err)
}

// chunks reads a chunked body. Trailers are read and dropped.
func (x *http1) chunks(h *head) error {
	var body []byte
	for {
		size, line, err := parseChunk(x.in)
		if errors.Is(err, errIncomplete) {
			if err := x.fill(); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if size > x.limits.body-int64(len(body)) {
			return errBodyTooLarge
		}
		x.in = x.in[line:]
		if size == 0 {
			h.req.Body = body
			return x.trailers()
		}
		for int64(len(x.in)) < size+2 {
			if err := x.fill(); err != nil {
				return err
			}
		}
		if x.in[size] != '\r' || x.in[size+1] != '\n' {
			return bad("chunk is longer than its size")
		}
		body = append(body, x.in[:size]...)
		x.in = x.in[size+2:]
	}
}

func (x *http1) trailers() error {
	for count := 0; ; {
		_, next, done, err := parseField(x.in, 0, x.limits, count)
		if errors.Is(err, errIncomplete) {
			if err := x.fill(); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		x.in = x.in[next:]
		if done {
			return nil
		}
		count++
	}
}

// refuse answers what is not a request within the limits; the connection ends
// after it. A connection that just ended gets nothing.
func (x *http1) refuse(err error) {
	resp := &app.Response{}
	var m *malformed
	switch {
	case errors.As(err, &m):
		x.listener.count.parsing.Add(1)
		resp.Status = 400
		resp.Header.Set("content-type", "text/plain")
		resp.Body = append([]byte("Unable to parse data as a HTTP request. Error message is: "+m.reason+
			"\nError occurred while parsing fragment:\n"), x.in...)
	case errors.Is(err, errBodyTooLarge):
		x.listener.count.payload.Add(1)
		tooLarge(resp, 413, synod.CodeRequestBodyTooLarge, "The request body is larger than the "+strconv.FormatInt(x.limits.body, 10)+" bytes that this interface takes.")
	case errors.Is(err, errHeaderTooLarge):
		x.listener.count.header.Add(1)
		tooLarge(resp, 431, synod.CodeRequestHeaderTooLarge, "The request header is larger than this interface takes: "+
			strconv.FormatInt(x.limits.header, 10)+" bytes for a name or value, "+strconv.Itoa(x.limits.headers)+" fields.")
	default:
		return
	}
	_, _ = x.conn.Write(appendResponse(x.out[:0], resp, false))
}

func tooLarge(resp *app.Response, status int, code, message string) {
	body, err := synod.Errorf(status, code, "%s", message).MarshalJSON()
	if err != nil {
		panic(err) // strings only: cannot fail
	}
	resp.Status, resp.Body = status, body
	resp.Header.Set("content-type", "application/json")
}

var okLine = "HTTP/1.1 200 OK\r\n"

// appendResponse writes an answer: status line, header fields, content-length
// always, and the body unless the request was HEAD.
func appendResponse(b []byte, r *app.Response, isHead bool) []byte {
	if r.Status == 200 {
		b = append(b, okLine...)
	} else {
		b = append(b, "HTTP/1.1 "...)
		b = strconv.AppendInt(b, int64(r.Status), 10)
		b = append(b, ' ')
		b = append(b, http.StatusText(r.Status)...)
		b = append(b, "\r\n"...)
	}
	explicitLength := false
	for _, f := range r.Header {
		if f.Name == "content-length" {
			if !isHead {
				continue
			}
			explicitLength = true
		}
		b = append(b, f.Name...)
		b = append(b, ": "...)
		b = appendValue(b, f.Value)
		b = append(b, "\r\n"...)
	}
	if !explicitLength {
		b = append(b, "content-length: "...)
		b = strconv.AppendInt(b, int64(len(r.Body)), 10)
		b = append(b, "\r\n"...)
	}
	b = append(b, "\r\n"...)
	if isHead {
		return b
	}
	return append(b, r.Body...)
}

// appendValue keeps a header value from ending its line: applications may put
// what clients sent into one.
func appendValue(b []byte, v string) []byte {
	for i := range len(v) {
		if c := v[i]; c < ' ' && c != '\t' || c == 0x7f {
			b = append(b, ' ')
		} else {
			b = append(b, c)
		}
	}
	return b
}
