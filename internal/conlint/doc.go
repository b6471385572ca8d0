// Package conlint says what a constitution lets whom do, and what is wrong
// with it: who passes which action alone, how many votes each takes, what
// throws, what is never reached.
//
// It reads the text as a tree to find names and branches, and then runs it on
// the real engine against made-up tables: consortia of several sizes, members
// of every kind that the text tells apart, every action that it knows.
//
// What it is not: a proof. A rule that asks for something that no made-up
// consortium has, such as a date or an application's row, is not seen to hold;
// the places that were never reached say where to read by eye. Nor a judge of
// a text that hides: it finds mistakes, not every malice.
//
// Reading order: report.go (what comes out), source.go, parse.go, names.go,
// probe.go, extent.go, run.go, world.go, request.go; then the steps of a lint:
// lint.go, load.go, validate.go, resolve.go, apply.go, judge.go, text.go.
package conlint
