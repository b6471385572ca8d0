package httpd

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"

	"synod"
	"synod/app"
)

// serverConn is one accepted connection.
type serverConn struct {
	listener *Listener
	handler  Handler
	raw      net.Conn
	conn     net.Conn // raw, or TLS over it
	full     bool     // answered 503, whatever it asks
	session  Session

	lastUsed atomic.Int64 // unix nanoseconds
	busy     atomic.Bool  // a request is being answered
	closing  atomic.Bool  // close after the answer
}

func (c *serverConn) touch() { c.lastUsed.Store(time.Now().UnixNano()) }

// closeIdle makes a waiting read end; the connection's goroutine then closes
// it in order.
func (c *serverConn) closeIdle() { _ = c.raw.SetReadDeadline(time.Unix(1, 0)) }

func (c *serverConn) serve(ctx context.Context) {
	defer c.raw.Close()
	c.conn = c.raw
	if !c.listener.cfg.Unsecured {
		t := tls.Server(c.raw, c.listener.tls)
		hctx, cancel := context.WithTimeout(ctx, handshakeMax)
		err := t.HandshakeContext(hctx)
		cancel()
		if err != nil {
			c.listener.debug("handshake", err)
			return
		}
		if certs := t.ConnectionState().PeerCertificates; len(certs) > 0 {
			c.session.ClientCert = certs[0].Raw
		}
		c.conn = t
	}
	defer c.conn.Close()
	switch {
	case c.full:
		c.refuseFull()
	case c.listener.cfg.AppProtocol == "HTTP2":
		c.serveHTTP2(ctx)
	default:
		c.serveHTTP1(ctx)
	}
}

// refuseFull answers the first data of a session over the soft cap.
func (c *serverConn) refuseFull() {
	var b [1]byte
	if _, err := c.conn.Read(b[:]); err != nil {
		return
	}
	body, err := synod.Errorf(503, synod.CodeSessionCapExhausted,
		"Service is currently busy and unable to serve new connections").MarshalJSON()
	if err != nil {
		panic(err) // strings only: cannot fail
	}
	resp := &app.Response{Status: 503, Body: body}
	resp.Header.Set("content-type", "application/json")
	_, _ = c.conn.Write(appendResponse(nil, resp, false))
}
