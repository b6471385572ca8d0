package logfmt

import (
	"path"
	"runtime"
	"strconv"
	"strings"
	"time"
)

const (
	// preambleLength is the width of level, tag and source in a text line.
	preambleLength = 45
	// threadID stands where CCF writes the thread; 100 is its host thread.
	threadID = "100"
)

// source is where a record was made.
type source struct {
	file string // path below the module, with slashes
	line string
}

// line is what stands around the attributes.
type line struct {
	at      time.Time
	level   string
	tag     string
	source  source
	message string
}

// appendText appends
//
//	2019-07-19T18:53:25.690267Z        100 [info ][gov] internal/x/y.go:17    | message key=value
//
// with the source cut in front so that the bar is always in the same column.
func (l *line) appendText(b, attrs []byte) []byte {
	b = appendTime(b, l.at)
	b = append(b, "        "+threadID+" "...)
	start := len(b)
	b = append(b, '[')
	b = append(b, l.level...)
	for range 5 - len(l.level) {
		b = append(b, ' ')
	}
	b = append(b, ']')
	if l.tag != "" {
		b = append(b, '[')
		b = appendEscaped(b, l.tag)
		b = append(b, ']')
	}
	b = append(b, ' ')
	if len(b)-start > preambleLength {
		b = b[:start+preambleLength]
	}
	room := preambleLength - (len(b) - start)
	if place := l.source.file + ":" + l.source.line + " "; len(place) > room {
		b = append(b, place[len(place)-room:]...)
	} else {
		b = append(b, place...)
	}
	for len(b)-start < preambleLength {
		b = append(b, ' ')
	}
	b = append(b, "| "...)
	b = appendEscaped(b, l.message)
	b = append(b, attrs...)
	return append(b, '\n')
}

// appendJSON appends one object whose values are all strings.
func (l *line) appendJSON(b, attrs []byte) []byte {
	b = append(b, `{"h_ts":"`...)
	b = appendTime(b, l.at)
	b = append(b, `","thread_id":"`+threadID+`","level":"`...)
	b = append(b, l.level...)
	b = append(b, `","tag":"`...)
	b = appendJSONText(b, l.tag)
	b = append(b, `","file":"`...)
	b = appendJSONText(b, l.source.file)
	b = append(b, `","number":"`...)
	b = append(b, l.source.line...)
	b = append(b, `","msg":"`...)
	b = appendJSONText(b, l.message)
	b = appendJSONText(b, string(attrs))
	return append(b, "\"}\n"...)
}

// appendTime appends UTC with microseconds.
func appendTime(b []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
}

// source finds the place of a program counter. The answer is kept: there are
// only as many as calls in the program.
func (o *output) source(pc uintptr) source {
	if pc == 0 {
		return source{file: "-", line: "0"}
	}
	if s, ok := o.sources.Load(pc); ok {
		return s.(source) //nolint:forcetypeassert // nothing else is stored
	}
	frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	s := source{file: shorten(frame.Function, frame.File), line: strconv.Itoa(frame.Line)}
	o.sources.Store(pc, s)
	return s
}

// shorten makes a path below the module from a function's package and the
// base name of its file; the full path would name the build machine.
func shorten(function, file string) string {
	pkg := function
	slash := strings.LastIndexByte(pkg, '/')
	if dot := strings.IndexByte(pkg[slash+1:], '.'); dot >= 0 {
		pkg = pkg[:slash+1+dot]
	}
	if _, below, ok := strings.Cut(pkg, "/"); ok {
		return below + "/" + path.Base(file)
	}
	return path.Base(file)
}
