// Package app is the SDK for applications: declare endpoints with their
// authentication policies, read and write maps, answer requests. Native
// applications, JavaScript bundles, /gov and /node are all an [App]; a front
// end has one way to run code.
//
// What it is not: it opens no socket and starts no node (see synod/serve),
// and it does not check credentials itself.
//
// A handler runs once for each attempt to commit its transaction: it may run
// several times for one request and must not keep state outside the
// transaction. A [Context] belongs to the goroutine that runs the handler.
//
// Reading order: app.go, endpoint.go, typed_endpoint.go, policy.go, context.go,
// request.go, node.go, tx.go, typed.go, single.go, schema.go.
package app
