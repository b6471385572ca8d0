package ledger

import (
	"fmt"
	"slices"

	"synod"
)

// Truncate cuts off every entry after last. It refuses to cut committed ones
// (ErrCommitted), and does nothing if there is none after last.
func (l *Log) Truncate(last synod.SeqNo) error {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	if err := l.writable(); err != nil {
		return err
	}
	if last >= l.last {
		return nil
	}
	if last < l.committed {
		return fmt.Errorf("truncate to %d below %d: %w", last, l.committed, ErrCommitted)
	}
	return l.truncate(last)
}

// truncate makes entries after last invisible and then removes them from the
// disk, newest file first. Each step is on disk before the next, so that a
// crash leaves no hole and no old bytes behind entries written later.
func (l *Log) truncate(last synod.SeqNo) error {
	if last+1 < l.first {
		return fmt.Errorf("truncate to %d: log starts at %d: %w", last, l.first, ErrNotFound)
	}
	view := synod.View(0)
	if last >= l.first {
		var err error
		if view, err = l.View(last); err != nil {
			return err
		}
	}
	l.mu.Lock()
	l.epoch++
	l.last = last
	i := len(l.chunks)
	for i > 0 && l.chunks[i-1].start > last {
		i--
	}
	removed := slices.Clone(l.chunks[i:])
	l.chunks = slices.Clip(l.chunks[:i])
	for _, c := range removed {
		l.cache.drop(c)
	}
	var shorter *chunk
	if i > 0 && l.chunks[i-1].end > last {
		shorter = l.chunks[i-1]
		kept := int(last - shorter.start + 1)
		shorter.end, shorter.size = last, int64(shorter.positions[kept])
		shorter.positions = slices.Clone(shorter.positions[:kept])
		l.cache.drop(shorter)
	}
	l.mu.Unlock()
	l.lastView = view

	for _, c := range slices.Backward(removed) {
		if err := l.remove(c); err != nil {
			return err
		}
	}
	if shorter == nil {
		return nil
	}
	return l.cut(shorter)
}

func (l *Log) remove(c *chunk) error {
	if c == l.active {
		l.active = nil
		if err := c.h.release(); err != nil {
			return l.fail("close", c.path(), err)
		}
	}
	if err := l.fs.Remove(c.path()); err != nil {
		return l.fail("remove", c.path(), err)
	}
	if err := l.fs.SyncDir(c.dir); err != nil {
		return l.fail("sync", c.dir, err)
	}
	return nil
}

// cut shortens the file of a chunk to the entries that it still counts, of
// which there is at least one, and makes the chunk the active one.
func (l *Log) cut(c *chunk) error {
	h := c.h
	if h == nil {
		f, err := l.fs.Open(c.path(), true)
		if err != nil {
			return l.fail("open", c.path(), err)
		}
		h = newHandle(f, c.path())
	}
	if err := l.reopen(h.file, c.path(), c.size, c.complete); err != nil {
		return err
	}
	l.mu.Lock()
	c.h, c.complete = h, false
	l.epoch++ // so that no reader caches what it saw in between
	l.cache.drop(c)
	l.mu.Unlock()
	l.active = c
	return nil
}

// reopen makes a chunk's file incomplete, with its entries ending at size. The
// header is cleared on disk before what it points to goes.
func (l *Log) reopen(f File, path string, size int64, complete bool) error {
	if complete {
		if _, err := f.WriteAt(make([]byte, chunkHeader), 0); err != nil {
			return l.fail("write", path, err)
		}
		if err := f.Sync(); err != nil {
			return l.fail("sync", path, err)
		}
	}
	if err := f.Truncate(size); err != nil {
		return l.fail("truncate", path, err)
	}
	if err := f.Sync(); err != nil {
		return l.fail("sync", path, err)
	}
	return nil
}
