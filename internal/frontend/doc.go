// Package frontend is how a request reaches code: it chooses the application
// by path, finds the endpoint, decides which node answers, authenticates the
// caller, runs the handler on a transaction, retries on conflict, submits what
// was written and answers.
//
// What it is not: it frames no HTTP (httpd), talks to no other node itself
// (Cluster does), knows no endpoint but the common ones (commit, tx, receipt,
// api), and holds no state that replicas must agree on.
//
// Invariants: a handler's writes are submitted only for a 2xx answer unless it
// decided otherwise; an answer to a write leaves after consensus has ordered
// it; every error body is made by one function; a request is forwarded once at
// most, and what is forwarded runs on a node that leads or not at all; the
// answers of a session come from one view.
//
// It starts no goroutine: requests run on the goroutine of their connection.
// Reading order: server.go, router.go, execute.go, wait.go, common.go,
// openapi.go; then, for several nodes, cluster.go, route.go, session.go,
// forward.go, wire.go, decode.go, linearizable.go, routing.go.
package frontend
