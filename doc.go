// Package synod holds the nouns that everybody in Synod shares: transaction
// identifiers and their status, the identifiers of nodes, members and users,
// and the one error shape that goes over the wire.
//
// It has no behaviour beyond parsing and printing, imports the standard
// library only, starts no goroutine, and every value in it may be used from
// several goroutines.
//
// Reading order: txid.go, errors.go.
package synod
