// Package consensus orders transactions: Replica owns raft, the order of
// persisting, sending and applying, views and sequence numbers, the timing of
// signatures, and who waits for what to be committed.
//
// The ledger is the raft log: raft index = seqno, raft term = view, one raft
// entry is one ledger entry, and ledger files are raft's only storage.
//
// What it is not: it does not encode entries (machine), sign (evidence),
// write files (ledger), open connections (peer), or know why a node is a member
// (node).
//
// Invariants:
//   - Nothing leaves before raft has taken it: if raft refuses a batch, its
//     bytes never left memory and the order is undone, so no (view, seqno) is
//     used for two things that anybody has seen.
//   - An entry counts toward commit when it is on disk.
//   - Two commit levels: raft's, and the service's, which is the last
//     signature at or below it. Only the second is shown.
//   - Never two signatures next to each other in one view.
//   - A leader's store stands at the end of its log, a follower's at raft's
//     commit; tree and chunk bookkeeping stand at the end of the log on both.
//   - What other nodes send is checked before it is stored: places, tags, roots,
//     and the newest signature of what has come.
//   - An entry changes the configuration exactly when it writes the row that says
//     so, and raft is asked for a change only when it cannot refuse.
//   - Raft's own entry at an election gets its bytes from the winner before it
//     is persisted or sent: the create transaction at seqno 1, a signature
//     otherwise.
//
// Goroutines: Replica.Run is the replica goroutine and starts the storage
// goroutine, the signing worker and the verifying worker; all end with its context. Everything that
// decides is in methods that the replica goroutine calls (order, step, tick,
// ready, sign), so that a simulation can call them instead.
//
// traps.md says which habits of the raft library all this guards against, and what
// holds each guard.
//
// Reading order: replica.go, order.go, ready.go, peers.go,
// membership.go, rescue.go, overtake.go, sign.go, commit.go, storage.go, store.go, wait.go.
package consensus
