//go:build !linux

package ledger

import (
	"io"
	"os"
)

// Lock locks nothing.
func (disk) Lock(dir string) (io.Closer, error) { return os.Open(dir) }

// Sync is fsync where there is no fdatasync.
func (f diskFile) Sync() error { return f.File.Sync() }
