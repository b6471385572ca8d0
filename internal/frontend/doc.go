// Package frontend is how a request reaches code: it chooses the application
// by path, finds the endpoint, authenticates the caller, runs the handler on a
// transaction, retries on conflict, submits what was written and answers.
//
// What it is not: it frames no HTTP (httpd), knows no endpoint but the common
// ones (commit, tx, receipt, api), and holds no state that replicas must agree
// on.
//
// Invariants: a handler's writes are submitted only for a 2xx answer unless it
// decided otherwise; an answer to a write leaves after consensus has ordered
// it; every error body is made by one function.
//
// It starts no goroutine: requests run on the goroutine of their connection.
// Reading order: server.go, router.go, execute.go, wait.go, common.go,
// openapi.go.
package frontend
