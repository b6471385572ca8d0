// Package httpd is the wire side of a client interface: it binds, caps and
// closes sessions, does TLS, and frames HTTP/1.1 and HTTP/2, so that a Handler
// sees one complete app.Request after the other. An interface on UDP echoes what
// it gets, as CCF's does.
//
// What it is not: it routes nothing, authenticates nobody and retries nothing
// (frontend does). It is no general web server: the bodies of requests are in
// memory, there is no upgrade, no compression. A response may be written as it
// comes (app.Response.Stream): what it holds is then one write, and a client
// that takes nothing of it for long is closed.
//
// Invariants:
//   - What one client can make it hold is bounded by the limits of Interface,
//     checked while bytes arrive, never after.
//   - HTTP/1 is refused at its first bad byte. A message that could be framed in
//     two ways is refused, so that nothing can be smuggled past a proxy.
//   - Requests of one HTTP/1 session are served in order, one at a time, on the
//     goroutine of that session.
//   - A session always carries the certificate of its own TLS handshake: there
//     is no resumption.
//   - Nothing is written to standard error; what the libraries log goes to the
//     given logger at debug level.
//
// A Handler must not panic. A panic in it is a broken invariant of the node and
// ends the process, over either protocol: answering or closing would hide it.
//
// Goroutines: Listener.Serve starts one for each session, ended by the session's
// end; one sweeper that ends idle sessions, ended with Serve; golang.org/x/net/http2
// starts its own within a session, one for each stream. A panic of a stream's
// handler is thrown again on a goroutine of its own, since that library would
// swallow it.
//
// Reading order: httpd.go, listener.go, admit.go, tls.go, conn.go, http1.go,
// head.go, field.go, chunk.go, request.go, response.go, stream.go, http2.go,
// echo.go.
package httpd
