// Package provision keeps networks as their users want them: it starts their
// nodes, replaces those that die, changes how many there are and what they run,
// renews certificates, and gives each network one address that stays.
//
// A [Manager] has one worker per network. It looks (at the driver's nodes, at what
// the network says of itself), asks [Plan], a pure function of what is wanted and
// what was seen, takes the steps, tells the store what it saw, and begins again. It
// remembers nothing that matters: whoever kills this process at any point finds the
// same work done by the next one.
//
// What always holds:
//   - A node is added before one is let go, one change of membership at a time, and
//     none that leaves without a majority. The primary goes last.
//   - An ordinal is never used twice; a node never comes back as itself.
//   - What nodes leave on disk is kept while it may be all that is left: until a
//     service is open again.
//   - A network that could not be made leaves nothing behind.
//   - A create has succeeded only once the network's endpoint was seen to answer
//     with the certificate that the identity service tells.
//
// The [Operator] is a member of every network, and passes alone what running nodes
// takes and nothing else (constitutions/managed). It holds a recovery share only in
// networks whose members bring no keys of their own.
//
// What it is not: it serves no API (package arm) and starts no process itself (a
// [Driver] does, see the folder process). It sees no private data: TLS ends in the
// nodes.
//
// Goroutines: see docs/goroutines.md. A Manager may be used from several.
//
// Reading order: plan.go, driver.go, observe.go, worker.go, execute.go, manager.go;
// then operator.go, signer.go, release.go, endpoint.go, status.go, sample.go.
package provision
