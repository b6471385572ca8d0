// Package cli is the command tree of synod: what people type, what they read
// back, and the exit codes.
//
// What it is not: it holds no logic of the service. Commands are thin: they
// read flags and files, call client, bundle, audit, receipt or node, and print
// one result.
//
// Conventions kept by every command: --help with an example; -o table (one
// line, or a table) or -o json on standard output; what went wrong on standard
// error, with a hint on a line of its own; the exit codes of ExitOK and its
// siblings; private keys are written with mode 0600 and never printed.
//
// Goroutines: sandbox starts the node's and one that waits for signals; the
// other commands start none.
//
// Reading order: cli.go, output.go, conn.go, then a file for each command:
// sandbox.go, keygen.go, member.go, user.go, proposal.go, prepared.go, app.go,
// receipt.go, ledger.go.
package cli
