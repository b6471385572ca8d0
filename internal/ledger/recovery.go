package ledger

import (
	"path/filepath"
	"slices"

	"synod"
)

// BeginRecovery says that the entries after a seqno are those of a service that
// is being recovered: their chunks are named .recovery until EndRecovery, so
// that a recovery that comes to nothing can be begun again from the files that
// were there before (CCF: src/host/ledger.h).
func (l *Log) BeginRecovery(after synod.SeqNo) {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	l.recovery, l.recovers = true, after
}

// EndRecovery says that the recovered service is open: its chunks lose their
// .recovery. The newest goes first, so that a crash in between leaves a name
// that tells Open to go on with the others.
func (l *Log) EndRecovery() error {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	if err := l.writable(); err != nil {
		return err
	}
	l.recovery = false
	for _, c := range slices.Backward(l.chunks) {
		if !c.name.Recovery {
			continue
		}
		name := c.name
		name.Recovery = false
		if err := l.fs.Rename(c.path(), filepath.Join(c.dir, name.String())); err != nil {
			return l.fail("rename", c.path(), err)
		}
		if err := l.fs.SyncDir(c.dir); err != nil {
			return l.fail("sync", c.dir, err)
		}
		l.mu.Lock()
		c.name = name
		l.mu.Unlock()
	}
	return nil
}

// finishRecovery completes what EndRecovery had begun when the process died:
// the main directory holds a chunk that is newer than one named .recovery. It
// returns the names of the directory's files.
func (l *Log) finishRecovery(files []string) ([]string, error) {
	var newest synod.SeqNo
	for _, s := range files {
		if n, ok := ParseName(s); ok && !n.Recovery && !n.Ignored {
			newest = max(newest, n.Start)
		}
	}
	files = slices.Clone(files)
	for i, s := range slices.Backward(files) {
		n, ok := ParseName(s)
		if !ok || !n.Recovery || n.Ignored || n.Start >= newest {
			continue
		}
		n.Recovery = false
		if err := l.fs.Rename(filepath.Join(l.cfg.Dir, s), filepath.Join(l.cfg.Dir, n.String())); err != nil {
			return nil, ioError("rename", filepath.Join(l.cfg.Dir, s), err)
		}
		files[i] = n.String()
	}
	return files, nil
}
