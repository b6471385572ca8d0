package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"synod/internal/ledger"
)

// ErrNotFound says that a directory holds no snapshot of the name, or none
// that can be used.
var ErrNotFound = errors.New("no such snapshot")

// ErrEmpty says that a file has the name of a committed snapshot and no content,
// as a copy has that has not begun.
var ErrEmpty = errors.New("the file is empty")

// Config says where snapshots are.
type Config struct {
	Main     string           // directory that is written to; made if it is not there
	ReadOnly string           // directory that is only read, or ""
	FS       ledger.FS        // ledger.Disk() if nil
	Now      func() time.Time // time.Now if nil
}

// Dir is the snapshots of one node. It may be used from several goroutines.
type Dir struct {
	cfg Config

	mu  sync.Mutex
	use map[string]usage // by path; guarded by mu
}

// A usage is who reads a file.
type usage struct {
	open int
	last time.Time // when the last one closed it
}

// A Found is a committed snapshot file.
type Found struct {
	Name     ledger.SnapshotName
	Path     string
	Size     int64 // bytes
	ReadOnly bool  // it is in the read-only directory
}

// A Refused is a snapshot that is not used, and why.
type Refused struct {
	Found
	Err error // ErrEmpty, an I/O error, or what its check said
}

// OpenDir makes the main directory if need be, and removes from it what a
// crash left behind: files that were being written, and snapshots without
// receipt, which nobody can complete any more.
func OpenDir(cfg Config) (*Dir, error) {
	if cfg.FS == nil {
		cfg.FS = ledger.Disk()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	d := &Dir{cfg: cfg, use: map[string]usage{}}
	if err := cfg.FS.MkdirAll(cfg.Main); err != nil {
		return nil, ioError("mkdir", cfg.Main, err)
	}
	names, err := cfg.FS.ReadDir(cfg.Main)
	if err != nil {
		return nil, ioError("read", cfg.Main, err)
	}
	for _, name := range names {
		if n, ok := ledger.ParseSnapshotName(name); ok && !n.Committed || isPartial(name) {
			if err := d.remove(d.path(name)); err != nil {
				return nil, err
			}
		}
	}
	return d, nil
}

// partialSuffix ends the names of files that are being written.
const partialSuffix = ".partial"

// isPartial says whether a file of this name is one that we began to write:
// snapshot_<seqno>_<evidence>.partial, the evidence 0 while there is none. Tools
// that look for two numbers in every name find them (CCF: tests/infra/node.py).
func isPartial(name string) bool {
	base, ok := strings.CutSuffix(name, partialSuffix)
	if !ok {
		return false
	}
	if first, unrecorded := strings.CutSuffix(base, "_0"); unrecorded {
		rest, ours := strings.CutPrefix(first, "snapshot_")
		seqno, err := strconv.ParseUint(rest, 10, 64)
		return ours && err == nil && strconv.FormatUint(seqno, 10) == rest
	}
	n, ok := ledger.ParseSnapshotName(base)
	return ok && !n.Committed
}

// List returns the committed snapshots that are not empty, best first: with
// the highest seqno, and among those the one in the read-only directory
// (CCF: src/snapshots/snapshot_manager.h).
func (d *Dir) List() ([]Found, error) {
	found, err := d.all()
	return slices.DeleteFunc(found, func(f Found) bool { return f.Size == 0 }), err
}

// all returns the committed snapshots, best first, and the empty among them.
func (d *Dir) all() ([]Found, error) {
	found, err := d.list(d.cfg.Main, false)
	if err != nil {
		return nil, err
	}
	if d.cfg.ReadOnly != "" {
		more, err := d.list(d.cfg.ReadOnly, true)
		if err != nil {
			return nil, err
		}
		found = append(more, found...)
	}
	sortBest(found)
	return found, nil
}

// sortBest puts the best first.
func sortBest(found []Found) {
	slices.SortStableFunc(found, func(a, b Found) int {
		switch {
		case a.Name.SeqNo != b.Name.SeqNo:
			return cmp.Compare(b.Name.SeqNo, a.Name.SeqNo)
		case a.ReadOnly != b.ReadOnly:
			if a.ReadOnly {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.Name.Evidence, a.Name.Evidence)
	})
}

func (d *Dir) list(dir string, readOnly bool) ([]Found, error) {
	names, err := d.cfg.FS.ReadDir(dir)
	if err != nil {
		return nil, ioError("read", dir, err)
	}
	var found []Found
	for _, name := range names {
		n, ok := ledger.ParseSnapshotName(name)
		if !ok || !n.Committed {
			continue
		}
		path := filepath.Join(dir, name)
		size, err := d.size(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since
		}
		if err != nil {
			return nil, ioError("size", path, err)
		}
		found = append(found, Found{n, path, size, readOnly})
	}
	return found, nil
}

func (d *Dir) size(path string) (int64, error) {
	f, err := d.cfg.FS.Open(path, false)
	if err != nil {
		return 0, err
	}
	size, err := f.Size()
	return size, errors.Join(err, f.Close())
}

// File is an open committed snapshot. It may be read from several goroutines
// and is not removed while it is open, nor for some minutes after, so that it
// can be served range by range.
type File struct {
	Found
	dir  *Dir
	file ledger.File
	once sync.Once
}

// Open opens a committed snapshot by its file name, which may come from a
// client. The error is ErrNotFound or an I/O error.
func (d *Dir) Open(name string) (*File, error) {
	n, ok := ledger.ParseSnapshotName(name)
	if !ok || !n.Committed {
		return nil, fmt.Errorf("%w: %q", ErrNotFound, name)
	}
	found, err := d.List()
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		if f.Name == n {
			return d.open(f)
		}
	}
	return nil, fmt.Errorf("%w: %q", ErrNotFound, name)
}

// Newest opens the best snapshot that check accepts, for instance by Verify.
// Those that it refuses are returned too, for the log. The error is ErrNotFound
// if none is left.
func (d *Dir) Newest(check func(*File) error) (best *File, refused []Refused, err error) {
	found, err := d.all()
	if err != nil {
		return nil, nil, err
	}
	for _, next := range found {
		if next.Size == 0 {
			refused = append(refused, Refused{next, ErrEmpty})
			continue
		}
		f, err := d.open(next)
		if err == nil {
			if err = check(f); err == nil {
				return f, refused, nil
			}
			err = errors.Join(err, f.Close())
		}
		refused = append(refused, Refused{next, err})
	}
	return nil, refused, ErrNotFound
}

func (d *Dir) open(found Found) (*File, error) {
	d.count(found.Path, 1)
	f, err := d.cfg.FS.Open(found.Path, false)
	if err != nil {
		d.count(found.Path, -1)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %s is gone", ErrNotFound, found.Path)
		}
		return nil, ioError("open", found.Path, err)
	}
	return &File{Found: found, dir: d, file: f}, nil
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) { return f.file.ReadAt(p, off) }

// Close closes the file. It may be called more than once.
func (f *File) Close() (err error) {
	f.once.Do(func() {
		err = f.file.Close()
		f.dir.count(f.Path, -1)
	})
	return err
}

func (d *Dir) count(path string, by int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	u := d.use[path]
	d.use[path] = usage{open: u.open + by, last: d.cfg.Now()}
}

func (d *Dir) path(name string) string { return filepath.Join(d.cfg.Main, name) }

func (d *Dir) remove(path string) error {
	if err := d.cfg.FS.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return ioError("remove", path, err)
	}
	return nil
}

func ioError(op, path string, err error) error {
	return &ledger.IOError{Op: op, File: path, Err: err}
}
