package observe

import (
	"encoding/json"
	"strings"
	"time"
)

// Line is one line of a node's log.
type Line struct {
	Node   int       `json:"node"` // ordinal
	Time   time.Time `json:"time"`
	Level  string    `json:"level"`         // trace, debug, info, fail, fatal
	Tag    string    `json:"tag,omitempty"` // app, js, gov, …
	Source string    `json:"source,omitempty"`
	Text   string    `json:"text"`
}

// levels are a node's levels, least first (CCF: include/ccf/ds/logger_level.h).
var levels = []string{"trace", "debug", "info", "fail", "fatal"}

// severity orders levels; an unknown one is the least.
func severity(level string) int {
	for i, l := range levels {
		if l == level {
			return i
		}
	}
	return 0
}

// IsLevel says whether a node's log has a level of that name.
func IsLevel(level string) bool {
	for _, l := range levels {
		if l == level {
			return true
		}
	}
	return false
}

// Parse reads a line in either of CCF's formats (CCF: include/ccf/ds/logger.h):
//
//	2026-11-27T11:43:42.744553Z        100 [info ][js] src/file.cpp:61   | text
//	{"h_ts":"…","level":"info","tag":"js","file":"…","number":61,"msg":"text"}
//
// What is in neither is text without a level: a stack trace, for instance.
func Parse(text string) Line {
	if strings.HasPrefix(text, "{") {
		if l, ok := parseJSON(text); ok {
			return l
		}
	}
	if l, ok := parseText(text); ok {
		return l
	}
	return Line{Text: text}
}

func parseText(text string) (Line, bool) {
	head, message, ok := strings.Cut(text, " | ")
	if !ok {
		return Line{}, false
	}
	stamp, rest, ok := strings.Cut(head, " ")
	if !ok {
		return Line{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		return Line{}, false
	}
	_, rest, ok = strings.Cut(rest, "[")
	if !ok {
		return Line{}, false
	}
	level, rest, ok := strings.Cut(rest, "]")
	if !ok {
		return Line{}, false
	}
	l := Line{Time: at, Level: strings.TrimSpace(level), Text: message}
	if tagged, ok := strings.CutPrefix(rest, "["); ok {
		if l.Tag, rest, ok = strings.Cut(tagged, "]"); !ok {
			return Line{}, false
		}
	}
	l.Source = strings.TrimSpace(rest)
	return l, IsLevel(l.Level)
}

func parseJSON(text string) (Line, bool) {
	var in struct {
		Time  string `json:"h_ts"`
		Level string `json:"level"`
		Tag   string `json:"tag"`
		File  string `json:"file"`
		Text  string `json:"msg"`
	}
	if json.Unmarshal([]byte(text), &in) != nil {
		return Line{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, in.Time)
	if err != nil || !IsLevel(in.Level) {
		return Line{}, false
	}
	return Line{Time: at, Level: in.Level, Tag: in.Tag, Source: in.File, Text: strings.TrimSuffix(in.Text, "\n")}, true
}
