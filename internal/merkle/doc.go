// Package merkle keeps the append-only hash tree over the ledger: SHA-256, with
// the shape of RFC 6962 but without its prefixes, so that leaf i is the leaf of
// the entry at seqno i and leaf 0 is 32 zero bytes
// (CCF: 3rdparty/internal/merklecpp/merklecpp.h, src/node/history.h).
//
// What it is not: it knows no entry and no signature, and it hashes no leaf; it
// is handed leaves as 32 bytes.
//
// Invariants: every complete subtree is hashed once, when its last leaf is
// appended; a lone node at the end of a level is promoted unchanged; leaves
// below MinIndex are gone, and what is kept of them is enough for the root, the
// path and the serialised form of every leaf from MinIndex on.
//
// It starts no goroutine; a Tree may be used from one goroutine at a time.
//
// Reading order: path.go, tree.go, level.go, serialise.go.
package merkle
