package ledger

import (
	"cmp"
	"errors"
	"io"
	"path/filepath"
	"slices"

	"synod"
)

// BeginRecovery says that the entries after a seqno are those of a service that
// is being recovered: their chunks are named .recovery until EndRecovery, so
// that a recovery that comes to nothing can be begun again from the files that
// were there before (CCF: src/host/ledger.h).
func (l *Log) BeginRecovery(after synod.SeqNo) {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	l.recovery, l.recovers = true, after
}

// EndRecovery says that the recovered service is open: its chunks lose their
// .recovery. The newest goes first, so that a crash in between leaves a name
// that tells Open to go on with the others.
func (l *Log) EndRecovery() error {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	if err := l.writable(); err != nil {
		return err
	}
	l.recovery = false
	for _, c := range slices.Backward(l.chunks) {
		if !c.name.Recovery || c.aside {
			continue
		}
		name := c.name
		name.Recovery = false
		if err := l.fs.Rename(c.path(), filepath.Join(c.dir, name.String())); err != nil {
			return l.fail("rename", c.path(), err)
		}
		if err := l.fs.SyncDir(c.dir); err != nil {
			return l.fail("sync", c.dir, err)
		}
		l.mu.Lock()
		c.name = name
		l.mu.Unlock()
	}
	return nil
}

// finishRecovery completes what EndRecovery had begun when the process died. It
// renames the newest chunk first, so that what it has left undone leads, without a
// gap, up to a chunk that has its name already. A recovery that came to nothing
// leaves chunks named .recovery too, perhaps beside files that were put there
// since, and these are not its own: other files hold the same entries, or go on
// with another entry or in an earlier view. It returns the names of the main
// directory's files; elsewhere are those of the committed chunks in others.
func (l *Log) finishRecovery(files []string, elsewhere []Name) ([]string, error) {
	files = slices.Clone(files)
	named, left, err := l.chunksOf(files)
	if err != nil || len(named) == 0 || len(left) == 0 {
		return files, err
	}
	for next := named[len(named)-1]; ; {
		i := slices.IndexFunc(named, func(e extent) bool { return e.end+1 == next.start })
		if i >= 0 {
			next = named[i]
			continue
		}
		follows := func(e extent) bool {
			overlaps := func(n Name) bool { return n.Start <= e.end && n.End >= e.start }
			return e.end+1 == next.start && e.lastView <= next.firstView &&
				!slices.ContainsFunc(named, func(o extent) bool { return overlaps(Name{Start: o.start, End: o.end}) }) &&
				!slices.ContainsFunc(elsewhere, overlaps)
		}
		i = slices.IndexFunc(left, follows)
		if i < 0 {
			return files, nil
		}
		e := left[i]
		path := filepath.Join(l.cfg.Dir, e.name.String())
		at := slices.Index(files, e.name.String())
		e.name.Recovery = false
		files[at] = e.name.String()
		if err := l.fs.Rename(path, filepath.Join(l.cfg.Dir, files[at])); err != nil {
			return nil, ioError("rename", path, err)
		}
		if err := l.fs.SyncDir(l.cfg.Dir); err != nil {
			return nil, ioError("sync", l.cfg.Dir, err)
		}
		left = slices.Delete(left, i, i+1)
		named, next = append(named, e), e
	}
}

// extent is what entries a file holds.
type extent struct {
	name                Name
	start, end          synod.SeqNo
	firstView, lastView synod.View
}

// chunksOf reads which entries the chunks of the main directory hold, those with
// and those without their final names, in order. It reads none if there are none of
// the latter.
func (l *Log) chunksOf(files []string) (named, left []extent, err error) {
	var names []Name
	for _, s := range files {
		if n, ok := ParseName(s); ok && !n.Ignored {
			names = append(names, n)
		}
	}
	if !slices.ContainsFunc(names, func(n Name) bool { return n.Recovery }) {
		return nil, nil, nil
	}
	slices.SortFunc(names, func(a, b Name) int { return cmp.Compare(a.Start, b.Start) })
	for _, n := range names {
		e, err := l.extent(n)
		switch {
		case err != nil:
			return nil, nil, err
		case n.Recovery:
			left = append(left, e)
		default:
			named = append(named, e)
		}
	}
	return named, left, nil
}

func (l *Log) extent(n Name) (extent, error) {
	path := filepath.Join(l.cfg.Dir, n.String())
	f, err := l.fs.Open(path, false)
	if err != nil {
		return extent{}, ioError("open", path, err)
	}
	h := newHandle(f, path)
	defer h.release() //nolint:errcheck // it was only read
	size, err := f.Size()
	if err != nil {
		return extent{}, ioError("stat", path, err)
	}
	e := extent{name: n, start: n.Start, end: n.Start - 1}
	for s := newScanner(f, size, n.Start); ; {
		entry, err := s.Next()
		if bad := (*CorruptError)(nil); errors.Is(err, io.EOF) || errors.As(err, &bad) {
			e.end = max(e.end, n.End)
			return e, nil
		}
		if err != nil {
			return extent{}, ioError("read", path, err)
		}
		if e.firstView == 0 {
			e.firstView = entry.TxID.View
		}
		e.end, e.lastView = entry.TxID.SeqNo, entry.TxID.View
	}
}
