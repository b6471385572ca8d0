// Package node is a node's life: it reads what its configuration names, makes
// the node's and the service's identity, starts consensus, the front end and
// the listeners, and ends them in order. It owns and wires everything below
// it, and has the /node endpoints.
//
// What it is not: it parses no command line and handles no signal (serve).
//
// Invariants: effects on the process (a certificate served, a front end
// opened) follow only from committed state, so that every node does the same
// thing for the same reason; private keys stay in this process's memory.
//
// Goroutines: Run starts one for the replica, one for each listener and one
// for the node-to-node listener, all under one errgroup that ends with its
// context.
//
// Reading order: node.go, start.go, files.go, identity.go, genesis.go,
// hooks.go, effects.go, shares.go, receipt.go, and the endpoints in api_*.go.
package node
