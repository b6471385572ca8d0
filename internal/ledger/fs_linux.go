package ledger

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Lock is flock. File systems that know none for directories (NFS, SMB) lock
// nothing.
func (disk) Lock(dir string) (io.Closer, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.Join(ErrInUse, f.Close())
	}
	return f, nil
}

// Sync is fdatasync, which also brings to disk a changed size but not the
// times of the file.
func (f diskFile) Sync() error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		for {
			if failed = unix.Fdatasync(int(fd)); failed != unix.EINTR {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	return failed
}
