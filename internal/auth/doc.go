// Package auth says who made a request: it tries an endpoint's policies on
// the TLS client certificate, the bearer token or the signed body, against
// the tables that the request's transaction sees.
//
// What it is not: it decides nothing about what a caller may do, keeps no
// registry of policies (see synod/app), and verifies no certificate chain;
// CCF's identities are certificates pinned in tables.
//
// Invariants:
//
//   - Every answer comes from the tables as the transaction reads them; a
//     [Cache] only spares work on the same bytes (parsing, hashing, verifying
//     a signature) and never holds a decision.
//   - Nothing that a client sends makes this package panic.
//   - Reasons are written for the client and name no other identity.
//
// The package starts no goroutine. Authenticate may run in several
// goroutines at once, also with one Cache.
//
// Reading order: authenticate.go, cert.go, cose.go, jwt.go, jwtkey.go,
// issuer.go, cache.go.
package auth
