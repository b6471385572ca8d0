// The verifier of the portal: what `synod receipt verify`, `synod ledger verify`
// and `synod ledger show` do, in a browser's worker. It reads files through
// the fs object that the page installs over those that were dropped on it, and
// has no network.
//
// It sets globalThis.synodVerifier with
//
//	receipt(body Uint8Array, options JSON) → JSON of verdict.Receipt
//	ledger(options JSON, progress (JSON) → void) → Promise of JSON
//	entry(dir, seqno) → JSON of verdict.Entry, or {"error"}
//
// and never returns.
package main
