package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// tailMax bounds what is read of a log for its last words, in bytes.
const tailMax = 16 << 10

// lastWords is the last line of a node's log that says why it ended, or its last
// line.
func (d *Driver) lastWords(network string, ordinal int) string {
	f, err := os.Open(d.LogFile(network, ordinal))
	if err != nil {
		return ""
	}
	defer f.Close()
	if size, err := f.Seek(0, io.SeekEnd); err != nil || size > tailMax {
		if _, err := f.Seek(-tailMax, io.SeekEnd); err != nil {
			return ""
		}
	} else if _, err := f.Seek(0, io.SeekStart); err != nil {
		return ""
	}
	text, err := io.ReadAll(io.LimitReader(f, tailMax))
	if err != nil {
		return ""
	}
	lines := strings.Split(string(bytes.ToValidUTF8(bytes.TrimSpace(text), nil)), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		for _, mark := range []string{"[fatal]", "panic:", "fatal error:"} {
			if _, after, ok := strings.Cut(lines[i], mark); ok {
				return short(after)
			}
		}
	}
	return short(lines[len(lines)-1])
}

func short(line string) string {
	const most = 300 // bytes
	if _, after, ok := strings.Cut(line, " | "); ok {
		line = after
	}
	return strings.ToValidUTF8(strings.TrimSpace(line[:min(len(line), most)]), "")
}

// rotate puts a large log aside. The node goes on writing to the same file, so
// that is copied and emptied; a line that comes in between is lost.
func (d *Driver) rotate(network string, ordinal int) error {
	name := d.LogFile(network, ordinal)
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || info.Size() < d.o.LogSizeMax {
		return err
	}
	for i := d.o.LogsMax; i > 1; i-- {
		if err := os.Rename(older(name, i-1), older(name, i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("rotate log: %w", err)
		}
	}
	if err := os.Remove(older(name, 1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("rotate log: %w", err)
	}
	if err := copyFile(older(name, 1), name); err != nil {
		return fmt.Errorf("rotate log: %w", err)
	}
	if err := os.Truncate(name, 0); err != nil {
		return fmt.Errorf("rotate log: %w", err)
	}
	return nil
}

// goneLogsMax bounds the nodes that are gone whose logs are kept: one that ends at
// each start would fill the disk with them, and make each look at all logs slow.
const goneLogsMax = 32

// dropOldLogs removes the logs of the nodes that have been gone for longest.
func (d *Driver) dropOldLogs(network string) error {
	files, err := filepath.Glob(filepath.Join(filepath.Dir(d.LogFile(network, 0)), "*.log*"))
	if err != nil {
		return err
	}
	of := map[int][]string{}
	for _, file := range files {
		number, _, _ := strings.Cut(filepath.Base(file), ".")
		ordinal, err := strconv.Atoi(number)
		if err != nil {
			continue
		}
		if _, err := os.Stat(d.home(network, ordinal)); errors.Is(err, fs.ErrNotExist) {
			of[ordinal] = append(of[ordinal], file)
		}
	}
	gone := slices.Sorted(maps.Keys(of))
	for _, ordinal := range gone[:max(len(gone)-goneLogsMax, 0)] {
		for _, file := range of[ordinal] {
			if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

func older(name string, i int) string { return name + "." + strconv.Itoa(i) }
