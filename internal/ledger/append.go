package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"synod"
)

// writeMax is the size of one write, and of the buffer that collects it.
const writeMax = 1 << 20

// Append writes entries whose seqnos are first, first+1 and so on, and returns
// when they are on disk. Entries at or after first that the log holds already
// are cut off before, never committed ones (ErrCommitted); entries must not be
// missing in between (ErrGap). Chunks end where the entries' flags say.
//
// The entries of one chunk cost one write for each MiB and one sync; a chunk
// that ends costs one more sync, a new one a sync of the directory.
//
// After an error none of the entries count as appended, though some may be
// readable. ENOSPC and other errors of a write leave the log usable; see
// IOError for the others.
func (l *Log) Append(first synod.SeqNo, entries [][]byte) error {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	if err := l.writable(); err != nil {
		return err
	}
	switch {
	case first == 0 || first > l.last+1:
		return fmt.Errorf("append %d after %d: %w", first, l.last, ErrGap)
	case first <= l.committed:
		return fmt.Errorf("append %d below %d: %w", first, l.committed, ErrCommitted)
	}
	heads, err := l.check(first, entries)
	if err != nil {
		return err
	}
	if first <= l.last {
		if err := l.truncate(first - 1); err != nil {
			return err
		}
	}
	for len(entries) > 0 {
		n, completes := segment(heads)
		if err := l.appendSegment(first, entries[:n], heads[:n], completes); err != nil {
			return err
		}
		first += synod.SeqNo(n)
		entries, heads = entries[n:], heads[n:]
	}
	return nil
}

// check refuses entries that are not in the format or do not follow what the
// log holds before first.
func (l *Log) check(first synod.SeqNo, entries [][]byte) ([]head, error) {
	view := l.lastView
	if first <= l.last && first > l.first {
		var err error
		if view, err = l.View(first - 1); err != nil {
			return nil, err
		}
	} else if first <= l.last {
		view = 0
	}
	heads := make([]head, len(entries))
	for i, b := range entries {
		seqno := first + synod.SeqNo(i)
		if len(b) < entryMin {
			return nil, corrupt(0, seqno, "%d bytes are too few for an entry", len(b))
		}
		h, reason := parseHead(b)
		switch {
		case reason != "":
			return nil, corrupt(0, seqno, "%s", reason)
		case h.size != uint64(len(b)):
			return nil, corrupt(2, seqno, "size %d, but %d bytes", h.size, len(b))
		case h.id.SeqNo != seqno:
			return nil, corrupt(IVAt, seqno, "entry has seqno %d", h.id.SeqNo)
		case h.id.View < view:
			return nil, corrupt(IVAt+8, seqno, "view goes back from %d to %d", view, h.id.View)
		}
		if h.flags&FlagForceChunkAfter != 0 {
			e, err := ParseEntry(b)
			if err != nil {
				return nil, err
			}
			if !e.IsSignature() {
				return nil, corrupt(1, seqno, "entry ends a chunk and is no signature")
			}
		}
		view = h.id.View
		heads[i] = h
	}
	return heads, nil
}

// segment returns how many of the entries go to one chunk and whether they
// complete it.
func segment(heads []head) (int, bool) {
	for i, h := range heads {
		if i > 0 && h.flags&FlagForceChunkBefore != 0 {
			return i, true
		}
		if h.flags&FlagForceChunkAfter != 0 {
			return i + 1, true
		}
	}
	return len(heads), false
}

// appendSegment writes entries that belong to one chunk, makes them durable
// and then visible.
func (l *Log) appendSegment(first synod.SeqNo, entries [][]byte, heads []head, completes bool) error {
	if l.active != nil && heads[0].flags&FlagForceChunkBefore != 0 {
		if err := l.complete(); err != nil {
			return err
		}
	}
	c, isNew := l.active, l.active == nil
	if isNew {
		c = &chunk{dir: l.cfg.Dir, name: Name{Start: first, Recovery: l.recovery && first > l.recovers}, start: first, size: chunkHeader}
	}
	positions, size := c.positions, c.size
	for i, h := range heads {
		if size > offsetMax {
			return fmt.Errorf("append %d to %s: %w", first+synod.SeqNo(i), c.name, ErrChunkFull)
		}
		positions = append(positions, uint32(size))
		size += int64(h.size)
	}
	h := c.h
	if isNew {
		f, err := l.fs.Create(c.path())
		if err != nil {
			return ioError("create", c.path(), err)
		}
		h = newHandle(f, c.path())
	}
	if err := l.write(h.file, c, entries, positions, isNew, completes); err != nil {
		return l.undoWrite(h, c, isNew, ioError("write", c.path(), err))
	}
	if err := h.file.Sync(); err != nil {
		return l.fail("sync", c.path(), err)
	}
	if isNew {
		if err := l.fs.SyncDir(c.dir); err != nil {
			return l.fail("sync", c.dir, err)
		}
	}
	if completes {
		if err := l.pointToTable(h.file, c.path(), size); err != nil {
			return err
		}
	}
	l.mu.Lock()
	if isNew {
		l.chunks = append(l.chunks, c)
	}
	c.h, c.positions, c.size = h, positions, size
	c.end = first + synod.SeqNo(len(heads)) - 1
	l.last = c.end
	c.complete = completes
	if completes {
		c.h = nil
	}
	l.mu.Unlock()
	l.lastView = heads[len(heads)-1].id.View
	l.active = c
	if completes {
		l.retire(c, h)
	}
	return nil
}

// write brings header, entries and table, as far as they are due, to the end
// of the chunk's file in as few writes as the buffer allows.
func (l *Log) write(f File, c *chunk, entries [][]byte, positions []uint32, header, table bool) error {
	at := c.size
	buf := l.buf[:0]
	if header {
		at = 0
		buf = append(buf, make([]byte, chunkHeader)...)
	}
	flush := func(b []byte) error {
		_, err := f.WriteAt(b, at)
		at += int64(len(b))
		return err
	}
	for _, e := range entries {
		if len(buf)+len(e) > writeMax && len(buf) > 0 {
			if err := flush(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
		if len(e) > writeMax {
			if err := flush(e); err != nil {
				return err
			}
			continue
		}
		buf = append(buf, e...)
	}
	if table {
		buf = appendTable(buf, positions)
	}
	if cap(buf) <= 2*writeMax {
		l.buf = buf[:0]
	}
	if len(buf) == 0 {
		return nil
	}
	return flush(buf)
}

// undoWrite takes back a write that failed, on disk too, so that the log stays
// usable and a crash cannot bring back entries that nobody was promised. If that
// fails, the log refuses to write from now on.
func (l *Log) undoWrite(h *handle, c *chunk, isNew bool, cause error) error {
	var err error
	if isNew {
		err = errors.Join(h.release(), l.fs.Remove(c.path()), l.fs.SyncDir(c.dir))
	} else {
		err = errors.Join(h.file.Truncate(c.size), h.file.Sync())
	}
	if err != nil {
		l.failed = cause
	}
	return cause
}

// complete writes the active chunk's table.
func (l *Log) complete() error {
	c := l.active
	h := c.h
	if _, err := h.file.WriteAt(appendTable(nil, c.positions), c.size); err != nil {
		return l.undoWrite(h, c, false, ioError("write", c.path(), err))
	}
	if err := h.file.Sync(); err != nil {
		return l.fail("sync", c.path(), err)
	}
	if err := l.pointToTable(h.file, c.path(), c.size); err != nil {
		return err
	}
	l.mu.Lock()
	c.complete = true
	c.h = nil
	l.mu.Unlock()
	l.retire(c, h)
	return nil
}

// pointToTable writes the header of a chunk whose table is on disk.
func (l *Log) pointToTable(f File, path string, table int64) error {
	var b [chunkHeader]byte
	binary.LittleEndian.PutUint64(b[:], uint64(table))
	if _, err := f.WriteAt(b[:], 0); err != nil {
		return l.fail("write", path, err)
	}
	if err := f.Sync(); err != nil {
		return l.fail("sync", path, err)
	}
	return nil
}

// retire moves the file of a chunk just completed to the read cache.
func (l *Log) retire(c *chunk, h *handle) {
	l.active = nil
	h.positions, h.end = slices.Clip(c.positions), c.size
	l.cache.put(c, h)
}
