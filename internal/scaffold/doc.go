// Package scaffold writes the first files of an application, in TypeScript or
// in Go, such that they build, run and pass their tests at once.
//
// Reading order: scaffold.go, templates.
package scaffold
