package bench

import (
	"errors"
	"io/fs"
	"path/filepath"

	"synod/internal/ledger"
)

// totals sums up a ledger directory.
type totals struct {
	bytes                  int64
	entries, signatures    int
	perWrite, perSignature int64 // bytes of the newest of each kind
}

// ledgerTotals reads the ledger of a running node: a chunk may be renamed
// between being listed and being opened, and then it reads again.
func ledgerTotals(dir string) (t totals, err error) {
	for range 10 {
		if t, err = readTotals(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return t, err
}

func readTotals(dir string) (totals, error) {
	var t totals
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a chunk was renamed meanwhile
		}
		t.bytes += info.Size()
		return err
	})
	if err != nil {
		return t, err
	}
	err = ledger.Walk(dir, ledger.WalkOptions{Uncommitted: true}, func(_ ledger.Place, e *ledger.Entry) error {
		t.entries++
		if e.IsSignature() {
			t.signatures++
			t.perSignature = int64(len(e.Raw))
		} else {
			t.perWrite = int64(len(e.Raw))
		}
		return nil
	})
	var corrupt *ledger.CorruptError
	if errors.As(err, &corrupt) && corrupt.Tail {
		err = nil // the node is writing there
	}
	return t, err
}
