// Package secrets keeps ledger secrets: the chain of keys that seal private
// data, the evidence that is derived from them, how they are split between
// recovery members and wrapped for nodes, and how recovery walks back through
// them (CCF: src/node/ledger_secret.h, src/node/share_manager.h,
// src/crypto/sharing.cpp).
//
// What it is not: it stores nothing and reads no table; who gets a share is
// decided elsewhere.
//
// Invariants: a secret or a share never prints itself; raw bytes leave only
// through Bytes and the encryption functions; the secret of an entry is the one
// with the greatest first seqno at or below it; a wrapping key, whose IV is
// always zero, wraps one secret only.
//
// It starts no goroutine. Chain and Secret may be used from several
// goroutines. Reading order: secret.go, evidence.go, chain.go, share.go,
// wrap.go, restore.go.
package secrets
