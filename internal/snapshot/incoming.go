package snapshot

import (
	"errors"
	"fmt"
	"io"

	"synod/internal/ledger"
)

// Incoming is a snapshot file that is being fetched from another node. It
// belongs to one goroutine. Either Keep succeeds or Discard must be called.
type Incoming struct {
	dir  *Dir
	name ledger.SnapshotName
	path string
	file ledger.File
	size int64
}

// Receive begins to save a committed snapshot of size bytes, receipt included,
// under a temporary name.
func (d *Dir) Receive(name ledger.SnapshotName, size int64) (*Incoming, error) {
	if !name.Committed {
		return nil, fmt.Errorf("%w: %s is not committed", ErrNoReceipt, name)
	}
	temporary := name
	temporary.Committed = false
	path := d.path(temporary.String() + partialSuffix)
	if err := d.remove(path); err != nil { // of an attempt before
		return nil, err
	}
	f, err := d.cfg.FS.Create(path)
	if err != nil {
		return nil, ioError("create", path, err)
	}
	return &Incoming{dir: d, name: name, path: path, file: f, size: size}, nil
}

// WriteAt implements io.WriterAt. It refuses to write beyond the size.
func (in *Incoming) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off > in.size || int64(len(p)) > in.size-off {
		return 0, fmt.Errorf("%s: %d bytes at %d in a file of %d", in.name, len(p), off, in.size)
	}
	n, err := in.file.WriteAt(p, off)
	if err != nil {
		err = ioError("write", in.path, err)
	}
	return n, err
}

// Keep verifies the file (trust.Name is set to the file's) and gives it its
// final name, replacing a file of that name. On an error Discard is still to
// be called.
func (in *Incoming) Keep(trust Trust) (*Proof, error) {
	trust.Name = in.name
	if size, err := in.file.Size(); err != nil || size != in.size {
		return nil, errors.Join(err, fmt.Errorf("%s: %d bytes of %d: %w", in.name, size, in.size, io.ErrUnexpectedEOF))
	}
	proof, err := Verify(in.file, in.size, trust)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.name, err)
	}
	if err := in.file.Sync(); err != nil {
		return nil, ioError("sync", in.path, err)
	}
	if err := in.dir.publish(in.path, in.name); err != nil {
		return nil, err
	}
	in.path = ""
	return proof, in.Discard()
}

// Discard closes the file, and removes it if it was not kept. It may be called
// more than once.
func (in *Incoming) Discard() error {
	var err error
	if in.file != nil {
		err = in.file.Close()
		in.file = nil
	}
	if in.path != "" {
		err = errors.Join(err, in.dir.remove(in.path))
		in.path = ""
	}
	return err
}
