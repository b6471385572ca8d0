// Package config reads a node's configuration file: the JSON that CCF's nodes
// take (CCF: doc/host_config_schema/cchost_config.json), with the same keys,
// units and defaults.
//
// It reads the file and the files that it names, and nothing else: it binds no
// socket, creates no directory and looks at no environment variable.
//
// Invariants:
//   - A Config that Load or Parse returned has passed Validate.
//   - All faults of a file are reported in one *Error, each with its JSON path.
//   - Unknown keys are refused where CCF's schema refuses them; duplicate keys,
//     keys that match only when case is ignored, and trailing data everywhere.
//   - Of command.start, command.join and command.recover only the selected one
//     is looked at, as in CCF.
//   - Where CCF's template writes an empty string for a value that is not set,
//     an empty string means "absent".
//
// It starts no goroutine. A *Config may be read from several goroutines.
//
// Reading order: config.go, default.go, parse.go, network.go, command.go,
// reader.go, value.go, unit.go, validate.go, load.go, files.go.
package config
