// Package process runs each node of a network as a process of this machine: the
// driver of the managed service that needs nothing else.
//
// Directories, below the one that New is given:
//
//	<network>/next                 the first ordinal that was never used
//	<network>/nodes/<ordinal>/     one node: node.json and spec.json, what it was
//	                               started with; process.json, which process it is;
//	                               what the node writes itself: its ledger, its
//	                               snapshots, its addresses, its certificate
//	<network>/logs/<ordinal>.log   its log, which outlives it; .1, .2 … are older
//
// Nodes live in process groups of their own and go on when this process ends. They
// are found again by their process ID, if the process began when that was written
// and has the node's configuration on its command line: another process that got
// the same number is not taken for a node.
//
// Invariants: an ordinal is never used twice in one network; whatever is written
// is whole, by a rename; a crash between any two lines leaves at most a node that
// Nodes lists and Stop removes. /proc is needed, so the driver runs on Linux.
//
// What it is not: it does not know what the nodes do, nor whether they should be
// there (see package provision).
//
// Goroutines: one per process that this one started, which waits for its end.
//
// Reading order: driver.go, start.go, config.go, find.go, log.go, limits.go.
package process
