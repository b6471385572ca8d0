// Package secrets keeps ledger secrets: the chain of keys that seal private
// data, the evidence that is derived from them, and how they are split between
// recovery members and wrapped for nodes.
//
// What it is not: it stores nothing and reads no table.
//
// Invariants: a secret never prints itself; raw bytes leave only through
// Secret.Bytes, Wrap and the encryption functions; the secret of an entry is
// the one with the greatest first seqno at or below it.
//
// It starts no goroutine. Chain and Secret may be used from several
// goroutines. Reading order: secret.go, chain.go, share.go, wrap.go.
package secrets
