// Package archive keeps copies of a network's ledger and snapshots outside
// the machines that run it: in a directory, or in a store that speaks S3.
//
// What it is not: it starts no node, asks no network for anything and decides
// no schedule; package provision does. It opens no private domain: what it
// copies is as public, and as encrypted, as a node's disk.
//
// A backup is a folder of a store:
//
//	<backup>/ledger/ledger_<first>-<last>.committed
//	<backup>/snapshots/snapshot_<seqno>_<evidence>.committed
//	<backup>/manifest.json
//
// The files are a node's own, so that a node can recover from them and CCF's
// tools can read them. The manifest lists each with its size and its SHA-256;
// it is written last, and what has no manifest is no backup. A backup that
// grows (Append) gets new files first, then the manifest that names them.
//
// Invariants:
//
//   - A manifest names only files that were read back from the store and found
//     equal to what was sent.
//   - The ledger files of a backup follow each other from the first entry
//     without a gap.
//   - Stores are not trusted: Fetch and Verify check each file against the
//     manifest, then the ledger as package audit does, since whoever writes the
//     files can write the manifest as well.
//   - No name of a file comes from a manifest without being parsed: a hostile
//     one cannot leave the folder.
//
// The package starts no goroutine of its own.
//
// Reading order: store.go, dir.go, s3.go, open.go (where files are);
// manifest.go, write.go, read.go (what a backup is).
package archive
