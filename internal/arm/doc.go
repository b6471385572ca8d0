// Package arm is the control plane's face: the resource model of managed
// networks, the store that keeps what users want and what the reconciler saw,
// and the REST API over it that Azure's SDKs speak (Azure Resource Manager,
// type Microsoft.ConfidentialLedger/managedCCFs). It also holds who may do what
// (authentication, roles, audit) and the identity service.
//
// It is not the reconciler: it knows no driver and reaches no node. A write
// here stores a desired state and an operation; package provision works toward
// the one, reports on the other, and writes the status that reads answer with.
//
// What always holds:
//
//   - A network has at most one running operation. Delete alone may start while
//     another runs, and ends it.
//   - What a client wrote is in the store with its operation and its audit entry,
//     or none of them is.
//   - An operation's end is written once and never changes.
//   - What may hold a secret of the client's (storage URIs with their tokens) is
//     encrypted in the store, and is in no log, error or answer.
//   - Names are compared without case; answers keep the case that was first
//     written.
//
// Read network.go and operation.go for the nouns, store.go and its neighbours
// for the state, server.go for the way of a request.
package arm
