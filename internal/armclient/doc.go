// Package armclient calls a management API in the manner of Azure Resource
// Manager: requests by resource ID, error bodies, pages, and operations that
// go on after the answer.
//
// What it is not: it knows no resource type and keeps no state; it does not
// retry changes. It believes only the server whose authority it was given.
//
// Reading order: client.go, operation.go.
package armclient
