// Package host answers what an application's handlers may ask of their node:
// what is committed, proofs of it, and indexes that follow it. It is the
// [app.Node] of a real node and of package apptest.
//
// What it is not: it serves no endpoint and decides nothing. A proof is made
// from the ledger and what consensus says is committed; an index is told only
// of what is committed.
//
// It starts no goroutine. Indexes run on the goroutine that commits.
//
// Reading order: host.go, proof.go, index.go.
package host
