// Package receipt reads, makes and verifies receipts: proofs, checked offline
// with a service's certificate alone, that a transaction is in its ledger.
// There are two forms of the same proof: JSON, signed by a node whose
// certificate the service endorsed ([Parse]), and COSE, signed by the service
// itself ([ParseCOSE]). Both are CCF's, byte for byte
// (CCF: include/ccf/receipt.h, python/src/ccf/receipt.py, python/src/ccf/cose.py).
//
// What it is not: it asks no service and reads no clock. Certificates are not
// checked against the time: a receipt outlives them.
//
// Invariants: a receipt that verifies was signed by the trusted service or by
// an identity that it endorses, over a root that the transaction is under;
// parsing is strict (known fields, once, in lower-case hex and canonical
// base64 and PEM), so that a receipt has one form and no bit of it may change.
//
// It starts no goroutine; a parsed receipt may be used from several.
//
// Reading order: receipt.go, json.go, verify.go, chain.go, cose.go.
package receipt
