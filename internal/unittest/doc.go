// Package unittest runs an application's own unit tests: JavaScript or
// TypeScript files that use describe, test and expect, on the real engine and
// a real key-value store, in this process and without a service.
//
// What it is not: a service. There is no consensus, no ledger and no TLS;
// callers are what a test says they are, and only the form of their
// credentials is compared with an endpoint's policies.
//
// Each test has a store of its own. Calls of the application go through its
// endpoints and policies, each in its own transaction, and ccf.kv in a test
// sees what they committed.
//
// Reading order: run.go, service.go, harness.js.
package unittest
