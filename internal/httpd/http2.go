package httpd

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http2"

	"synod"
	"synod/app"
)

// serveHTTP2 serves a connection of an HTTP/2 interface. What does not start
// with the client preface is closed without a byte.
func (c *serverConn) serveHTTP2(ctx context.Context) {
	cfg := c.listener.cfg
	preface := make([]byte, len(http2.ClientPreface))
	n, err := io.ReadFull(c.conn, preface)
	if string(preface[:n]) != http2.ClientPreface[:n] || err != nil && n > 0 {
		c.listener.count.parsing.Add(1)
		return
	}
	if err != nil {
		return
	}
	server := &http2.Server{
		MaxConcurrentStreams:         cfg.HTTP2.MaxStreams,
		MaxReadFrameSize:             cfg.HTTP2.MaxFrame,
		MaxUploadBufferPerStream:     cfg.HTTP2.InitialWindow,
		MaxUploadBufferPerConnection: max(cfg.HTTP2.InitialWindow, 1<<16),
	}
	base := &http.Server{
		MaxHeaderBytes: int(min(cfg.MaxHeader*int64(cfg.MaxHeaders), 1<<24)),
		ErrorLog:       log.New(debugWriter{c.listener}, "", 0),
	}
	server.ServeConn(&replayConn{Conn: c.conn, ahead: preface, used: c.touch}, &http2.ServeConnOpts{
		Context: ctx, BaseConfig: base, Handler: &stream{conn: c, ctx: ctx}, SawClientPreface: false,
	})
}

// debugWriter takes the library's log lines.
type debugWriter struct{ l *Listener }

func (w debugWriter) Write(b []byte) (int, error) {
	w.l.debug("http2", errors.New(strings.TrimSpace(string(b))))
	return len(b), nil
}

// replayConn reads again what was read ahead.
type replayConn struct {
	net.Conn
	ahead []byte
	used  func()
}

func (r *replayConn) Read(b []byte) (int, error) {
	if len(r.ahead) > 0 {
		n := copy(b, r.ahead)
		r.ahead = r.ahead[n:]
		return n, nil
	}
	n, err := r.Conn.Read(b)
	r.used()
	return n, err
}

// stream adapts net/http's handler, which the library calls for each stream.
type stream struct {
	conn *serverConn
	ctx  context.Context
}

func (s *stream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	cfg := s.conn.listener.cfg
	req, err := s.request(r)
	resp := &app.Response{}
	switch {
	case errors.Is(err, errHeaderTooLarge):
		s.conn.listener.count.header.Add(1)
		tooLarge(resp, 431, synod.CodeRequestHeaderTooLarge, "The request header is larger than this interface takes.")
		resp.Close = true
	case errors.Is(err, errBodyTooLarge):
		s.conn.listener.count.payload.Add(1)
		tooLarge(resp, 413, synod.CodeRequestBodyTooLarge, "The request body is larger than the "+strconv.FormatInt(cfg.MaxBody, 10)+" bytes that this interface takes.")
		resp.Close = true
	case err != nil:
		return
	default:
		session := s.conn.session // view and forwarding are per stream
		session.State = nil
		if resp = s.conn.handler.Serve(s.ctx, &session, req); resp == nil {
			resp = &app.Response{Status: 500}
		}
	}
	for _, f := range resp.Header {
		if f.Name != "content-length" || r.Method == "HEAD" {
			w.Header().Set(f.Name, f.Value)
		}
	}
	w.Header()["Date"] = nil
	if !(r.Method == "HEAD" && w.Header().Get("content-length") != "") {
		w.Header().Set("content-length", strconv.Itoa(len(resp.Body)))
	}
	if resp.Close {
		w.Header().Set("connection", "close")
	}
	w.WriteHeader(resp.Status)
	if r.Method != "HEAD" {
		_, _ = w.Write(resp.Body)
	}
}

func (s *stream) request(r *http.Request) (*app.Request, error) {
	cfg := s.conn.listener.cfg
	req := &app.Request{Method: r.Method, URL: r.RequestURI, ClientCert: s.conn.session.ClientCert}
	splitTarget(req)
	if len(r.Header) > cfg.MaxHeaders {
		return nil, errHeaderTooLarge
	}
	if r.Host != "" {
		req.Header = append(req.Header, app.Field{Name: "host", Value: r.Host})
	}
	for name, values := range r.Header {
		if int64(len(name)) > cfg.MaxHeader || int64(len(values[0])) > cfg.MaxHeader {
			return nil, errHeaderTooLarge
		}
		req.Header = append(req.Header, app.Field{Name: strings.ToLower(name), Value: values[0]})
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, cfg.MaxBody+1))
	if err != nil {
		return nil, localError("read body", err)
	}
	if int64(len(body)) > cfg.MaxBody {
		return nil, errBodyTooLarge
	}
	if len(body) > 0 {
		req.Body = body
	}
	return req, nil
}
