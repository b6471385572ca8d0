// Package cose reads and writes COSE_Sign1 messages (RFC 9052) and the strict
// subset of CBOR (RFC 8949) that they are made of: members' signed requests,
// the service's signatures over the ledger, COSE receipts and endorsements of
// older service identities.
//
// What it is not: it holds no key, looks up no signer and reads no clock.
//
// One encoding of a value is accepted and everything else refused: definite
// lengths, shortest integers, text that is UTF-8, no duplicate key, no trailing
// byte, integers and text as keys, and of the simple values false, true and
// null. Nesting and header sizes are bounded. What CCF's C++ and Python tools
// write is within that subset.
//
// Invariants: signatures are verified over the protected header as it was
// received, never over an encoding of ours; maps that we write keep the order
// in which CCF writes them, since they are signed as they are.
//
// It starts no goroutine; a Message may be read from several goroutines.
//
// Reading order: cbor.go, encode.go, message.go, sign.go, gov.go, ledger.go,
// proof.go, endorsement.go.
package cose
