// Package observe reads what nodes say of themselves: their logs, whose lines it
// parses, follows across rotations and exports, and their metrics, which it turns
// into Prometheus's text form.
//
// What it is not: it decides nothing by what it reads, and it stores nothing but how
// far an export has come.
//
// Invariants:
//
//   - A line is told once: a Cursor says where the next one begins, in the newest
//     file or in the one before it.
//   - An export goes on where the receiver has confirmed: what it did not take is
//     sent again.
//   - What is read at a time is bounded, however much nodes write.
//
// Reading order: line.go, tail.go, export.go, scrape.go.
package observe
