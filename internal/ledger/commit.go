package ledger

import (
	"path/filepath"

	"synod"
)

// Commit says that the entries up to seqno are committed: they can no longer
// be cut. Completed chunks that end at or below seqno get their final names.
// A seqno above Last counts as Last, one below Committed does nothing.
func (l *Log) Commit(seqno synod.SeqNo) error {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	if err := l.writable(); err != nil {
		return err
	}
	l.mu.Lock()
	l.committed = max(l.committed, min(seqno, l.last))
	l.mu.Unlock()
	i := len(l.chunks)
	for i > 0 && !l.chunks[i-1].name.Committed && !l.chunks[i-1].aside {
		i--
	}
	for ; i < len(l.chunks) && l.chunks[i].complete && l.chunks[i].end <= l.committed; i++ {
		if err := l.rename(l.chunks[i]); err != nil {
			return err
		}
	}
	return nil
}

// rename gives a chunk its committed name. Each name is on disk before the
// next changes, so that no crash leaves a committed chunk after one that looks
// uncommitted.
func (l *Log) rename(c *chunk) error {
	name := c.name
	name.Committed, name.End = true, c.end
	path := filepath.Join(c.dir, name.String())
	if err := l.fs.Rename(c.path(), path); err != nil {
		return ioError("rename", c.path(), err)
	}
	if err := l.fs.SyncDir(c.dir); err != nil {
		return l.fail("sync", c.dir, err)
	}
	l.mu.Lock()
	c.name = name
	c.positions = nil
	l.mu.Unlock()
	return nil
}
