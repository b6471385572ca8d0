//go:build unix

package observe

import (
	"io/fs"
	"syscall"
)

// inode tells files of one name apart.
func inode(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ino
	}
	return 0
}
