// Package bench measures a running node as its users would: closed-loop load
// over HTTP/1.1 and mutual TLS, latency of answers and of commit, and the
// processor time that the serving process spends for each request.
//
// What it is not: a test. It prints figures and judges nothing; the goals that
// it prints beside them are those of the project's baseline.
//
// It starts one goroutine for each connection of a load, and none outlives the
// call that started it.
//
// Reading order: load.go, process.go, commit.go, service.go, suite.go, script.go.
package bench
