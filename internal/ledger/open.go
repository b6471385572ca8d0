package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"

	"synod"
)

// Open finds the chunks of the directories and makes the log ready to go on.
// As CCF does (src/host/ledger.h):
//
//   - in read-only directories only committed chunks count;
//   - leftovers of an unfinished recovery and chunks that committed ones cover
//     are set aside by appending .ignored to their names;
//   - chunks that are not committed are scanned, and a tail of the newest that
//     is no entry is cut off.
//
// Unlike CCF it refuses, with a *CorruptError, to continue over damage that no
// crash explains: a hole or fault in an uncommitted chunk that is not the
// newest, or chunks that overlap; see Config.Recover for the first. What Open
// finds is on disk when it returns, so that Last may be acknowledged.
func Open(cfg Config) (*Log, error) {
	if cfg.Dir == "" {
		return nil, errors.New("ledger directory is not configured")
	}
	if cfg.FS == nil {
		cfg.FS = Disk()
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.CacheFiles <= 0 {
		cfg.CacheFiles = DefaultCacheFiles
	}
	l := &Log{cfg: cfg, fs: cfg.FS, log: cfg.Log, cache: &cache{max: cfg.CacheFiles}}
	if err := l.acquire(); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	if err := l.scan(); err != nil {
		err = errors.Join(err, l.lock.Close())
		if l.active != nil {
			err = errors.Join(err, l.active.h.release())
		}
		l.cache.close()
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	return l, nil
}

// acquire makes the main directory and keeps other nodes out of it: two that write
// to one ledger destroy it.
func (l *Log) acquire() (err error) {
	if err := l.fs.MkdirAll(l.cfg.Dir); err != nil {
		return ioError("mkdir", l.cfg.Dir, err)
	}
	l.lock, err = l.fs.Lock(l.cfg.Dir)
	if errors.Is(err, ErrInUse) {
		return fmt.Errorf("%s: %w", l.cfg.Dir, ErrInUse)
	}
	return ioError("lock", l.cfg.Dir, err)
}

func (l *Log) scan() error {
	committed, open, err := l.list()
	if err != nil {
		return err
	}
	if err := l.addCommitted(committed); err != nil {
		return err
	}
	l.committed = max(l.end(), l.cfg.After)
	for i, c := range open {
		faulty, err := l.addOpen(c, i == len(open)-1)
		if err != nil {
			return err
		}
		if !faulty {
			continue
		}
		for _, c := range open[i+1:] {
			if err := l.setAside(c); err != nil {
				return err
			}
		}
		break
	}
	// Names seen after a process died may be in memory alone.
	if err := l.fs.SyncDir(l.cfg.Dir); err != nil {
		return ioError("sync", l.cfg.Dir, err)
	}
	l.last = max(l.end(), l.cfg.After)
	l.first = l.last + 1
	for _, c := range slices.Backward(l.chunks) {
		if c.end+1 != l.first {
			break
		}
		l.first = c.start
	}
	if l.end() == l.last && l.last >= l.first {
		if l.lastView, err = l.View(l.last); err != nil {
			return err
		}
	}
	return nil
}

// end is the last entry of the chunks found so far.
func (l *Log) end() synod.SeqNo {
	if len(l.chunks) == 0 {
		return 0
	}
	return l.chunks[len(l.chunks)-1].end
}

// list returns the committed chunks of all directories and the others of the
// main one, each in order of first entries, the main directory first.
func (l *Log) list() (committed, open []*chunk, err error) {
	dirs := append([]string{l.cfg.Dir}, l.cfg.ReadOnlyDirs...)
	files := make([][]string, len(dirs))
	var elsewhere []Name
	for i, dir := range dirs {
		if files[i], err = l.fs.ReadDir(dir); err != nil {
			return nil, nil, ioError("read directory", dir, err)
		}
		for _, s := range files[i] {
			if n, ok := ParseName(s); ok && i > 0 && n.Committed && !n.Recovery && !n.Ignored {
				elsewhere = append(elsewhere, n)
			}
		}
	}
	if files[0], err = l.finishRecovery(files[0], elsewhere); err != nil {
		return nil, nil, err
	}
	for i, dir := range dirs {
		main := i == 0
		for _, s := range files[i] {
			n, ok := ParseName(s)
			switch {
			case !ok:
				l.warn("file in the ledger directory is no chunk", filepath.Join(dir, s))
			case n.Ignored:
			case n.Recovery && main:
				if err := l.setAside(&chunk{dir: dir, name: n}); err != nil {
					return nil, nil, err
				}
			case n.Committed && !n.Recovery:
				committed = append(committed, &chunk{dir: dir, name: n, start: n.Start, end: n.End, complete: true})
			case main:
				open = append(open, &chunk{dir: dir, name: n, start: n.Start})
			}
		}
	}
	order := func(a, b *chunk) int { return cmp.Compare(a.start, b.start) }
	slices.SortStableFunc(committed, order)
	slices.SortStableFunc(open, order)
	return committed, open, nil
}

// addCommitted takes each chunk once, whatever the number of its copies. A
// hole is no fault here: operators may have moved chunks away.
func (l *Log) addCommitted(chunks []*chunk) error {
	for _, c := range chunks {
		if n := len(l.chunks); n > 0 {
			before := l.chunks[n-1]
			if c.start == before.start && c.end == before.end {
				continue
			}
			if c.start <= before.end {
				return &CorruptError{File: c.path(), SeqNo: c.start, Reason: "overlaps " + before.path(), Hint: hintAside}
			}
			if c.start != before.end+1 {
				l.warn("ledger has a hole before this chunk", c.path())
			}
		}
		l.chunks = append(l.chunks, c)
	}
	return nil
}

// addOpen takes one chunk of the main directory that is not committed. It says
// whether the log ends in it for a fault, whatever chunks there are behind.
func (l *Log) addOpen(c *chunk, newest bool) (faulty bool, err error) {
	f, err := l.fs.Open(c.path(), true)
	if err != nil {
		return false, ioError("open", c.path(), err)
	}
	h := newHandle(f, c.path())
	keep, faulty, err := l.inspect(c, h, newest)
	if err != nil || !keep {
		return faulty, errors.Join(err, ioError("close", c.path(), h.release()))
	}
	l.chunks = append(l.chunks, c)
	if c.complete {
		l.retire(c, h)
		return false, nil
	}
	c.h, l.active = h, c
	if (newest || faulty) && !c.ends {
		return faulty, nil
	}
	// The crash came between the last entry and the table.
	return faulty, l.complete()
}

// inspect reads a chunk that is not committed and repairs what a crash can
// leave: a torn tail, a torn table, a torn header. It says whether the chunk
// belongs to the log; if not, its file is removed or set aside. And it says
// whether the log ends in it for a fault.
func (l *Log) inspect(c *chunk, h *handle, newest bool) (keep, faulty bool, err error) {
	size, err := h.file.Size()
	if err != nil {
		return false, false, ioError("stat", c.path(), err)
	}
	// The entries are read whatever the header says: it may be torn.
	s := newScanner(h.file, size, c.start)
	fault, err := l.collect(c, s)
	if err != nil {
		return false, false, err
	}
	tableAt, table, err := readTable(h.file, size)
	c.complete = err == nil && tableAt == s.Offset() && slices.Equal(table, c.positions)
	if c.complete {
		fault = nil
	}
	switch empty := len(c.positions) == 0; {
	case c.start <= l.committed && c.end <= l.committed:
		return false, false, l.setAside(c)
	case empty && newest:
		l.warn("ledger chunk without entries removed", c.path())
		if err := l.fs.Remove(c.path()); err != nil {
			return false, false, ioError("remove", c.path(), err)
		}
		return false, false, nil
	case empty && l.cfg.Recover:
		return false, true, l.setAside(c)
	case c.start <= l.end():
		return false, false, &CorruptError{File: c.path(), SeqNo: c.start, Reason: "overlaps " + l.chunks[len(l.chunks)-1].path(), Hint: hintAside}
	case c.start > max(l.end(), l.cfg.After)+1 && len(l.chunks) > 0 && l.cfg.Recover:
		return false, true, l.setAside(c)
	case c.start > max(l.end(), l.cfg.After)+1 && (len(l.chunks) > 0 || l.cfg.After > 0):
		return false, false, &CorruptError{File: c.path(), SeqNo: c.start, Reason: fmt.Sprintf("the entries from %d on are missing", max(l.end(), l.cfg.After)+1), Hint: hintAside}
	case fault != nil && !newest && !l.cfg.Recover:
		e := fault.in(c.path(), 0)
		e.Hint = hintAside
		return false, false, e
	}
	if !c.complete {
		if fault != nil {
			l.log.LogAttrs(context.Background(), slog.LevelWarn, "torn tail of ledger chunk cut off",
				slog.String("file", c.path()), slog.Int64("offset", s.Offset()), slog.Int64("bytes", size-s.Offset()), slog.String("err", fault.Reason))
		}
		// Also when nothing is torn: the header may be set without a table.
		return true, fault != nil, l.reopen(h.file, c.path(), s.Offset(), true)
	}
	return true, false, ioError("sync", c.path(), h.file.Sync())
}

// collect reads the entries that can be believed into c, and returns what is
// wrong with the first that cannot.
func (l *Log) collect(c *chunk, s *Scanner) (*CorruptError, error) {
	c.end = c.start - 1
	for {
		at := s.Offset()
		e, err := s.Next()
		var bad *CorruptError
		switch {
		case errors.Is(err, io.EOF):
			c.size = at
			return nil, nil
		case errors.As(err, &bad):
		case err != nil:
			return nil, ioError("read", c.path(), err)
		case at > offsetMax:
			bad = corrupt(at, e.TxID.SeqNo, "entry beyond 4 GiB")
		case l.cfg.Check != nil:
			if err := l.cfg.Check(e); err != nil {
				bad = corrupt(at, e.TxID.SeqNo, "%s", err)
			}
		}
		if bad != nil {
			s.off, c.size = at, at
			return bad, nil
		}
		c.positions = append(c.positions, uint32(at))
		c.end = e.TxID.SeqNo
		c.ends = e.Flags&FlagForceChunkAfter != 0
	}
}

// setAside renames a file so that it is left alone from now on.
func (l *Log) setAside(c *chunk) error {
	path := c.path()
	n := c.name
	n.Ignored = true
	l.warn("ledger chunk set aside", path)
	return ioError("rename", path, l.fs.Rename(path, filepath.Join(c.dir, n.String())))
}

func (l *Log) warn(msg, file string) {
	l.log.LogAttrs(context.Background(), slog.LevelWarn, msg, slog.String("file", file))
}

// hintAside is for faults that no crash of this software leaves behind.
const hintAside = "restore the directory from a copy; or, to go on without them, move this and all later chunks that are not committed elsewhere"
