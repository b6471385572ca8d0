package js

import "strings"

// traceOp is what the `stack` property of an Error shows of the engine's own
// text. It runs when the property is read, so that errors that nobody looks
// into cost nothing.
var traceOp = hostOp{"trace.text", 1, func(v *vm, _ *call, a args) (value, bool) {
	s, ok := v.text(a.at(0))
	if !ok {
		return valExc, false
	}
	return owned(v.newString(formatTrace(s)))
}}

// formatTrace turns QuickJS-ng's stack text into that of the engine of CCF:
// no columns, and functions of the prelude are native.
func formatTrace(stack string) string {
	var b strings.Builder
	for line := range strings.Lines(stack) {
		line = strings.TrimSuffix(line, "\n")
		if open := strings.LastIndex(line, " ("); open >= 0 && strings.HasSuffix(line, ")") {
			place := line[open+2 : len(line)-1]
			if name, ok := cutLineColumn(place); ok && name == preludeName {
				place = "native"
			} else if ok {
				place = place[:strings.LastIndexByte(place, ':')]
			}
			line = line[:open+2] + place + ")"
		} else if _, ok := cutLineColumn(line); ok { // of a syntax error
			line = line[:strings.LastIndexByte(line, ':')]
		}
		b.WriteString(line)
		b.WriteByte('\n')
	}
	return b.String()
}

// cutLineColumn takes the position off "name:12:3".
func cutLineColumn(place string) (name string, ok bool) {
	c := strings.LastIndexByte(place, ':')
	if c <= 0 || !allDigits(place[c+1:]) {
		return "", false
	}
	l := strings.LastIndexByte(place[:c], ':')
	if l < 0 || !allDigits(place[l+1:c]) {
		return "", false
	}
	return place[:l], true
}

func allDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
