// Package apptest runs an application's endpoints in the test's own process:
// the real front end, authentication, key-value store, consensus of one and
// ledger, without a socket. A service starts in a few milliseconds.
//
//	svc := apptest.New(t, bank.New(), apptest.WithUser("alice", nil))
//	svc.As("alice").Post("/accounts", account{Owner: "alice"}).Expect(200)
//
// What it is not: /gov and /node are not there, nor what HTTP itself does
// (parsing, limits, TLS). Users, members and issuers are what the options say,
// as if governance had added them.
//
// A Service may be used from several goroutines, a Client and an Answer by one
// each. Failures of expectations end the test, as t.Fatal does.
//
// Goroutines: those of consensus, ended by the test's cleanup.
//
// Reading order: service.go, option.go, client.go, answer.go, state.go.
package apptest
