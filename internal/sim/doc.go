// Package sim simulates a service of several replicas: real consensus, machine,
// store and ledger on a clock, a network and disks of its own, in one goroutine.
// What happens follows from a seed alone, raft's election timeouts included, in
// any process on any machine; with real signatures, all but their bytes. After
// each step it checks what must always hold; at the end it heals everything and
// checks that the service comes back and that all nodes agree.
//
// What it is not: it has no HTTP, no governance and no processes; which nodes
// there are is a table that its own clients write.
//
// It starts no goroutine. Reading order: world.go, node.go, step.go,
// fault.go, image.go, check.go, replay.go, end.go.
package sim
