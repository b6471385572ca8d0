// Package jsapp lets a native application have JavaScript endpoints that the
// application itself installs, instead of governance: for users who program
// their own part of a service. It is CCF's DynamicJSEndpointRegistry
// (CCF: include/ccf/js/registry.h); the tables are the same, under a prefix.
//
// What it is not: it does not decide who may install, and it has no endpoints of
// its own. The application does both; examples/programmability shows how.
//
// Invariants:
//   - What is installed holds from the transaction that installs it, on every
//     node, as with bundles that members deploy.
//   - Scripts may touch what scripts of a bundle may, less what Config.Restrict
//     takes away.
//
// It starts no goroutine. Reading order: registry.go, bundle.go, audit.go.
package jsapp
