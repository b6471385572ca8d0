// Package js runs JavaScript: the endpoints of an application bundle, the
// constitution and members' ballots. It has the engine (QuickJS-ng as
// WebAssembly, by two back ends behind one interface), the `ccf` object, the
// limits, and the application that serves a bundle from the tables.
//
// What it is not: it decides nothing of governance (package gov calls
// [Engine.CallGov]) and knows no node; what a script may cause outside its
// transaction comes in as [Effects] and [AppHost].
//
// Invariants:
//   - A script starts in a memory that is byte for byte the snapshot taken
//     when its program was loaded, unless its bundle asks for reuse.
//   - A script reads and writes tables only through its transaction, and each
//     access is checked here, in Go.
//   - Whatever a script does, the outcome is a value or an error: a fault of
//     the engine costs that instance and nothing else.
//   - Which program runs depends on the tables alone: programs are cached by
//     the hash of all that they were loaded from.
//
// An [Engine] may be used from several goroutines and starts none; each call
// runs on its caller's goroutine, with a timer as watchdog.
//
// Reading order: api.go, engine.go, guest.go, vm.go, snapshot.go, prelude.js,
// program.go, gov.go, app.go, execute.go; then the parts of `ccf`, one file
// each.
package js
