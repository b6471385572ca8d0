// Package httpd is the listeners of a node and the framing of HTTP on them:
// TLS, session caps, parsing limits, HTTP/1.1 by a loop of its own and HTTP/2
// by golang.org/x/net/http2. One Handler serves both.
//
// What it is not: it routes nothing, authenticates nobody and knows no
// endpoint.
//
// Invariants: what a client can make a connection hold is bounded by the
// interface's limits; a byte that cannot be part of a request is answered at
// once; requests of one HTTP/1 connection are answered in order; nothing is
// ever written to standard error.
//
// Goroutines: Serve accepts, and starts one for each connection, which ends
// with it, and one that closes idle connections; all end with Serve's context.
//
// Reading order: httpd.go, listener.go, session.go, parse.go, http1.go,
// http2.go.
package httpd
