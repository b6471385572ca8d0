// Package faultfs is the simulated twin of the disk under package ledger, for
// tests alone. It holds files in memory, forgets at a crash what was not
// synced, tears what was under way, and fails on request.
//
// What it is not: a model of one file system. Ordered is the mild one (what was
// done first survives first), Unordered the hostile one that POSIX permits: any
// set of unsynced names and of unsynced sectors survives.
//
// Invariants: what a Sync covered survives in both; after a failed Sync what it
// should have covered never becomes durable, as on Linux; a crashed disk
// answers every call with ErrCrashed until it is rebooted as a new one.
//
// A Disk may be used from several goroutines. It starts none. Reading order:
// disk.go, crash.go.
package faultfs
