// Package tables names every built-in map of the key-value store, gives the
// Go types of their values and says who may touch a map of a given name.
//
// What it is not: it holds no state and no rule of governance; it reads and
// writes through a transaction that the caller has ([Reader], [Writer]).
//
// How keys and values are written (CCF: include/ccf/kv/serialisers/,
// include/ccf/service/map.h); the comments on the names use these words:
//
//   - raw: the bytes themselves. Identifiers are their 64 hex characters.
//   - json: compact JSON text. Go types here declare their fields in
//     ascending order of JSON keys, since some of CCF's clients compare text.
//   - unit: 8 zero bytes ([UnitKey]); the key of a table that holds one value
//     and the value of a table that is a set.
//
// The constitution writes the same tables with JSON.stringify, so readers
// parse and never compare bytes; unknown fields are ignored.
//
// The package starts no goroutine; everything in it may be used from several.
//
// Reading order: names.go, access.go, helper.go, then the types: node.go,
// service.go, member.go, secret.go, script.go, attestation.go.
package tables
