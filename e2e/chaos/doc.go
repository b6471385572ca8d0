// Package chaos is a test of services of real synod-node processes that are
// killed, held up, cut off from each other, slowed down and robbed of their
// disks while clients write and read; dead nodes are replaced by new ones. At
// the end it checks what clients were told against the ledgers of all nodes
// that there ever were. It has the build tag e2e. `make e2e` runs it for half a
// minute, `make chaos` for as long as one likes.
//
// Nodes reach each other through proxies in this process: each node publishes
// the address of its own, which finds out whose connection it got and holds,
// delays or breaks it by the rules of the moment. Network namespaces would lose
// packets in the kernel instead, but need root and iproute2; proxies run
// everywhere, cut single directions, and what matters to the nodes is the same:
// silence, then what was sent before, late. Clients reach every node always, so
// that they ask those that are cut off, too.
//
// A seed decides which faults there are, and in what order. Their timing is that
// of real processes and does not repeat.
//
// Reading order: chaos_test.go, fault_test.go, service_test.go,
// network_test.go, client_test.go, recovery_test.go, check_test.go.
package chaos
