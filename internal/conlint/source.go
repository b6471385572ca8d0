package conlint

import (
	"fmt"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// File is one part of a constitution.
type File struct{ Name, Text string }

// module is the name under which the engine knows the joined text.
const module = "constitution"

// source is the joined text and where its parts are.
type source struct {
	files []File
	text  string
	lines []int // offset of each line of text
	first []int // for each file, its first line in text, from 1
}

// join joins the parts by newlines, but for empty ones at the begin, as a node
// does (CCF: src/host/run.cpp).
func join(files []File) *source {
	s := &source{files: files}
	var b strings.Builder
	line := 1
	for _, f := range files {
		if b.Len() > 0 {
			b.WriteByte('\n')
			line++
		}
		s.first = append(s.first, line)
		b.WriteString(f.Text)
		line += strings.Count(f.Text, "\n")
	}
	s.text = b.String()
	s.lines = []int{0}
	for i := range s.text {
		if s.text[i] == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// at is the place of an offset in the joined text.
func (s *source) at(offset int) Place {
	return s.line(sort.SearchInts(s.lines, min(max(offset, 0), len(s.text))+1))
}

// line is the place of a line of the joined text, from 1.
func (s *source) line(n int) Place {
	file := max(0, sort.SearchInts(s.first, n+1)-1)
	if file >= len(s.files) {
		return Place{}
	}
	return Place{File: s.files[file].Name, Line: n - s.first[file] + 1}
}

var frame = regexp.MustCompile(`\(` + module + `:(\d+)\)`)

// traced is the place of the innermost frame of an exception's trace.
func (s *source) traced(trace string) (Place, bool) {
	m := frame.FindStringSubmatch(trace)
	if m == nil {
		return Place{}, false
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return Place{}, false
	}
	return s.line(n), true
}

// blank replaces a range by spaces, keeping its lines.
func blank(b []byte, from, to int) {
	for i := from; i < to; i++ {
		if b[i] != '\n' {
			b[i] = ' '
		}
	}
}

// text is the place as compilers print it.
func (p Place) text() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }
