// Package logfmt is a slog.Handler that writes log lines in the two formats of
// CCF's nodes, Text and Json (CCF: include/ccf/ds/logger.h), so that tools which
// read those lines read ours.
//
// It decides nothing about what is logged and rotates nothing.
//
// Invariants:
//   - A record is one line and one Write. Control characters in messages and
//     values are escaped, so that what a client sends cannot forge a line.
//   - An attribute named "tag" at the top is the line's tag; every other
//     attribute follows the message as " key=value".
//   - Values that implement slog.LogValuer are asked for what to show.
//
// It starts no goroutine. A handler may be used from several goroutines; the
// only lock is held around Write.
//
// Reading order: level.go, handler.go, line.go, value.go.
package logfmt
