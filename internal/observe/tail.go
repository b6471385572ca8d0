package observe

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

const (
	// readMax bounds what is read of one node's log at a time, in bytes.
	readMax = 1 << 20
	// LinesMax bounds the lines of one answer.
	LinesMax = 5000
	// cursorMax bounds a cursor that a client sends back, in bytes.
	cursorMax = 8 << 10
)

// Cursor is how far a reader has come in each node's log.
type Cursor map[int]Position

// Position is a place in a node's log: so many bytes of the file that was begun at
// Inode, which may have been put aside since.
type Position struct {
	Inode  uint64 `json:"i"`
	Offset int64  `json:"o"`
}

// String is a form that a client can send back.
func (c Cursor) String() string {
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // a map of numbers
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// ParseCursor reads what String wrote; "" is the beginning of nothing: nil.
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return nil, nil
	}
	if len(s) > cursorMax {
		return nil, errors.New("the cursor is too long")
	}
	text, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil, errors.New("the cursor is not one that was given")
	}
	c := Cursor{}
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, errors.New("the cursor is not one that was given")
	}
	for _, p := range c {
		if p.Offset < 0 {
			return nil, errors.New("the cursor is not one that was given")
		}
	}
	return c, nil
}

// Query says which lines are wanted.
type Query struct {
	Level    string // this one and worse; "" for all
	Contains string // in text or source, without regard to case
	Limit    int    // lines, the last ones; 0 is LinesMax
	After    Cursor // only what came since; nil for the end of each log
}

// Read returns the lines of several nodes' logs in the order of their times, and
// where to go on. files are the newest files of the logs, by ordinal; one that is not
// there has no lines.
func Read(files map[int]string, q Query) ([]Line, Cursor, error) {
	if q.Limit <= 0 || q.Limit > LinesMax {
		q.Limit = LinesMax
	}
	next := Cursor{}
	var lines []Line
	for ordinal, name := range files {
		found, at, err := readNode(name, q.After, ordinal)
		if err != nil {
			return nil, nil, fmt.Errorf("log of node %d: %w", ordinal, err)
		}
		next[ordinal] = at
		for _, l := range found {
			if q.wants(l) {
				lines = append(lines, l)
			}
		}
	}
	slices.SortStableFunc(lines, func(a, b Line) int { return cmp.Or(a.Time.Compare(b.Time), a.Node-b.Node) })
	if len(lines) > q.Limit {
		lines = lines[len(lines)-q.Limit:]
	}
	return lines, next, nil
}

func (q *Query) wants(l Line) bool {
	if q.Level != "" && severity(l.Level) < severity(q.Level) {
		return false
	}
	return q.Contains == "" || strings.Contains(strings.ToLower(l.Text+" "+l.Source), strings.ToLower(q.Contains))
}

// readNode reads what came after a position, or the end of a log.
func readNode(name string, after Cursor, ordinal int) ([]Line, Position, error) {
	f, info, err := open(name)
	if err != nil || f == nil {
		return nil, after[ordinal], err
	}
	defer f.Close()
	from, known := after[ordinal]
	var lines []Line
	at := Position{Inode: inode(info)}
	switch {
	case after == nil: // the end of the log
		at.Offset = max(info.Size()-readMax, 0)
	case known && from.Inode == at.Inode:
		at.Offset = from.Offset
	case known: // the log was put aside since: what is left of that one comes first
		if lines, err = rest(name+".1", from, ordinal); err != nil {
			return nil, from, err
		}
	}
	text, err := io.ReadAll(io.NewSectionReader(f, at.Offset, readMax))
	if err != nil {
		return nil, from, err
	}
	cut := after == nil && at.Offset > 0
	more, n := split(text, ordinal, cut)
	at.Offset += int64(n)
	return append(lines, more...), at, nil
}

// rest reads what is left in a file that was put aside.
func rest(name string, from Position, ordinal int) ([]Line, error) {
	f, info, err := open(name)
	if err != nil || f == nil {
		return nil, err
	}
	defer f.Close()
	if inode(info) != from.Inode {
		return nil, nil // put aside twice: what was between is in older files
	}
	text, err := io.ReadAll(io.NewSectionReader(f, from.Offset, readMax))
	if err != nil {
		return nil, err
	}
	lines, _ := split(text, ordinal, false)
	return lines, nil
}

// open opens a file, nil if it is not there.
func open(name string) (*os.File, fs.FileInfo, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// split parses the whole lines of a text and returns how many bytes they take. The
// first is half of one if the text begins anywhere. A line longer than everything
// that is read at a time is taken as it is, so that it holds nobody up.
func split(text []byte, ordinal int, cut bool) (lines []Line, n int) {
	end := bytes.LastIndexByte(text, '\n') + 1
	if end == 0 && len(text) == readMax {
		end = len(text)
	}
	for s := range strings.SplitSeq(strings.TrimSuffix(string(text[:end]), "\n"), "\n") {
		if cut {
			cut = false
			continue
		}
		if s == "" {
			continue
		}
		l := Parse(s)
		l.Node = ordinal
		if l.Time.IsZero() && len(lines) > 0 { // it goes on from the line before
			l.Time, l.Level = lines[len(lines)-1].Time, lines[len(lines)-1].Level
		}
		lines = append(lines, l)
	}
	return lines, end
}

// String shows a line as a terminal wants it. What would move its cursor, or tell it
// something, is an application's text like any other.
func (l Line) String() string {
	tag := ""
	if l.Tag != "" {
		tag = " [" + l.Tag + "]"
	}
	return l.Time.Local().Format("15:04:05.000") + " " + strconv.Itoa(l.Node) + " " + l.Level + printable(tag+" "+l.Text)
}

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
