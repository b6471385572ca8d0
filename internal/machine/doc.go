// Package machine does one ordered entry, both ways: Order turns an executed
// transaction into the bytes of its ledger entry and its effect on store and
// tree; Receive and Install turn the bytes of an entry back into that effect;
// Undo takes either back. The replica, recovery and verification all use the same code.
//
// What it is not: it does not decide order (consensus does), touch the disk or
// the network.
//
// Invariants: tree and chunk bookkeeping always stand at the end of the log,
// the store there too on a leader and at raft's commit on a follower; an entry's initialisation vector is its own (view, seqno); entries
// below the last Commit are never undone.
//
// It starts no goroutine; one goroutine calls everything but Prepare. Reading
// order: prepare.go, machine.go, receive.go, chunk.go, due.go.
package machine
