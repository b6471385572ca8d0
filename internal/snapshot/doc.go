// Package snapshot makes CCF's snapshot files from a state of the key-value
// store and the store from such files, and keeps them in directories
// (CCF: src/node/snapshotter.h, src/node/snapshot_serdes.h, src/kv/snapshot.h,
// src/ds/champ_map.h, src/snapshots/).
//
// What it is not: it does not decide when a snapshot is due, orders no
// evidence transaction, makes no receipt and sends nothing; the layout of the
// entry's head and the file names are internal/ledger's. The format, byte by
// byte, is in docs/formats/snapshot.md.
//
// How it works. A snapshot is streamed in both directions: what is in memory
// at once is a few MiB and the index of one part of a map (64 bytes a key, for
// rowsMax keys or, where hashes crowd, twice as many), never a second copy of
// the state. Disks are not trusted: what is hashed while writing is compared
// with what is read back, and what is loaded is hashed as it is parsed, in one
// pass, so that nobody can change a file between check and use.
//
// Invariants:
//
//   - The same state makes the same bytes on every node: the initialisation
//     vector depends on the seqno alone, so it must.
//   - A file that is named .committed was whole on disk, receipt included,
//     before it got that name.
//   - A state is handed out only after the receipt verified under the given
//     service identity, the digest of what was parsed is the receipt's claim,
//     and (unless only the public part was asked for) the tag verified.
//   - Writing holds no lock of the store for longer than a batch of keys.
//
// The package starts no goroutine. Dir may be used from several; a Pending or
// an Incoming by one at a time.
//
// Reading order: order.go and write.go (state to entry), verify.go and
// load.go over source.go (file to state), dir.go, pending.go, incoming.go and
// collect.go (files).
package snapshot
