// Package ledger reads and writes CCF's ledger files, byte for byte, and is the
// only storage under the replica's log: seqno is raft's index, the view in an
// entry's initialisation vector is raft's term, and there is no second log.
//
// What it is not: it holds no key and no tree. It checks an entry's structure
// (version, sizes, seqno, view, type); whether the bytes are genuine is decided
// above it by the tag, the Merkle root and the signatures. It does not decide
// where chunks end: the flags of the entries do (chunk sizes and requests are
// the machine's affair). It does not look into map blocks, except to tell a
// signature from other entries.
//
// Invariants:
//
//   - When Append returns nil, its entries and the names of their files are on
//     disk. Entries become readable after that and never before.
//   - Nothing at or below Commit's seqno is ever cut or rewritten.
//   - A positions table is on disk before the header that points to it, and a
//     chunk is complete on disk before the next one is created or it is renamed.
//   - A file is CCF's format after every step, crashes included, except for a
//     tail that Open finds and cuts.
//   - After an I/O error that leaves the disk's state unknown (a failed sync
//     above all) the log refuses to write, with the same error, until reopened.
//
// Log may be used from several goroutines: one writer at a time (the others
// wait), readers without waiting for the disk work of the writer. The package
// starts no goroutine.
//
// Reading order: entry.go and name.go (one entry, one file name), chunk.go (one
// file), open.go, append.go, truncate.go, skip.go, commit.go, read.go and late.go (the Log
// over many files), walk.go (for verifiers), snapshot.go, fs.go and slow.go (the disk below;
// package faultfs is its simulated twin). The format, byte by byte, is in
// docs/formats/ledger.md.
package ledger
