// Package identity makes and reads keys, certificates and the identifiers
// derived from them, as CCF does (CCF: src/crypto/openssl/key_pair.cpp,
// src/crypto/certs.h, python/utils/keygenerator.sh).
//
// What it is not: it keeps no key, reads no clock and no file, and decides
// nothing about trust; the time is passed in.
//
// Invariants: a certificate's fields and extensions have the order, criticality
// and string types of CCF's, whose verifiers compare and copy them; a validity
// period has at least a day and ends before the year 10000.
//
// It starts no goroutine; everything in it may be used from several.
//
// Reading order: key.go, id.go, name.go, certificate.go, participant.go,
// time.go, digest.go.
package identity
