package faultfs

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"synod/internal/ledger"
)

// ErrCrashed is what a crashed disk answers.
var ErrCrashed = errors.New("simulated crash")

// Op names a step of the disk: a call that changes something.
type Op string

// The steps.
const (
	OpCreate   Op = "create"
	OpWrite    Op = "write"
	OpTruncate Op = "truncate"
	OpSync     Op = "sync"
	OpRename   Op = "rename"
	OpRemove   Op = "remove"
	OpSyncDir  Op = "syncdir"
)

// Disk is a simulated file system. Its zero value is not usable; see New.
type Disk struct {
	mu       sync.Mutex
	names    map[string]*inode // as programs see them
	durable  map[string]*inode // as they survive a crash
	pending  []nameChange      // since the last SyncDir
	dirs     map[string]bool
	steps    int
	crashAt  int // 0: never
	crashed  bool
	fault    func(op Op, path string) error
	capacity int64 // of all files, bytes; 0: without bound
}

type inode struct {
	data    []byte   // as programs see it
	durable []byte   // as it survives a crash
	pending []change // since the last Sync
}

// change is a write, or a truncation to off if b is nil.
type change struct {
	off int64
	b   []byte
}

// nameChange moves an inode from one name to another; either may be empty.
type nameChange struct {
	from, to string
	node     *inode
}

// New returns an empty disk.
func New() *Disk {
	return &Disk{names: map[string]*inode{}, durable: map[string]*inode{}, dirs: map[string]bool{}}
}

// Steps is how many steps were taken.
func (d *Disk) Steps() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.steps
}

// Crashed says that the disk has crashed.
func (d *Disk) Crashed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.crashed
}

// CrashAt makes the disk crash in the n-th step counted by Steps: the step is
// under way and may survive in part.
func (d *Disk) CrashAt(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashAt = n
}

// Fail installs a function that is asked before each step; an error of it is
// the step's, which then has no effect. nil removes it.
func (d *Disk) Fail(fault func(op Op, path string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = fault
}

// SetCapacity bounds the bytes of all files; a write beyond is done in part and
// answers ENOSPC. 0 removes the bound.
func (d *Disk) SetCapacity(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.capacity = bytes
}

// Used is the number of bytes of all files.
func (d *Disk) Used() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used()
}

func (d *Disk) used() int64 {
	n := int64(0)
	for _, node := range d.names {
		n += int64(len(node.data))
	}
	return n
}

// WriteFile puts a file on the disk as if it had long been there.
func (d *Disk) WriteFile(path string, b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	node := &inode{data: slices.Clone(b), durable: slices.Clone(b)}
	d.names[path], d.durable[path] = node, node
	d.dirs[filepath.Dir(path)] = true
}

// Files returns the content of every file by path.
func (d *Disk) Files() map[string][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	files := map[string][]byte{}
	for path, node := range d.names {
		files[path] = slices.Clone(node.data)
	}
	return files
}

// step counts a step. crashing means that the disk crashes in it.
func (d *Disk) step(op Op, path string) (crashing bool, err error) {
	if d.crashed {
		return false, ErrCrashed
	}
	d.steps++
	if d.steps == d.crashAt {
		d.crashed = true
		return true, nil
	}
	if d.fault != nil {
		if err := d.fault(op, path); err != nil {
			return false, &fs.PathError{Op: string(op), Path: path, Err: err}
		}
	}
	return false, nil
}

// Create implements ledger.FS.
func (d *Disk) Create(path string) (ledger.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	crashing, err := d.step(OpCreate, path)
	if err != nil {
		return nil, err
	}
	if d.names[path] != nil {
		return nil, &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	node := &inode{}
	d.change(nameChange{to: path, node: node})
	if crashing {
		return nil, ErrCrashed
	}
	return &file{d: d, node: node, path: path, write: true}, nil
}

// Open implements ledger.FS.
func (d *Disk) Open(path string, write bool) (ledger.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.crashed {
		return nil, ErrCrashed
	}
	node := d.names[path]
	if node == nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return &file{d: d, node: node, path: path, write: write}, nil
}

// Rename implements ledger.FS.
func (d *Disk) Rename(oldPath, newPath string) error {
	return d.move(OpRename, oldPath, newPath)
}

// Remove implements ledger.FS.
func (d *Disk) Remove(path string) error { return d.move(OpRemove, path, "") }

func (d *Disk) move(op Op, from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	crashing, err := d.step(op, from)
	if err != nil {
		return err
	}
	node := d.names[from]
	if node == nil {
		return &fs.PathError{Op: string(op), Path: from, Err: fs.ErrNotExist}
	}
	d.change(nameChange{from: from, to: to, node: node})
	if crashing {
		return ErrCrashed
	}
	return nil
}

func (d *Disk) change(c nameChange) {
	c.apply(d.names)
	d.pending = append(d.pending, c)
}

func (c nameChange) apply(names map[string]*inode) {
	if c.from != "" {
		delete(names, c.from)
	}
	if c.to != "" {
		names[c.to] = c.node
	}
}

// ReadDir implements ledger.FS.
func (d *Disk) ReadDir(dir string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.crashed {
		return nil, ErrCrashed
	}
	if !d.dirs[dir] {
		return nil, &fs.PathError{Op: "readdir", Path: dir, Err: fs.ErrNotExist}
	}
	var names []string
	for path := range d.names {
		if filepath.Dir(path) == dir {
			names = append(names, filepath.Base(path))
		}
	}
	slices.Sort(names)
	return names, nil
}

// MkdirAll implements ledger.FS.
func (d *Disk) MkdirAll(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.crashed {
		return ErrCrashed
	}
	d.dirs[dir] = true
	return nil
}

// SyncDir implements ledger.FS. It covers every directory, as one journal does.
func (d *Disk) SyncDir(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	crashing, err := d.step(OpSyncDir, dir)
	switch {
	case err != nil:
		return err
	case crashing:
		return ErrCrashed
	}
	d.pending = nil
	d.durable = maps.Clone(d.names)
	return nil
}

// Lock implements ledger.FS. It locks nothing: the process on such a disk is one.
func (d *Disk) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

type file struct {
	d      *Disk
	node   *inode
	path   string
	write  bool
	closed bool
}

func (f *file) usable() error {
	switch {
	case f.d.crashed:
		return ErrCrashed
	case f.closed:
		return fs.ErrClosed
	}
	return nil
}

// ReadAt implements ledger.File.
func (f *file) ReadAt(b []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.usable(); err != nil {
		return 0, err
	}
	if off >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.node.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements ledger.File.
func (f *file) WriteAt(b []byte, off int64) (int, error) {
	return f.modify(OpWrite, change{off: off, b: slices.Clone(b)})
}

// Truncate implements ledger.File.
func (f *file) Truncate(size int64) error {
	_, err := f.modify(OpTruncate, change{off: size})
	return err
}

func (f *file) modify(op Op, c change) (int, error) {
	d := f.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := f.usable(); err != nil {
		return 0, err
	}
	if !f.write {
		return 0, &fs.PathError{Op: string(op), Path: f.path, Err: fs.ErrPermission}
	}
	crashing, err := d.step(op, f.path)
	if err != nil {
		return 0, err
	}
	if d.capacity > 0 {
		room := d.capacity - d.used() + int64(len(f.node.data)) - c.off
		if int64(len(c.b)) > room {
			c.b = c.b[:max(room, 0)]
			err = &fs.PathError{Op: string(op), Path: f.path, Err: syscall.ENOSPC}
		}
	}
	if c.b == nil || len(c.b) > 0 {
		f.node.data = c.apply(f.node.data)
		f.node.pending = append(f.node.pending, c)
	}
	if crashing {
		return 0, ErrCrashed
	}
	return len(c.b), err
}

func (c change) apply(data []byte) []byte {
	end := c.off + int64(len(c.b))
	if c.b == nil && end < int64(len(data)) {
		return data[:end:end]
	}
	if n := end - int64(len(data)); n > 0 {
		data = append(data, make([]byte, n)...)
	}
	copy(data[c.off:], c.b)
	return data
}

// Size implements ledger.File.
func (f *file) Size() (int64, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return int64(len(f.node.data)), f.usable()
}

// Sync implements ledger.File.
func (f *file) Sync() error {
	d := f.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := f.usable(); err != nil {
		return err
	}
	crashing, err := d.step(OpSync, f.path)
	if crashing {
		return ErrCrashed
	}
	if err == nil {
		for _, c := range f.node.pending {
			f.node.durable = c.apply(f.node.durable)
		}
	}
	f.node.pending = nil
	return err
}

// Close implements ledger.File.
func (f *file) Close() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.usable(); err != nil {
		return err
	}
	f.closed = true
	return nil
}
