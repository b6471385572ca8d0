// Package life kills a service of one node at the steps of its disk, one after the
// other, and sees that it comes back each time to all that was committed, or says
// why not: its first transactions, writes, ends of chunks, snapshots, rekeys,
// recoveries by shares and from what was sealed, each killed in turn. It also
// changes every byte of a small ledger and of a small snapshot.
//
// What it is not: it has no consensus (package sim has) and no interfaces. What a
// node does at these steps is done here by the same packages in the same order:
// machine and evidence, ledger, snapshot, recovery, sealing.
//
// It starts no goroutine of its own. Reading order: life.go, service.go, back.go,
// bug.go, flip.go.
package life
