// Package gov is the governance of a service: members, proposals, ballots and
// the runs of the constitution, as the /gov endpoints in an app.App.
//
// What it is not: it authenticates nobody (internal/auth does, by the
// policies declared here), runs no script itself (internal/js) and changes
// nothing outside the request's transaction. What apply may do to the node
// comes from [Node.Effects] and takes effect when the transaction commits.
//
// Invariants:
//
//   - A request that fails leaves nothing: every error, a failed resolve or
//     apply included, drops the transaction.
//   - The proposal, the member's signed request and every effect of an
//     accepted proposal are writes of one transaction, so that an auditor can
//     replay them (CCF: doc/audit).
//   - Each evaluation of the constitution or of a ballot is one fresh run of
//     its module, limited by the service's runtime options or by the defaults
//     if these allow more.
//   - Every error answer is logged once, in app.handle.
//
// The package starts no goroutine. The App is read-only once made; handlers
// run in the goroutines of requests.
//
// Reading order: gov.go, version.go, ident.go, create.go, replay.go,
// resolve.go, script.go, proposal.go, ballot.go, ack.go, recovery.go; then
// what the service shows of itself: service.go, module.go, policy.go, jwk.go,
// entity.go, node.go, transaction.go, openapi.go; and jwtkey.go for apply.
package gov
