package ledger

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// FS is the disk under a Log. What a method has done is certain to survive a
// crash only after the Sync named with it.
type FS interface {
	// Create makes a new file for reading and writing; it fails with
	// fs.ErrExist if there is one. The name survives after SyncDir.
	Create(path string) (File, error)
	// Open opens a file for reading, or for reading and writing. It fails with
	// fs.ErrNotExist if there is none.
	Open(path string, write bool) (File, error)
	// Rename replaces newPath, if there is one. It survives after SyncDir.
	Rename(oldPath, newPath string) error
	// Remove survives after SyncDir.
	Remove(path string) error
	// ReadDir returns the names of the regular files in a directory, sorted.
	// It fails with fs.ErrNotExist if there is no such directory.
	ReadDir(dir string) ([]string, error)
	// MkdirAll makes a directory and its parents, all of which survive a crash.
	MkdirAll(dir string) error
	// SyncDir makes the names in a directory survive a crash.
	SyncDir(dir string) error
	// Lock keeps other processes from locking a directory until what it returns
	// is closed or this process ends. It fails with ErrInUse if one has.
	Lock(dir string) (io.Closer, error)
}

// File is an open file. ReadAt may be called while the others are.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Size() (int64, error)
	// Sync makes content and size survive a crash.
	Sync() error
}

// Disk returns the machine's file system.
func Disk() FS { return disk{} }

type disk struct{}

// filePerm lets operators' tools read ledger files, as CCF's umask default does.
const (
	filePerm = 0o644
	dirPerm  = 0o755
)

func (disk) Create(path string) (File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, filePerm)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

func (disk) Open(path string, write bool) (File, error) {
	flag := os.O_RDONLY
	if write {
		flag = os.O_RDWR
	}
	f, err := os.OpenFile(path, flag, 0)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

func (disk) Rename(oldPath, newPath string) error { return os.Rename(oldPath, newPath) }
func (disk) Remove(path string) error             { return os.Remove(path) }

func (disk) ReadDir(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		mode := e.Type()
		if mode&fs.ModeSymlink != 0 {
			info, err := os.Stat(filepath.Join(dir, e.Name()))
			if err != nil {
				continue // a link to nothing is no file
			}
			mode = info.Mode()
		}
		if mode.IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (d disk) MkdirAll(dir string) error {
	dir = filepath.Clean(dir)
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := d.MkdirAll(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, dirPerm); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return d.SyncDir(parent)
}

func (disk) SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

type diskFile struct{ *os.File }

func (f diskFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
