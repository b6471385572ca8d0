// Package logapp is the logging application: users write numbered messages to
// a private or a public map, read them back, delete and count them. It has the
// paths, answers and stored bytes of CCF's sample of the same name
// (CCF: samples/apps/logging), as far as it goes: historical queries are not
// in it.
//
// It keeps no state outside the transaction but the committed index, and starts
// no goroutine.
//
// Reading order: app.go, record.go, etag.go, ways.go, index.go, proofs.go,
// custom.go, identity.go.
package logapp
