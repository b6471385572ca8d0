// Package managed tests the managed service's reconciler with real processes: nodes
// of networks are killed, and so is the control plane, at every step of what it does.
//
// The tests have the build tag e2e and need bin/, which `make build` makes.
package managed
