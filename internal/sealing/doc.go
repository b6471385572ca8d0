// Package sealing keeps on a node's disk, encrypted with a key of its platform,
// what a service needs to come back without recovery shares: its ledger secrets
// and its private key. Members decide whether it may; see package node.
//
// Two kinds of file are in the directory. service.sealed.json is Synod's: all of
// it, from which a service resumes. <seqno>.sealed.json are CCF's, one ledger
// secret each, which take the place of recovery shares in a recovery that members
// vote on (CCF: src/node/local_sealing.h).
//
// What it is not: it does not decide whether what it reads may be used; Service
// says what it was sealed for, and Fits compares that with a ledger.
//
// Invariants: nothing secret is written in plain or in an error; a file is whole
// or not there, whenever the process or the machine dies; what the header of a
// file says is authenticated by its key.
//
// It starts no goroutine. A Dir may be used by one goroutine at a time. Reading
// order: dir.go, service.go, secret.go, fits.go. The files, byte by byte, are in
// docs/formats/sealed.md.
package sealing
