package httpd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/net/http2"

	"synod/app"
)

// configureHTTP2 prepares what HTTP/2 sessions share.
func (l *Listener) configureHTTP2() error {
	l.h2Base = &http.Server{
		ErrorLog: slog.NewLogLogger(l.log.Handler(), slog.LevelDebug),
		// Twice the limit, so that the refusal of most heads over it is ours. The
		// library ends sessions whose heads are larger still. A session has one
		// head at a time on its way; those of its streams are within the limit.
		MaxHeaderBytes: 2 * l.cfg.headMax(),
	}
	l.h2 = &http2.Server{
		MaxConcurrentStreams:     l.cfg.HTTP2.MaxStreams,
		MaxReadFrameSize:         l.cfg.HTTP2.MaxFrame,
		MaxUploadBufferPerStream: l.cfg.HTTP2.InitialWindow,
	}
	if err := http2.ConfigureServer(l.h2Base, l.h2); err != nil {
		return fmt.Errorf("interface %s: configure HTTP/2: %w", l.cfg.Name, err)
	}
	return nil
}

// serveHTTP2 serves a session. The preface is read here, so that a client that
// speaks something else is closed at its first wrong byte and before anything is
// sent to it.
func (c *conn) serveHTTP2(ctx context.Context, h Handler) {
	var got [len(http2.ClientPreface)]byte
	for n := 0; n < len(got); {
		m, err := c.rw.Read(got[n:])
		c.touch()
		n += m
		if string(got[:n]) != http2.ClientPreface[:n] {
			c.l.count(malformed)
			c.close()
			return
		}
		if err != nil && n < len(got) {
			if expected(err) || errors.Is(err, os.ErrDeadlineExceeded) {
				c.end()
			} else {
				c.debug(ctx, "read failed", err)
			}
			return
		}
	}
	var under net.Conn = &activeConn{c.rw, c}
	if c.tls != nil {
		under = &secureConn{activeConn{c.rw, c}, c.tls}
	}
	c.h2.Store(true)
	//nolint:staticcheck // deprecated for net/http's own server, which cannot be given one connection without ALPN
	c.l.h2.ServeConn(under, &http2.ServeConnOpts{
		Context: ctx, BaseConfig: c.l.h2Base, Handler: &streams{c, h}, SawClientPreface: true,
	})
}

// activeConn notes activity on the connection under an HTTP/2 session.
type activeConn struct {
	net.Conn
	c *conn
}

func (a *activeConn) Read(b []byte) (int, error) {
	n, err := a.Conn.Read(b)
	a.c.touch()
	return n, err
}

func (a *activeConn) Write(b []byte) (int, error) {
	n, err := a.Conn.Write(b)
	a.c.touch()
	return n, err
}

// secureConn is an activeConn over TLS; http2 checks how secure it is.
type secureConn struct {
	activeConn
	tls *tls.Conn
}

func (s *secureConn) ConnectionState() tls.ConnectionState { return s.tls.ConnectionState() }

// streams hands the streams of one session to the Handler.
type streams struct {
	c *conn
	h Handler
}

// ServeHTTP serves one stream.
func (s *streams) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer escape()
	if s.c.capped {
		s.c.l.release(s.c)
		send(w, r.Method, exhausted())
		return
	}
	req, f, err := s.request(r)
	if err != nil {
		return // the stream or the session ended
	}
	if f != nil {
		s.c.l.count(f.kind)
		send(w, r.Method, tooLarge(f))
		return
	}
	session := Session{ID: s.c.session.ID, Interface: s.c.session.Interface, ClientCert: s.c.session.ClientCert}
	resp := s.c.serve(r.Context(), s.h, &session, req)
	if !streamed(resp) {
		send(w, r.Method, resp)
		return
	}
	s.c.busy.Add(1)
	defer s.c.busy.Add(-1)
	sendStream(r.Context(), w, r.Method, resp)
}

// escape throws a panic again where http2 cannot catch it; see the package's
// comment.
func escape() {
	if v := recover(); v != nil {
		if v == http.ErrAbortHandler { //nolint:errorlint // the value itself, and it is ours: see sendStream
			panic(v)
		}
		text := fmt.Sprintf("panic while serving a stream: %v\n\n%s", v, debug.Stack())
		go func() { panic(text) }()
		select {}
	}
}

// request turns net/http's request into ours, with the limits of the interface.
func (s *streams) request(r *http.Request) (*app.Request, *fault, error) {
	req := &app.Request{Method: r.Method, Interface: s.c.session.Interface, ClientCert: s.c.session.ClientCert}
	req.URL, req.Path, req.Query = splitTarget(r.RequestURI)
	count := 3 // :method, :scheme and :path count
	size := len(r.Method) + len(r.RequestURI) + len(r.Host)
	for name := range r.Trailer { // the library takes the field apart
		size += len(name)
	}
	if r.Host != "" {
		count++
		req.Header = append(req.Header, app.Field{Name: "host", Value: r.Host})
	}
	for name, values := range r.Header {
		count += len(values)
		if int64(len(name)) > s.c.l.cfg.MaxHeader {
			return nil, &fault{kind: headerTooLarge, reason: "Header name is too large"}, nil
		}
		for _, v := range values {
			if int64(len(v)) > s.c.l.cfg.MaxHeader {
				return nil, &fault{kind: headerTooLarge, reason: "Header value is too large"}, nil
			}
			size += len(name) + len(v)
		}
		req.Header = append(req.Header, app.Field{Name: strings.ToLower(name), Value: values[0]})
	}
	if count > s.c.l.cfg.MaxHeaders {
		return nil, &fault{kind: headerTooLarge, reason: "Too many headers"}, nil
	}
	if size > s.c.l.cfg.headMax() {
		return nil, &fault{kind: headerTooLarge, reason: headTooLargeReason}, nil
	}
	if r.ContentLength > s.c.l.cfg.MaxBody {
		return nil, &fault{kind: bodyTooLarge, reason: bodyTooLargeReason}, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, s.c.l.cfg.MaxBody+1))
	if err != nil {
		return nil, nil, err
	}
	if int64(len(body)) > s.c.l.cfg.MaxBody {
		return nil, &fault{kind: bodyTooLarge, reason: bodyTooLargeReason}, nil
	}
	req.Body = owned(body)
	return req, nil, nil
}

// send writes a response to its stream.
func send(w http.ResponseWriter, method string, resp *app.Response) {
	status := finalStatus(resp.Status)
	body := bodyOf(status, resp)
	header := w.Header()
	// Present without values: neither is made up.
	header["Date"], header["Content-Type"] = nil, nil
	length := strconv.Itoa(len(body))
	for _, f := range resp.Header {
		switch {
		case equalName(f.Name, "content-length"):
			if method == http.MethodHead {
				length = f.Value
			}
		case isName(f.Name) && !framesMessage(f.Name):
			header.Add(f.Name, f.Value)
		}
	}
	header.Set("Content-Length", length)
	if resp.Close {
		header.Set("Connection", "close") // http2 sends GOAWAY for it
	}
	w.WriteHeader(status)
	if method != http.MethodHead {
		_, _ = w.Write(body) // fails only if the stream has ended
	}
}
