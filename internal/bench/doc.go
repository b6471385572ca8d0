// Package bench measures running services as their users would: closed-loop load
// over HTTP/1.1 and mutual TLS, latency of answers and of commit, the processor
// time that each serving process spends for a request, what failures and new
// nodes cost, what a recovery takes and what a node holds in memory, and an etcd
// server beside it all.
//
// What it is not: a test. It prints figures and judges nothing; the goals that
// it prints beside them are those of the project's baseline.
//
// It starts one goroutine for each connection of a load and a few beside it, and
// none outlives the call that started it.
//
// Reading order: load.go, process.go, commit.go, service.go, etcd.go, suite.go,
// then one file for each section.
package bench
