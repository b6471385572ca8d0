package logfmt

import (
	"fmt"
	"log/slog"
	"strings"
)

// CCF's levels as slog levels. Between them a level counts as the next lower
// one; slog.LevelError is "fail" too.
const (
	LevelTrace = slog.LevelDebug - 4
	LevelDebug = slog.LevelDebug
	LevelInfo  = slog.LevelInfo
	LevelFail  = slog.LevelWarn
	LevelFatal = slog.LevelError + 4
)

var levels = [...]struct {
	name  string
	level slog.Level
}{{"trace", LevelTrace}, {"debug", LevelDebug}, {"info", LevelInfo}, {"fail", LevelFail}, {"fatal", LevelFatal}}

// ParseLevel reads trace, debug, info, fail or fatal in any case, or 0 to 4
// (CCF: src/host/run.cpp, --log-level).
func ParseLevel(s string) (slog.Level, error) {
	for i, l := range levels {
		if strings.EqualFold(s, l.name) || s == string(rune('0'+i)) {
			return l.level, nil
		}
	}
	return 0, fmt.Errorf("log level %q: want trace, debug, info, fail or fatal", s)
}

// LevelName returns the name under which a record of level l is written.
func LevelName(l slog.Level) string {
	for i := len(levels) - 1; i > 0; i-- {
		if l >= levels[i].level {
			return levels[i].name
		}
	}
	return levels[0].name
}
