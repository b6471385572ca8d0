package ledger

import "golang.org/x/sys/unix"

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
