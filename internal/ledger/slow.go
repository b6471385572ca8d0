package ledger

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"
)

// verySlow is how many times the threshold an operation takes that is logged as a
// failure (CCF: src/host/time_bound_logger.h).
const verySlow = 100

// LogSlow is a disk that logs the operations on another one that take longer than
// a threshold, with CCF's words; a disk is not wrapped whose threshold is not
// above zero.
func LogSlow(disk FS, threshold time.Duration, log *slog.Logger) FS {
	if threshold <= 0 {
		return disk
	}
	return slowDisk{disk, &slowLog{threshold, log}}
}

type slowLog struct {
	threshold time.Duration
	log       *slog.Logger
}

// since logs an operation on a file if it has taken too long.
func (l *slowLog) since(began time.Time, doing, path string) {
	took := time.Since(began)
	if took <= l.threshold {
		return
	}
	level := slog.LevelInfo
	if took > verySlow*l.threshold {
		level = slog.LevelWarn
	}
	ms := float64(took.Microseconds()) / 1000
	text := fmt.Sprintf("%7.3fms", ms)
	if ms >= 1000 {
		text = fmt.Sprintf("%7.3fs", took.Seconds())
	}
	l.log.LogAttrs(context.Background(), level, fmt.Sprintf("Operation took too long (%s): %s %s", text, doing, filepath.Base(path)))
}

// slowDisk passes on what takes no time worth a line.
type slowDisk struct {
	FS
	log *slowLog
}

func (d slowDisk) Create(path string) (File, error) {
	began := time.Now()
	f, err := d.FS.Create(path)
	d.log.since(began, "Creating", path)
	if err != nil {
		return nil, err
	}
	return slowFile{f, path, d.log}, nil
}

func (d slowDisk) Open(path string, write bool) (File, error) {
	began := time.Now()
	f, err := d.FS.Open(path, write)
	d.log.since(began, "Opening", path)
	if err != nil {
		return nil, err
	}
	return slowFile{f, path, d.log}, nil
}

func (d slowDisk) SyncDir(dir string) error {
	defer d.log.since(time.Now(), "Syncing directory", dir)
	return d.FS.SyncDir(dir)
}

func (d slowDisk) Rename(oldPath, newPath string) error {
	defer d.log.since(time.Now(), "Renaming", oldPath)
	return d.FS.Rename(oldPath, newPath)
}

type slowFile struct {
	File
	path string
	log  *slowLog
}

func (f slowFile) ReadAt(b []byte, off int64) (int, error) {
	defer f.log.since(time.Now(), "Reading", f.path)
	return f.File.ReadAt(b, off)
}

func (f slowFile) WriteAt(b []byte, off int64) (int, error) {
	defer f.log.since(time.Now(), "Writing", f.path)
	return f.File.WriteAt(b, off)
}

func (f slowFile) Sync() error {
	defer f.log.since(time.Now(), "Syncing", f.path)
	return f.File.Sync()
}

func (f slowFile) Truncate(size int64) error {
	defer f.log.since(time.Now(), "Truncating", f.path)
	return f.File.Truncate(size)
}
