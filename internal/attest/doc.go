// Package attest makes and verifies evidence of what code a node runs and that
// the node holds its key. Evidence binds 32 bytes of report data: the SHA-256
// of the node's public key.
//
// It does not decide whether code may join a service: that policy is in the
// service's tables. Sources: CCF: src/pal/quote_generation.h,
// src/pal/attestation.cpp, include/ccf/ds/quote_info.h.
//
// Drivers: Virtual, for development, proves nothing and says so in its text;
// Refusing makes no evidence, for tests of the path without hardware. Verify
// is pure: no file, no clock, no network.
//
// A driver has a sealing key as well, for what the next process of the same code
// on the same platform may read: Virtual's is for development and says so.
//
// It starts no goroutine. Drivers and Verify may be used from several
// goroutines.
//
// Reading order: attest.go, virtual.go, refusing.go, seal.go.
package attest
