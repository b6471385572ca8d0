// Package historical reads the past of a service from its ledger: any committed
// transaction, decrypted and checked, with what proves it to those who trust
// the service as it is now.
//
// What it is not: it decides nothing and writes nothing. It knows no application
// and no HTTP; package host hands it to handlers.
//
// What is read is believed only if the entry
//
//   - is of the view that consensus knows for its number,
//   - opens with the ledger secret for its number, tag and commit evidence, and
//   - lies under the root that the next signature transaction signs, which holds
//     for that transaction's own bytes, its tree and its node's signature.
//
// So a host that changes its files can refuse to answer, and no more. Secrets
// from before those that the node was given are found by walking back through
// the ledger itself, each encrypted with its successor.
//
// Invariants: what all requests hold together, with what is being fetched for them
// and the maps as they were, stays below the soft limit, or a request is refused; a
// state never changes once it is made, and is shared between the requests that ask
// for it.
//
// Goroutines: History.Run starts the workers that fetch and build, and one that reads the
// whole ledger for indexes. Everything else runs on its caller's goroutine and
// may be called from several.
//
// Reading order: history.go, request.go, fetch.go, signature.go, secret.go,
// state.go, proof.go, service.go; scan.go and follow.go for indexes; at.go,
// checkpoint.go, changes.go, public.go.
package historical
