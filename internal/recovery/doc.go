// Package recovery reads a ledger back: first the public part, as far as
// signatures vouch for it, and later, once the ledger secrets are known, the
// private one.
//
// What it is not: it neither starts a service nor takes part in consensus, it
// asks nobody for shares, and it changes no file. Package node does that.
//
// Invariants: what [Public] leaves in a store is what the last signature covers
// that verified and that the service's key vouches for, and that signature; private
// maps are handed out only when the tree over the entries that were read is the one
// of the public part.
//
// [Public] starts goroutines that read and decode ahead, GOMAXPROCS of them and one,
// and as many for signatures; [Private] some that decrypt ahead. All end before
// the call returns that started them. A [Private] belongs to one goroutine, except
// where it says otherwise.
//
// Reading order: ahead.go, public.go, secrets.go, private.go.
package recovery
