// Package govaudit replays the governance of a service from its ledger: every
// signed request of a member is verified and run again on the state before
// it, and every write to a table of governance must be what that run gives, or
// be one that nodes make by themselves. It is what synod ledger verify
// --governance does after integrity.
//
// What it is not: it judges no application data, opens no private domain, and
// believes the integrity of the entries, which package audit verifies in the
// same pass.
//
// How it works. The public tables of governance are rebuilt in a kv.Store. A
// transaction that holds a signed request is given to the handlers of package
// gov, on the state before it; what they would write is compared with what the
// ledger holds, row by row, and the ledger's rows are then installed whatever
// they are. What only the node could make (shares, wrapped secrets,
// certificates, endorsements) is taken from the ledger after a look at its
// form and, for certificates and endorsements, its signature.
//
// A run that gives something else twice, with another clock and other random
// numbers, cannot be judged and is reported as such.
//
// The package starts no goroutine of its own; a replay belongs to one.
//
// Reading order: report.go, directory.go, replay.go, transaction.go,
// request.go, proposal.go, ack.go, effects.go, framework.go, create.go, node.go.
package govaudit
