package life

import (
	"errors"
	"io/fs"
	"strings"

	"synod/internal/ledger"
)

// Bug is a mistake that a test plants, to see that it is found.
type Bug int

// The mistakes.
const (
	NoBug              Bug = iota
	SkipDirSync            // names are not synced
	SkipSync               // what is written to the ledger is not synced
	RenameBeforeData       // a snapshot gets its name before its bytes are on disk
	DeleteBeforeCopy       // what is replaced is removed first
	OpenBeforeRename       // a recovered service takes writes before its files have their names
	CommitBeforeAppend     // a transaction counts as committed before it is on disk
	KeepOldSecret          // a rekeyed service is not sealed anew, and says that it is
)

// Bugs are all mistakes, by name.
var Bugs = map[string]Bug{
	"a directory is not synced":                      SkipDirSync,
	"a file is not synced":                           SkipSync,
	"a name comes before the data":                   RenameBeforeData,
	"what is replaced is removed first":              DeleteBeforeCopy,
	"a service opens before its files are renamed":   OpenBeforeRename,
	"a transaction is confirmed before it is stored": CommitBeforeAppend,
	"a rekeyed service is not sealed anew":           KeepOldSecret,
}

// disk is the simulated disk, with a mistake.
type disk struct {
	ledger.FS
	bug Bug
}

func (d disk) SyncDir(dir string) error {
	if d.bug == SkipDirSync {
		return nil
	}
	return d.FS.SyncDir(dir)
}

func (d disk) Create(path string) (ledger.File, error) {
	f, err := d.FS.Create(path)
	return file{f, path, d.bug}, err
}

func (d disk) Open(path string, write bool) (ledger.File, error) {
	f, err := d.FS.Open(path, write)
	return file{f, path, d.bug}, err
}

func (d disk) Rename(from, to string) error {
	if d.bug == DeleteBeforeCopy {
		if err := d.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := d.SyncDir(""); err != nil {
			return err
		}
	}
	return d.FS.Rename(from, to)
}

type file struct {
	ledger.File
	path string
	bug  Bug
}

func (f file) Sync() error {
	if f.bug == SkipSync && strings.HasPrefix(f.path, ledgerDir) || f.bug == RenameBeforeData && strings.HasPrefix(f.path, snapshotDir) {
		return nil
	}
	return f.File.Sync()
}
