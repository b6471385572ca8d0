// Package propdiff shows what a proposal would change: it runs the
// constitution in force on a copy of the tables and compares.
//
// What it is not: a vote, or a promise. The tables may change before the
// proposal is decided, and what a node adds by itself, such as shares and
// certificates, is named but not made.
//
// Reading order: state.go (the copy), preview.go.
package propdiff
