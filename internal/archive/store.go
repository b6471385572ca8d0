package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"
)

// ErrNotFound says that a store has no such object, or no such backup.
var ErrNotFound = errors.New("not found in the backup store")

// Object is what a store says of one file.
type Object struct {
	Key       string // path with slashes, without a leading one
	SizeBytes int64
	Modified  time.Time
}

// Store keeps files by key. Its methods may be called from several goroutines.
type Store interface {
	// Put stores the size bytes of r, whole or not at all, in place of what was
	// there.
	Put(ctx context.Context, key string, r io.Reader, size int64) error
	// Get opens an object; the error is ErrNotFound if there is none.
	Get(ctx context.Context, key string) (io.ReadCloser, error)
	// List returns the objects whose keys begin with the prefix, in order.
	List(ctx context.Context, prefix string) ([]Object, error)
	// Delete removes an object, and is content if there is none.
	Delete(ctx context.Context, key string) error
	// String says where the store is, without credentials.
	String() string
}

// checkKey refuses what is not a plain relative path.
func checkKey(key string) error {
	if key == "" || len(key) > 512 || path.Clean(key) != key || path.IsAbs(key) ||
		key == ".." || strings.HasPrefix(key, "../") || strings.ContainsAny(key, "\\\x00") {
		return fmt.Errorf("%q is no name of a file in a backup store", key)
	}
	return nil
}
