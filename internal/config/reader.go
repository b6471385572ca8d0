package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

const rootPath = "$"

// millisecondsMax is the longest duration in milliseconds.
const millisecondsMax = math.MaxInt64 / int64(time.Millisecond)

// Fault is one thing wrong with a configuration.
type Fault struct {
	Path    string // JSON path from "$", such as $.command.start.members[0]
	Message string
}

// Error is everything wrong with a configuration.
type Error struct {
	File   string // "" if the text did not come from a file
	Syntax bool   // the text is not JSON; a later read of the file may be
	Faults []Fault
}

// Error lists the faults, one a line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("configuration")
	if e.File != "" {
		b.WriteString(" " + e.File)
	}
	if len(e.Faults) == 1 {
		return b.String() + ": " + e.Faults[0].Path + " " + e.Faults[0].Message
	}
	fmt.Fprintf(&b, ": %d faults:", len(e.Faults))
	for _, f := range e.Faults {
		b.WriteString("\n  " + f.Path + " " + f.Message)
	}
	return b.String()
}

// need says what the absence of a field means.
type need int

const (
	required need = iota // absent or empty is a fault
	optional             // absent or empty keeps the default
	nullable             // optional, and null is the same as absent
)

// reader collects faults while the file is walked.
type reader struct{ faults []Fault }

func (r *reader) root(v *value) (*fields, bool) {
	if v.kind != "object" {
		r.faults = append(r.faults, Fault{Path: rootPath, Message: "is " + v.kind + ", want object"})
		return nil, false
	}
	return &fields{r: r, path: rootPath, v: v}, true
}

// reported returns the paths that already have a fault.
func (r *reader) reported() map[string]bool {
	m := make(map[string]bool, len(r.faults))
	for _, f := range r.faults {
		m[f.Path] = true
	}
	return m
}

// fields reads one object. Every key that is asked for is a known key; close
// refuses the others.
type fields struct {
	r     *reader
	path  string
	v     *value
	asked []string
}

func (f *fields) fault(name, message string) {
	f.r.faults = append(f.r.faults, Fault{Path: f.path + "." + name, Message: message})
}

func (f *fields) names() []string        { return f.v.keys }
func (f *fields) has(name string) bool   { return f.v.fields[name] != nil }
func (f *fields) known(names ...string)  { f.asked = append(f.asked, names...) }
func (f *fields) close()                 { f.unknown(false) }
func (f *fields) closeTolerant()         { f.unknown(true) }
func (f *fields) at(name string) string  { return f.path + "." + name }
func (f *fields) raw(name string) *value { return f.v.fields[name] }

// unknown reports keys that nobody asked for. A tolerant object may have any,
// but none that is a known key in another case: that is a typing error which
// would silently have no effect.
func (f *fields) unknown(tolerant bool) {
	for _, key := range f.v.keys {
		if slices.Contains(f.asked, key) {
			continue
		}
		i := slices.IndexFunc(f.asked, func(k string) bool { return strings.EqualFold(k, key) })
		switch {
		case i >= 0:
			f.fault(key, "is not a known key; keys are case-sensitive: "+f.asked[i])
		case !tolerant:
			f.fault(key, "is not a known key")
		}
	}
}

// get finds a field of a kind. ok is false if the default is to stay.
func (f *fields) get(name, kind string, n need) (v *value, ok bool) {
	f.known(name)
	v = f.raw(name)
	switch {
	case v == nil:
		if n == required {
			f.fault(name, "is required")
		}
		return nil, false
	case v.kind == "null" && n == nullable:
		return nil, false
	case v.kind != kind:
		f.fault(name, "is "+v.kind+", want "+kind)
		return nil, false
	}
	return v, true
}

func (f *fields) object(name string, n need) (*fields, bool) {
	v, ok := f.get(name, "object", n)
	if !ok {
		return nil, false
	}
	return &fields{r: f.r, path: f.at(name), v: v}, true
}

// objects calls read for each element of an array of objects.
func (f *fields) objects(name string, n need, read func(*fields)) {
	v, ok := f.get(name, "array", n)
	if !ok {
		return
	}
	for i, item := range v.items {
		at := name + "[" + strconv.Itoa(i) + "]"
		if item.kind != "object" {
			f.fault(at, "is "+item.kind+", want object")
			continue
		}
		read(&fields{r: f.r, path: f.at(at), v: item})
	}
}

func (f *fields) str(name string, to *string, n need) {
	v, ok := f.get(name, "string", n)
	switch {
	case !ok:
	case v.text != "":
		*to = v.text
	case n == required:
		f.fault(name, "is empty")
	}
}

func (f *fields) enum(name string, to *string, n need, allowed ...string) {
	v, ok := f.get(name, "string", n)
	if !ok {
		return
	}
	if !slices.Contains(allowed, v.text) {
		f.fault(name, fmt.Sprintf("is %q, want one of %s", v.text, strings.Join(allowed, ", ")))
		return
	}
	*to = v.text
}

func (f *fields) strs(name string, to *[]string, n need) {
	v, ok := f.get(name, "array", n)
	if !ok {
		return
	}
	*to = make([]string, 0, len(v.items))
	for i, item := range v.items {
		at := name + "[" + strconv.Itoa(i) + "]"
		switch {
		case item.kind != "string":
			f.fault(at, "is "+item.kind+", want string")
		case item.text == "":
			f.fault(at, "is empty")
		default:
			*to = append(*to, item.text)
		}
	}
}

func (f *fields) boolean(name string, to *bool) {
	if v, ok := f.get(name, "boolean", optional); ok {
		*to = v.truth
	}
}

// integer reads a whole number from least to 2^63-1, written without fraction
// or exponent.
func (f *fields) integer(name string, to *int64, least int64) {
	v, ok := f.get(name, "number", optional)
	if !ok {
		return
	}
	n, err := strconv.ParseInt(v.text, 10, 64)
	switch {
	case err != nil:
		f.fault(name, "is "+v.text+", want a whole number")
	case n < least:
		f.fault(name, fmt.Sprintf("is %d, want at least %d", n, least))
	default:
		*to = n
	}
}

func (f *fields) size(name string, to *int64) {
	v, ok := f.get(name, "string", optional)
	if !ok {
		return
	}
	n, err := ParseSize(v.text)
	if err != nil {
		f.fault(name, err.Error())
		return
	}
	*to = n
}

// duration reads a time string. A null (if n allows it) is 0.
func (f *fields) duration(name string, to *time.Duration, n need) {
	v, ok := f.get(name, "string", n)
	if !ok {
		if v := f.raw(name); v != nil && v.kind == "null" && n == nullable {
			*to = 0
		}
		return
	}
	d, err := ParseTime(v.text)
	if err != nil {
		f.fault(name, err.Error())
		return
	}
	*to = d
}
