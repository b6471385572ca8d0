package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"synod"
)

// lookEvery is how often the read-only directories are looked at for chunks that
// operators have put there since the start, at most.
const lookEvery = 250 * time.Millisecond

// late are committed chunks that were found in the read-only directories after
// Open. They fill holes for readers and are no part of the log otherwise: First
// stays, and the writer knows nothing of them.
type late struct {
	chunks []*chunk  // ascending by start; guarded by Log.mu
	looked time.Time // guarded by Log.mu
	said   string    // the last of what was said of a chunk that cannot be read; guarded by Log.mu
}

// missing looks for the chunk of an entry that the log does not hold, as CCF does
// whenever it lacks one (CCF: src/host/ledger.h). nil if there is none.
func (l *Log) missing(seqno synod.SeqNo) *chunk {
	if len(l.cfg.ReadOnlyDirs) == 0 {
		return nil
	}
	l.mu.Lock()
	c := l.late.find(seqno)
	look := c == nil && seqno < l.last && time.Since(l.late.looked) >= lookEvery
	if look {
		l.late.looked = time.Now()
	}
	l.mu.Unlock()
	if !look {
		return c
	}
	found := l.look()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.late.chunks = found
	return l.late.find(seqno)
}

// notWhole says that a late chunk is not there yet: it is being copied, or somebody
// has put something else in its place. The log says why, once.
func (l *Log) notWhole(c *chunk, err error) error {
	if !errors.Is(err, ErrMalformed) && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l.mu.Lock()
	again := l.late.said == err.Error()
	l.late.said = err.Error()
	l.mu.Unlock()
	if !again {
		l.log.LogAttrs(context.Background(), slog.LevelWarn, "a ledger file in a read-only directory cannot be read yet", slog.String("err", err.Error()))
	}
	return fmt.Errorf("%s: %w", c.name, ErrNotFound)
}

// look lists the chunks of the read-only directories that the log lacks, of
// several that overlap the one that begins first. A directory that cannot be read
// has none.
func (l *Log) look() []*chunk {
	var found []*chunk
	for _, dir := range l.cfg.ReadOnlyDirs {
		names, err := l.fs.ReadDir(dir)
		if err != nil {
			l.warn("read-only ledger directory cannot be read", dir)
			continue
		}
		for _, s := range names {
			if n, ok := ParseName(s); ok && n.Committed && !n.Recovery && !n.Ignored {
				found = append(found, &chunk{dir: dir, name: n, start: n.Start, end: n.End, complete: true})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b *chunk) int { return cmp.Compare(a.start, b.start) })
	l.mu.RLock()
	defer l.mu.RUnlock()
	kept := found[:0]
	for _, c := range found {
		switch {
		case len(kept) > 0 && c.start <= kept[len(kept)-1].end:
		case l.covers(c.start) || l.covers(c.end):
		default:
			if known := l.late.find(c.start); known != nil && known.end == c.end {
				c = known // so that the cache keeps its file
			}
			kept = append(kept, c)
		}
	}
	return kept
}

// covers says whether a chunk of the log holds an entry. mu is held.
func (l *Log) covers(seqno synod.SeqNo) bool {
	_, found := slices.BinarySearchFunc(l.chunks, seqno, holds)
	return found
}

func (k *late) find(seqno synod.SeqNo) *chunk {
	i, found := slices.BinarySearchFunc(k.chunks, seqno, holds)
	if !found {
		return nil
	}
	return k.chunks[i]
}

// holds orders chunks around an entry.
func holds(c *chunk, seqno synod.SeqNo) int {
	switch {
	case c.end < seqno:
		return -1
	case c.start > seqno:
		return 1
	}
	return 0
}

// CommittedChunks are the names of the chunks that are committed, as far as this
// log's directories hold them, in order: also those that have been put into the
// read-only directories since it was opened.
func (l *Log) CommittedChunks() []Name {
	l.missing(0) // look, if it is time
	l.mu.RLock()
	defer l.mu.RUnlock()
	var names []Name
	for _, c := range slices.Concat(l.chunks, l.late.chunks) {
		if c.name.Committed {
			names = append(names, c.name)
		}
	}
	slices.SortFunc(names, func(a, b Name) int { return cmp.Compare(a.Start, b.Start) })
	return slices.Compact(names)
}

// committedIn are the folders in which a committed chunk may be.
func (l *Log) committedIn(name Name) []string {
	dirs := append([]string{l.cfg.Dir}, l.cfg.ReadOnlyDirs...)
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, c := range l.chunks {
		if c.name == name && !slices.Contains(dirs, c.dir) {
			dirs = append(dirs, c.dir) // of before a Skip
		}
	}
	return dirs
}

// OpenCommitted opens the file of a committed chunk, to be read and closed, and
// returns its size in bytes. It fails with ErrNotFound if no directory holds it.
func (l *Log) OpenCommitted(name Name) (File, int64, error) {
	if !name.Committed || name.Recovery || name.Ignored {
		return nil, 0, ErrNotFound
	}
	for _, dir := range l.committedIn(name) {
		path := filepath.Join(dir, name.String())
		f, err := l.fs.Open(path, false)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, 0, ioError("open", path, err)
		}
		size, err := f.Size()
		if err != nil {
			return nil, 0, errors.Join(ioError("stat", path, err), f.Close())
		}
		return f, size, nil
	}
	return nil, 0, ErrNotFound
}
