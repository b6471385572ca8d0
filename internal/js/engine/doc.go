// Package engine is QuickJS-ng 0.17.0: the WebAssembly file that the npm
// package quickjs-wasi carries, and the same file translated to Go by
// wasm2go. Neither is ours, so neither is committed: `make generate` (or
// `go run ./tools/js-engine`) fetches, checks and translates it here, and a
// build without it fails at runMakeGenerateFirst below.
//
// What it is not: an API for running scripts. Its functions are the engine's
// C functions on raw pointers into the module's linear memory; package js is
// the only importer.
//
// Invariants: a [Module] belongs to one goroutine at a time, except
// [Module.Kill]. Whatever a script or a fault of the engine does, it changes
// only its own module's memory, and the worst outcome of a call is a panic
// with a value of type error or string, which callers recover and after which
// they drop the module. The package starts no goroutine.
//
// Reading order: guard.go; the generated files are not for reading.
package engine

// The generated embed_gen.go declares it.
const _ = runMakeGenerateFirst
