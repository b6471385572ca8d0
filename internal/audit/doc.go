// Package audit decides how far a ledger can be believed, from its files and
// nothing else: it replays the public tables that matter for that, rebuilds
// the Merkle tree entry by entry and checks every signature transaction
// against it. It is the first half of a recovery and all of synod ledger
// verify.
//
// What it is not: it opens no private domain, needs no key, changes no file,
// and does not judge governance (whether votes sufficed): package govaudit
// does.
//
// What is checked (CCF: python/src/ccf/ledger.py):
//
//   - seqnos are 1, 2, 3, … and views never decrease;
//   - a signature's root is the root of the tree over all entries before it,
//     and so is that of the serialised tree beside it;
//   - the node's signature over the root is by the key of a node that the
//     ledger knows and that is not pending;
//   - the service's COSE signature is by the key of the service's certificate
//     at that point, and names this transaction;
//   - the service's status changes only as it may.
//
// An entry is believed when a signature after it verifies. What follows the
// last signature is reported as such: a recovery cuts it. The last signature
// is believed for what it signs; nothing covers its other bytes.
//
// A [Verifier] belongs to one goroutine; the [Check] values that it hands out
// are independent of it. [Directory] starts at most GOMAXPROCS goroutines for
// signatures, which end before it returns.
//
// Reading order: decode.go, verifier.go, state.go, signature.go, directory.go.
package audit
