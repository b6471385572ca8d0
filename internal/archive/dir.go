package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// dirStore is a store in a directory.
type dirStore struct{ root string }

// temporary marks a file that is being written; List hides it.
const temporary = ".partial"

// OpenDir returns the store in a directory, which is made if it is not there.
func OpenDir(root string) (Store, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("backup directory: %w", err)
	}
	return &dirStore{root}, nil
}

func (d *dirStore) String() string { return "file://" + d.root }

func (d *dirStore) Put(ctx context.Context, key string, r io.Reader, size int64) (err error) {
	if err := checkKey(key); err != nil {
		return err
	}
	name := filepath.Join(d.root, filepath.FromSlash(key))
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*"+temporary)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	n, err := io.Copy(f, &contextReader{ctx, r})
	if err != nil {
		return err
	}
	if n != size {
		return fmt.Errorf("%s: %d bytes came instead of %d", key, n, size)
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncUpTo(filepath.Dir(name), d.root)
}

// syncUpTo makes the names in a directory, and its own name, survive a crash.
func syncUpTo(dir, root string) error {
	for {
		f, err := os.Open(dir)
		if err != nil {
			return err
		}
		err = f.Sync()
		f.Close()
		if err != nil || dir == root || !strings.HasPrefix(dir, root) {
			return err
		}
		dir = filepath.Dir(dir)
	}
}

func (d *dirStore) Get(_ context.Context, key string) (io.ReadCloser, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(d.root, filepath.FromSlash(key)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", key, ErrNotFound)
	}
	return f, err
}

func (d *dirStore) List(ctx context.Context, prefix string) ([]Object, error) {
	start := d.root
	if dir, _, ok := cutLast(prefix, "/"); ok {
		if err := checkKey(dir); err != nil {
			return nil, err
		}
		start = filepath.Join(d.root, filepath.FromSlash(dir))
	}
	var found []Object
	err := filepath.WalkDir(start, func(name string, e fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if !e.Type().IsRegular() || strings.HasSuffix(name, temporary) {
			return nil
		}
		rel, err := filepath.Rel(d.root, name)
		if err != nil {
			return err
		}
		key := filepath.ToSlash(rel)
		if !strings.HasPrefix(key, prefix) {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		found = append(found, Object{Key: key, SizeBytes: info.Size(), Modified: info.ModTime()})
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return found, err
}

func (d *dirStore) Delete(_ context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	name := filepath.Join(d.root, filepath.FromSlash(key))
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	d.dropEmpty(filepath.Dir(name))
	return nil
}

// dropEmpty removes a folder and those above it as long as nothing is in them.
func (d *dirStore) dropEmpty(dir string) {
	for dir != d.root && os.Remove(dir) == nil {
		dir = filepath.Dir(dir)
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}

// contextReader ends a long copy when its context does.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
