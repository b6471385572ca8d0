package bundle

import (
	"fmt"
	"strings"
)

// Fault is one thing wrong with an application's sources.
type Fault struct {
	File   string // relative to the application's folder
	Line   int    // from 1; 0 if unknown
	Column int    // from 1; 0 if unknown
	Where  string // path inside a JSON file, such as endpoints./log.get.mode
	Text   string // what is wrong
	Hint   string // what to try, or ""
}

// String is "file:line:column: where: text", leaving out what is unknown.
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d", f.Line)
		if f.Column > 0 {
			fmt.Fprintf(&b, ":%d", f.Column)
		}
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	if f.Where != "" {
		b.WriteString(f.Where)
		b.WriteString(": ")
	}
	b.WriteString(f.Text)
	return b.String()
}

// Error is every fault found in one application, at least one.
type Error struct{ Faults []Fault }

// Error lists the faults, one a line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// Hint is the first hint among the faults, or "".
func (e *Error) Hint() string {
	for _, f := range e.Faults {
		if f.Hint != "" {
			return f.Hint
		}
	}
	return ""
}

// faults collects what is wrong; err is nil if nothing was.
type faults []Fault

func (fs *faults) add(f Fault) { *fs = append(*fs, f) }

func (fs faults) err() error {
	if len(fs) == 0 {
		return nil
	}
	return &Error{Faults: fs}
}
