package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sort"

	"synod"
)

// Read returns the entries from..to, fewer if the log ends before or if they
// would add up to more than maxBytes (0: no bound), but at least the first.
// It fails with ErrNotFound if the log does not hold from, and with a
// *CorruptError if a file is damaged. The slices are the caller's.
func (l *Log) Read(from, to synod.SeqNo, maxBytes int) ([][]byte, error) {
	var entries [][]byte
	size := 0
	for from <= to {
		budget := 0
		if maxBytes > 0 {
			if budget = maxBytes - size; budget <= 0 {
				break
			}
		}
		part, err := l.readPart(from, to, budget)
		if errors.Is(err, ErrNotFound) && len(entries) > 0 {
			break
		}
		if err != nil {
			return nil, err
		}
		if maxBytes > 0 && len(entries) > 0 && size+len(part[0]) > maxBytes {
			break
		}
		for _, e := range part {
			size += len(e)
		}
		entries = append(entries, part...)
		from += synod.SeqNo(len(part))
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("entries %d to %d: %w", from, to, ErrNotFound)
	}
	return entries, nil
}

// View returns the view of an entry, from its initialisation vector.
func (l *Log) View(seqno synod.SeqNo) (synod.View, error) {
	var view synod.View
	err := l.at(seqno, func(s span) error {
		b, err := s.read(seqno, seqno, entryMin)
		if err != nil {
			return err
		}
		h, err := s.head(b, seqno)
		view = h.id.View
		return err
	})
	return view, err
}

// readPart reads entries of one chunk, at least one.
func (l *Log) readPart(from, to synod.SeqNo, maxBytes int) ([][]byte, error) {
	var entries [][]byte
	err := l.at(from, func(s span) error {
		to := min(to, s.last)
		if maxBytes > 0 {
			over := sort.Search(int(to-from), func(i int) bool {
				return s.offset(from+synod.SeqNo(i)+2)-s.offset(from) > int64(maxBytes)
			})
			to = from + synod.SeqNo(over)
		}
		buf, err := s.read(from, to, 0)
		if err != nil {
			return err
		}
		entries = make([][]byte, 0, to-from+1)
		for seqno := from; seqno <= to; seqno++ {
			n := s.offset(seqno+1) - s.offset(seqno)
			if _, err := s.head(buf[:n], seqno); err != nil {
				return err
			}
			entries = append(entries, buf[:n:n])
			buf = buf[n:]
		}
		return nil
	})
	return entries, err
}

// span is what a reader knows of one chunk: its file and where its entries
// were when the reader looked.
type span struct {
	h         *handle
	path      string
	start     synod.SeqNo
	last      synod.SeqNo // last entry readable
	positions []uint32
	end       int64 // where the entries end
	late      bool  // the chunk has been put in place since Open
}

func (s *span) offset(seqno synod.SeqNo) int64 {
	if i := int(seqno - s.start); i < len(s.positions) {
		return int64(s.positions[i])
	}
	return s.end
}

// read reads the entries from..to, or only the first limit bytes if limit is
// not zero.
func (s *span) read(from, to synod.SeqNo, limit int) ([]byte, error) {
	b := make([]byte, s.offset(to+1)-s.offset(from))
	if limit > 0 && limit < len(b) {
		b = b[:limit]
	}
	if err := readFull(s.h.file, b, s.offset(from)); err != nil {
		return nil, ioError("read", s.path, err)
	}
	return b, nil
}

// head checks that b starts with the entry that the positions promise.
func (s *span) head(b []byte, seqno synod.SeqNo) (head, error) {
	h, reason := parseHead(b)
	size := s.offset(seqno+1) - s.offset(seqno)
	switch {
	case reason != "":
	case h.id.SeqNo != seqno:
		reason = fmt.Sprintf("entry has seqno %d", h.id.SeqNo)
	case h.size != uint64(size):
		reason = fmt.Sprintf("entry of %d bytes in the place of %d", h.size, size)
	}
	if reason == "" {
		return h, nil
	}
	e := corrupt(s.offset(seqno), seqno, "%s", reason)
	e.File = s.path
	e.Hint = hintRestore
	return h, e
}

// at calls fn with the chunk that holds seqno, again if the log was truncated
// meanwhile.
func (l *Log) at(seqno synod.SeqNo, fn func(span) error) error {
	for {
		l.mu.RLock()
		if l.closed {
			l.mu.RUnlock()
			return ErrClosed
		}
		i := sort.Search(len(l.chunks), func(i int) bool { return l.chunks[i].end >= seqno })
		var c *chunk
		if seqno <= l.last && i < len(l.chunks) && l.chunks[i].start <= seqno {
			c = l.chunks[i]
		}
		epoch := l.epoch
		var s span
		if c != nil {
			s = span{path: c.path(), start: c.start, last: min(c.end, l.last), positions: c.positions, end: c.size}
			if c.h != nil {
				s.h = c.h.acquire()
			}
		}
		l.mu.RUnlock()
		if c == nil {
			if c = l.missing(seqno); c == nil {
				return fmt.Errorf("entry %d: %w", seqno, ErrNotFound)
			}
			s = span{path: c.path(), start: c.start, last: c.end, late: true}
		}

		err := l.use(c, &s, epoch, fn)

		l.mu.RLock()
		same := epoch == l.epoch
		l.mu.RUnlock()
		if same {
			return err
		}
	}
}

func (l *Log) use(c *chunk, s *span, epoch uint64, fn func(span) error) error {
	if s.h == nil {
		s.h = l.cache.get(c)
	}
	if s.h == nil {
		h, err := l.openChunk(c.dir, s)
		if err != nil && s.late {
			return l.notWhole(c, err)
		}
		if err != nil {
			return err
		}
		l.mu.RLock()
		if epoch == l.epoch && !l.closed {
			l.cache.put(c, h.acquire())
		}
		l.mu.RUnlock()
		s.h = h
	}
	if s.positions == nil {
		s.positions, s.end = s.h.positions, s.h.end
	}
	err := fn(*s)
	return errors.Join(err, ioError("close", s.path, s.h.release()))
}

// openChunk opens a completed chunk. Since the reader looked, its file may have
// got its committed name, have lost its .recovery with the end of a recovery,
// both in either order, or have been moved to a read-only directory by an
// operator. No later name stands before an earlier one here, so that a file that
// is renamed meanwhile is found.
func (l *Log) openChunk(dir string, s *span) (*handle, error) {
	name := Name{Start: s.start, End: s.last, Committed: true}
	final := name.String()
	name.Recovery = true
	paths := []string{s.path}
	for _, later := range []string{name.String(), Name{Start: s.start}.String(), final} {
		paths = append(paths, filepath.Join(dir, later))
	}
	for _, dir := range l.cfg.ReadOnlyDirs {
		paths = append(paths, filepath.Join(dir, final))
	}
	for _, path := range paths {
		f, err := l.fs.Open(path, false)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, ioError("open", path, err)
		}
		h := newHandle(f, path)
		if s.positions != nil {
			h.positions, h.end = s.positions, s.end
			return h, nil
		}
		if err := h.load(s.start, s.last); err != nil {
			return nil, errors.Join(err, h.release())
		}
		return h, nil
	}
	return nil, ioError("open", s.path, fs.ErrNotExist)
}

// load reads the positions of a completed chunk and checks that they are as
// many as its entries.
func (h *handle) load(start, end synod.SeqNo) error {
	size, err := h.file.Size()
	if err != nil {
		return ioError("stat", h.path, err)
	}
	h.end, h.positions, err = readTable(h.file, size)
	if err == nil && h.positions == nil {
		err = corrupt(0, 0, "a committed ledger file cannot be read: invalid table offset (0)")
	}
	if err == nil && uint64(len(h.positions)) != uint64(end-start+1) {
		err = corrupt(0, 0, "%d positions for the entries %d to %d", len(h.positions), start, end)
	}
	var bad *CorruptError
	if errors.As(err, &bad) {
		bad = bad.in(h.path, 0)
		bad.Hint = hintRestore
		return bad
	}
	return ioError("read", h.path, err)
}

// hintRestore is for damaged files whose entries other nodes hold.
const hintRestore = "replace the file by a copy from another node or a backup: committed chunks are the same on all"
