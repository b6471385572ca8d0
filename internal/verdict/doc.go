// Package verdict says what a check found, step by step: the object that
// `synod receipt verify -o json` and `synod ledger verify -o json` print and that the portal's
// verifier shows. It judges nothing itself: packages receipt and audit do.
//
// Everything here is a pure function over bytes and files and may be used from
// several goroutines. No clock, no network.
//
// Reading order: receipt.go, ledger.go.
package verdict
