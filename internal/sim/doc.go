// Package sim simulates a service of several replicas: real consensus, machine,
// store and ledger on a clock, a network and disks of its own, in one goroutine.
// What happens follows from a seed, but for one thing: raft draws its election
// timeouts from the system's randomness, so that a seed that fails mostly, not
// always, does so again. After each step it checks what must always hold; at the end it heals
// everything and checks that the service comes back and that all nodes agree.
//
// What it is not: it has no HTTP, no governance and no processes; which nodes
// there are is a table that its own clients write.
//
// It starts no goroutine. Reading order: world.go, node.go, step.go, check.go.
package sim
