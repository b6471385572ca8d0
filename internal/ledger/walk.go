package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"synod"
)

// WalkOptions says what Walk and List take into account. The zero value reads
// the committed chunks of one directory on the machine's disk.
type WalkOptions struct {
	ReadOnlyDirs []string // further directories
	Uncommitted  bool     // chunks without a committed name as well
	Recovery     bool     // chunks of an unfinished recovery as well
	FS           FS       // Disk() if nil

	// Start is where Walk begins: chunks that end before it are not read. The
	// chunk that holds it is read from its first entry, but entries before
	// Start are not reported. 0 means from the first chunk.
	Start synod.SeqNo
}

// Place is where an entry stands.
type Place struct {
	File   string // path
	Offset int64  // of its header, from the start of the file
}

// ChunkFile is a file that holds a chunk.
type ChunkFile struct {
	Path string
	Name Name
}

// List returns the chunks of dir and the options' directories that Walk would
// read, in order, a chunk that several directories hold once. It does not look
// into files. It fails with a *CorruptError if a name is no chunk's, if there
// is a hole between committed chunks, or a committed chunk after one that is
// not (CCF: python/src/ccf/ledger.py).
func List(dir string, opts WalkOptions) ([]ChunkFile, error) {
	disk := opts.FS
	if disk == nil {
		disk = Disk()
	}
	var files []ChunkFile
	for _, dir := range append([]string{dir}, opts.ReadOnlyDirs...) {
		names, err := disk.ReadDir(dir)
		if err != nil {
			return nil, ioError("read directory", dir, err)
		}
		for _, s := range names {
			n, ok := ParseName(s)
			path := filepath.Join(dir, s)
			if !ok {
				return nil, &CorruptError{File: path, Reason: "not the name of a ledger chunk", Hint: "move it out of the ledger directory"}
			}
			if n.Ignored || n.Recovery && !opts.Recovery || !n.Committed && !opts.Uncommitted {
				continue
			}
			files = append(files, ChunkFile{Path: path, Name: n})
		}
	}
	slices.SortStableFunc(files, func(a, b ChunkFile) int {
		switch {
		case a.Name.Start != b.Name.Start:
			return cmp.Compare(a.Name.Start, b.Name.Start)
		case a.Name.Committed != b.Name.Committed && a.Name.Committed:
			return -1
		case a.Name.Committed != b.Name.Committed:
			return 1
		default:
			return 0
		}
	})
	// A committed copy, if there is one, stands before the others of its start.
	files = slices.CompactFunc(files, func(a, b ChunkFile) bool {
		return a.Name.Start == b.Name.Start && (a.Name.End == b.Name.End || !b.Name.Committed)
	})
	for i := 1; i < len(files); i++ {
		a, b := files[i-1], files[i]
		switch {
		case b.Name.Committed && !a.Name.Committed:
			return nil, &CorruptError{File: b.Path, SeqNo: b.Name.Start, Reason: "committed chunk after " + a.Path + ", which is not committed"}
		case a.Name.Committed && a.Name.End+1 != b.Name.Start:
			return nil, &CorruptError{
				File: b.Path, SeqNo: b.Name.Start, Hint: hintRestore,
				Reason: fmt.Sprintf("chunk starts at %d, the one before ends at %d", b.Name.Start, a.Name.End),
			}
		}
	}
	return files, nil
}

// Walk calls fn with every entry of a ledger directory in order, and stops at
// the first error of fn, which it returns as it is. It changes nothing on disk
// and needs no key: chunks are checked for structure and for following one
// another, and every error about them is a *CorruptError. One with Tail set is
// what a crash leaves at the end of an open chunk; every entry before it has
// been reported.
func Walk(dir string, opts WalkOptions, fn func(Place, *Entry) error) error {
	files, err := List(dir, opts)
	if err != nil {
		return err
	}
	if opts.FS == nil {
		opts.FS = Disk()
	}
	w := walker{opts: opts, fn: fn}
	for i, f := range files {
		after := f.Name.End
		if after == 0 && i+1 < len(files) {
			after = files[i+1].Name.Start - 1
		}
		if after != 0 && after < opts.Start {
			continue
		}
		if err := w.chunk(f); err != nil {
			var bad *CorruptError
			if errors.As(err, &bad) && bad.Tail && i < len(files)-1 {
				bad.Tail = false // no crash leaves a chunk after a torn one
			}
			return err
		}
	}
	return nil
}

type walker struct {
	opts WalkOptions
	fn   func(Place, *Entry) error
	next synod.SeqNo // 0 before the first chunk
	view synod.View
}

func (w *walker) chunk(file ChunkFile) error {
	if w.next != 0 && file.Name.Start != w.next {
		return &CorruptError{File: file.Path, SeqNo: w.next, Reason: fmt.Sprintf("chunk starts at %d, the one before ends at %d", file.Name.Start, w.next-1)}
	}
	f, err := w.opts.FS.Open(file.Path, false)
	if err != nil {
		return ioError("open", file.Path, err)
	}
	err = w.entries(file, f)
	return errors.Join(err, ioError("close", file.Path, f.Close()))
}

func (w *walker) entries(file ChunkFile, f File) error {
	fault := func(e *CorruptError) error {
		e = e.in(file.Path, 0)
		if file.Name.Committed {
			e.Hint, e.Tail = hintRestore, false
		}
		return e
	}
	size, err := f.Size()
	if err != nil {
		return ioError("stat", file.Path, err)
	}
	s, err := NewScanner(f, size, file.Name.Start)
	var bad *CorruptError
	if errors.As(err, &bad) {
		return fault(bad)
	}
	if err != nil {
		return ioError("read", file.Path, err)
	}
	if file.Name.Committed && !s.Complete() {
		return fault(corrupt(0, file.Name.Start, "committed chunk without a positions table"))
	}
	s.view = w.view
	for {
		at := s.Offset()
		e, err := s.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.As(err, &bad) {
			return fault(bad)
		}
		if err != nil {
			return ioError("read", file.Path, err)
		}
		if e.TxID.SeqNo < w.opts.Start {
			continue
		}
		if err := w.fn(Place{File: file.Path, Offset: at}, e); err != nil {
			return err
		}
	}
	w.next, w.view = s.next, s.view
	if file.Name.Committed && w.next != file.Name.End+1 {
		return fault(corrupt(s.Offset(), w.next, "chunk ends at %d, but its name says %d", w.next-1, file.Name.End))
	}
	return nil
}
