// Package sourcemap turns the lines of a script's stack trace, which name the
// modules of a bundle, into lines of the sources that the bundle was built
// from.
//
// What it is not: it builds nothing (see internal/bundle), and it does not
// change what nodes answer; their traces keep CCF's form.
//
// A trace has lines without columns, so a generated line is taken for the
// source line that its first mapping names.
package sourcemap
