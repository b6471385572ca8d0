package ledger

import (
	"path/filepath"
	"strconv"

	"synod"
)

// beforePrefix and a seqno name the folder of what a node had before it went on
// after a snapshot.
const beforePrefix = "before_"

// Skip lets the log go on after a snapshot of entries that it does not hold. What
// the main directory holds so far moves into a folder of it, before_<first>, since a
// ledger directory with a hole can be read by no tool of CCF's (CCF:
// python/src/ccf/ledger.py). Entries up to committed, the last that the node knew to
// be committed, can still be read from there; what is above was another's or never
// committed, and stays in the files alone. after must be above Committed.
func (l *Log) Skip(after, committed synod.SeqNo) error {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	if err := l.writable(); err != nil {
		return err
	}
	dir := filepath.Join(l.cfg.Dir, beforePrefix+strconv.FormatUint(uint64(after)+1, 10))
	if err := l.fs.MkdirAll(dir); err != nil {
		return l.fail("mkdir", dir, err)
	}
	if l.active != nil {
		// Nothing more is written to it.
		c := l.active
		h := c.h
		l.mu.Lock()
		c.h = nil
		l.mu.Unlock()
		l.retire(c, h)
	}
	var kept []*chunk
	for _, c := range l.chunks {
		if c.dir == l.cfg.Dir {
			if err := l.moveAside(c, dir, committed); err != nil {
				return err
			}
		}
		if c.start <= committed {
			kept = append(kept, c)
		}
	}
	for _, d := range []string{dir, l.cfg.Dir} {
		if err := l.fs.SyncDir(d); err != nil {
			return l.fail("sync", d, err)
		}
	}
	l.mu.Lock()
	l.epoch++
	l.chunks = kept
	l.first, l.last, l.committed = after+1, after, after
	l.mu.Unlock()
	l.lastView = 0
	return nil
}

// moveAside moves a chunk's file into another folder, oldest first, so that a crash
// leaves no hole in either.
func (l *Log) moveAside(c *chunk, dir string, committed synod.SeqNo) error {
	if err := l.fs.Rename(c.path(), filepath.Join(dir, c.name.String())); err != nil {
		return l.fail("rename", c.path(), err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c.dir = dir
	if !c.name.Committed {
		c.aside = true
		c.end = min(c.end, committed)
	}
	return nil
}
