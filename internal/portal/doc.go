// Package portal serves the browser portal of the managed service: its files,
// which are compiled in, sessions for browsers, a small API of views, and a way
// through to the nodes of a network, which a page cannot reach by itself because
// it cannot trust a service's own certificate.
//
// What always holds:
//
//   - The portal is a courier. Members' keys never reach it; what members sign is
//     signed in the browser and passes as it is. It presents no identity of its
//     own to a node.
//   - A session is a bearer token, sealed in a cookie with the server's key: the
//     portal may do what the token may, each time asked anew of the ARM API. No
//     table of sessions is kept, and none is lost when the server restarts.
//   - A changing request carries the portal's own origin and a content type that
//     no form can send.
//   - Bodies that pass through are bounded and never logged.
//
// The files are those of the top-level folder portal, built by Vite into dist and
// compressed there; only the compressed form is embedded. A build with the tag
// noportal has none; one without built files answers with how to build them.
//
// Goroutines: one per open event stream, the request's own.
//
// Reading order: portal.go, session.go, static.go, views.go, node.go, events.go,
// ledger.go, logs.go.
package portal
