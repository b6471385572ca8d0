// Package client talks to one service over HTTPS as its applications, members
// and operators do: it trusts the service's certificate and nothing else,
// decodes errors to *synod.Error, retries what is safe to retry, waits for
// commit, fetches and verifies receipts, and signs governance requests with a
// key file or with a key that it never sees.
//
// What it is not: it imports no server code, keeps no credentials on disk, and
// does not judge a constitution or a proposal.
//
// Invariants: a request body is sent again only if the service said that it
// did nothing (503 with retry-after, a redirect) or if the method is GET or
// HEAD; every loop is bounded by a count, a time or the context.
//
// A [Client] and a [Member] may be used from several goroutines. The package
// starts no goroutine of its own.
//
// Reading order: client.go, request.go, commit.go, receipt.go, signer.go,
// governance.go.
package client
