package httpd

import (
	"context"
	"errors"
	"io"
	"os"
	"strconv"

	"synod/app"
)

const (
	bufferMin = 4 << 10  // bytes that a waiting session holds for reading
	bufferMax = 16 << 10 // bytes of buffers kept from request to request
)

// http1 is a session that speaks HTTP/1.
type http1 struct {
	*conn
	head    head
	buf     []byte // buf[r:w] was received and belongs to no finished request
	r, w    int
	scratch []byte
	out     []byte
}

func newHTTP1(c *conn) *http1 {
	cfg := &c.l.cfg
	return &http1{
		conn: c, buf: make([]byte, bufferMin),
		head: head{sizeMax: int(cfg.MaxHeader), countMax: cfg.MaxHeaders, totalMax: cfg.headMax()},
	}
}

func (c *conn) serveHTTP1(ctx context.Context, h Handler) {
	s := newHTTP1(c)
	if c.capped {
		if err := s.fill(); err == nil {
			s.refuse(ctx, "", exhausted())
		}
		return
	}
	for {
		req, f, err := s.next()
		if err != nil {
			s.readFailed(ctx, err)
			return
		}
		if f != nil {
			c.l.count(f.kind)
			if f.kind == malformed {
				s.refuse(ctx, "", unparsable(f, s.buf[s.r:s.w]))
			} else {
				s.refuse(ctx, methods[s.head.method], tooLarge(f))
			}
			return
		}
		req.ClientCert, req.Interface = c.session.ClientCert, c.session.Interface
		resp := c.serve(ctx, h, &c.session, req)
		if streamed(resp) {
			c.busy.Add(1)
			err := s.stream(ctx, req.Method, resp)
			c.busy.Add(-1)
			if err != nil {
				c.debug(ctx, "stream broken off", err)
				return
			}
			if resp.Length == 0 || resp.Close || s.head.closes() || c.l.draining.Load() {
				c.close()
				return
			}
			s.finished()
			continue
		}
		if err := s.answer(req.Method, resp); err != nil {
			c.debug(ctx, "answer not sent", err)
			return
		}
		if resp.Close || s.head.closes() || c.l.draining.Load() {
			c.close()
			return
		}
		s.finished()
	}
}

// readFailed ends the session after a failed read: a client that left, or the
// sweeper's or drain's deadline.
func (s *http1) readFailed(ctx context.Context, err error) {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.l.release(s.conn)
		s.end()
	case expected(err):
		s.end()
	default:
		s.debug(ctx, "read failed", err)
	}
}

// refuse answers without asking the Handler, and closes. method is empty if
// there is none yet.
func (s *http1) refuse(ctx context.Context, method string, resp *app.Response) {
	s.l.release(s.conn)
	s.head.reset()
	s.head.close = true // announced, so that clients do not send more on it
	if err := s.answer(method, resp); err != nil {
		s.debug(ctx, "answer not sent", err)
		return
	}
	s.close()
}

// unparsable is CCF's answer to what is no HTTP: the text is compared by its
// tests, and so is that it ends with the bytes as they came
// (CCF: src/http/http_session.h).
func unparsable(f *fault, received []byte) *app.Response {
	body := append([]byte("Unable to parse data as a HTTP request. At byte "), strconv.Itoa(f.at)...)
	body = append(body, ": "...)
	body = append(body, f.reason...)
	body = append(body, ". What was received:\n"...)
	return &app.Response{
		Status: 400, Body: append(body, received...), Close: true,
		Header: app.Header{{Name: "content-type", Value: "text/plain"}},
	}
}

// next reads one request. After a fault, buf[r:w] is what was received of it,
// or the last part of that.
func (s *http1) next() (*app.Request, *fault, error) {
	s.head.reset()
	for {
		done, f := s.head.parse(s.buf[s.r:s.w])
		if f != nil {
			return nil, f, nil
		}
		if done {
			break
		}
		s.dropEmptyLines()
		if err := s.fill(); err != nil {
			return nil, nil, err
		}
	}
	var req *app.Request
	req, s.scratch = s.head.request(s.buf[s.r:s.w], s.scratch)
	if cap(s.scratch) > bufferMax {
		s.scratch = nil // now, since the body may take its time
	}
	var f *fault
	var err error
	switch {
	case s.head.chunked:
		req.Body, f, err = s.chunkedBody()
	case s.head.length > s.l.cfg.MaxBody:
		f = &fault{bodyTooLarge, bodyTooLargeReason, s.head.pos}
	case s.head.length > 0:
		req.Body, err = s.sizedBody(s.head.length)
	default:
		s.r += s.head.pos
	}
	return req, f, err
}

// dropEmptyLines forgets what came before the request line, of which nothing is
// there yet, so that empty lines take no room however many they are.
func (s *http1) dropEmptyLines() {
	switch s.head.state {
	case inStart:
		s.r, s.w = 0, 0
	case inStartLF:
		s.buf[0] = '\r'
		s.r, s.w = 0, 1
	default:
		return
	}
	s.head.pos, s.head.begin = s.w, 0
}

// fill reads more bytes, keeping buf[r:w].
func (s *http1) fill() error {
	if s.w == len(s.buf) {
		if s.r > 0 {
			s.w = copy(s.buf, s.buf[s.r:s.w])
			s.r = 0
		} else {
			s.buf = append(s.buf, make([]byte, len(s.buf))...)
		}
	}
	n, err := s.rw.Read(s.buf[s.w:])
	s.touch()
	s.w += n
	if n > 0 {
		return nil
	}
	return err
}

// sizedBody reads a body of n bytes, mostly without a copy.
func (s *http1) sizedBody(n int64) ([]byte, error) {
	at := s.r + s.head.pos
	here := min(int64(s.w-at), n)
	body := append(grow(nil, n), s.buf[at:at+int(here)]...)
	s.r = at + int(here)
	for int64(len(body)) < n {
		body = grow(body, n)
		m, err := s.rw.Read(body[len(body):cap(body)])
		s.touch()
		body = body[:len(body)+m]
		if err != nil && int64(len(body)) < n {
			return nil, unexpected(err)
		}
	}
	return body, nil
}

// chunkedBody reads a chunked body. What was received stays in the buffer as
// long as there is room, to be shown if the body turns out to be malformed.
func (s *http1) chunkedBody() ([]byte, *fault, error) {
	d := chunked{bodyMax: s.l.cfg.MaxBody, extraMax: s.l.cfg.MaxHeader}
	at := s.r + s.head.pos
	for {
		n, done, f := d.feed(s.buf[at:s.w])
		at += n
		if f != nil {
			f.at = at - s.r
			return nil, f, nil
		}
		if done {
			s.r = at
			return d.body, nil, nil
		}
		if s.w == len(s.buf) {
			s.r, s.w = 0, 0
		}
		kept := s.w
		if err := s.fill(); err != nil {
			return nil, nil, unexpected(err)
		}
		at = kept
	}
}

// unexpected is io.ErrUnexpectedEOF for an end in the middle of a body.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// answer sends a response, head and body in one write unless it is large.
func (s *http1) answer(method string, resp *app.Response) error {
	head, body := appendHead(s.out[:0], method, resp, s.persistence())
	first := min(len(body), max(0, bufferMax-len(head)))
	head = append(head, body[:first]...)
	err := s.write(head)
	if err == nil && first < len(body) {
		err = s.write(body[first:])
	}
	if cap(head) <= bufferMax {
		s.out = head
	}
	return err
}

// persistence is the connection header of the answer, if it needs one: what the
// client has asked for. A close that it did not ask for is not announced, as in
// CCF, whose tests expect the next request to meet a closed session.
func (s *http1) persistence() string {
	switch {
	case s.head.close:
		return "close"
	case s.head.major == '1' && s.head.minor == '0' && s.head.keepAlive:
		return "keep-alive"
	}
	return ""
}

// finished gives back what a large request took.
func (s *http1) finished() {
	if s.r == s.w {
		s.r, s.w = 0, 0
		if len(s.buf) > bufferMax {
			s.buf = make([]byte, bufferMin)
		}
	}
}
