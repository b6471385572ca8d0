// Package kv is the key-value store: maps by name, byte keys and values,
// snapshots at any uncommitted sequence number, optimistic transactions, roll
// back and compaction, and the form that a write set has in the ledger.
//
// What it is not: it knows no table of CCF's, decides no order of
// transactions, and writes no file. Whoever orders transactions calls Check
// and then Commit.
//
// How it works. Each key of a map is one cell with the newest version in it
// and older versions linked behind. Versions carry stamps, numbers that rise
// with each commit and each roll back and are never used twice; a snapshot is
// a stamp, and a reader takes the newest version at or below its own. A roll
// back writes what was there before as versions of a new stamp, so snapshots
// taken earlier stay whole, even those of transactions that were undone.
// docs/decisions/001-kv.md compares this with persistent trees.
//
// Invariants:
//
//   - One goroutine, the writer, calls Check, Commit, Rollback and Compact;
//     everything else may be called from any goroutine.
//   - A version that a pinned snapshot can see is never freed. Begin and
//     BeginAt pin, Release unpins.
//   - What compaction does follows the number of writes since the last one,
//     never the size of the store.
//   - Bytes that were handed out are never written again. Commit copies what
//     it stores.
//   - No lock is held while a caller's function runs.
//
// The package starts no goroutine.
//
// Reading order: store.go, tx.go, overlay.go, read.go, then the inside:
// table.go, cell.go, order.go, pin.go, compact.go, rollback.go; writeset.go
// and codec.go for the ledger's form; snapshot.go for walks over everything
// load.go for filling an empty store and advance.go for one that was left behind.
package kv
