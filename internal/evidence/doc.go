// Package evidence keeps the Merkle tree over the ledger and makes what proves
// it: signature transactions and receipts.
//
// What it is not: it neither decides when to sign (consensus does) nor orders
// anything; it holds no state but the tree.
//
// Invariants: leaf i of the tree is the leaf of the entry at seqno i, leaf 0 is
// 32 zero bytes; a signature at seqno s covers the root over 0..s-1 and never
// itself; leaves below the last service commit are flushed and cannot be
// retracted.
//
// Signer.Sign starts a goroutine and waits for it. Reading order: tree.go, sign.go.
package evidence
