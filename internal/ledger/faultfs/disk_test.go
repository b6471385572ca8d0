package faultfs_test

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"syscall"
	"testing"

	"synod/internal/ledger/faultfs"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestCrash: what was synced survives in every model, what was not may be lost
// in all but one.
func TestCrash(t *testing.T) {
	for _, model := range []faultfs.Model{faultfs.Ordered, faultfs.Zeroed, faultfs.Unordered, faultfs.Kept} {
		lost := 0
		for seed := range uint64(50) {
			d := faultfs.New()
			must(t, d.MkdirAll("d"))
			f, err := d.Create("d/a")
			must(t, err)
			_, err = f.WriteAt([]byte("safe"), 0)
			must(t, err)
			must(t, f.Sync())
			must(t, d.SyncDir("d"))
			_, err = f.WriteAt([]byte("lost"), 4)
			must(t, err)
			must(t, d.Rename("d/a", "d/b"))
			after := d.Reboot(model, rand.New(rand.NewPCG(seed, 1)))
			files := after.Files()
			if len(files) != 1 {
				t.Fatalf("model %d: files %v", model, files)
			}
			for path, b := range files {
				if len(b) < 4 || string(b[:4]) != "safe" {
					t.Errorf("model %d: %s is %q", model, path, b)
				}
				if path != "d/b" || string(b) != "safelost" {
					lost++
				}
			}
			if _, err := f.WriteAt(nil, 0); !errors.Is(err, faultfs.ErrCrashed) {
				t.Errorf("write after the crash: %v", err)
			}
		}
		if (lost == 0) != (model == faultfs.Kept) {
			t.Errorf("model %d: %d of 50 lost something", model, lost)
		}
	}
}

func TestFaults(t *testing.T) {
	d := faultfs.New()
	f, err := d.Create("a")
	must(t, err)
	if _, err := d.Create("a"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("create twice: %v", err)
	}
	d.SetCapacity(3)
	if n, err := f.WriteAt([]byte("12345"), 0); n != 3 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("full disk: %d, %v", n, err)
	}
	d.SetCapacity(0)
	d.Fail(func(op faultfs.Op, _ string) error {
		if op == faultfs.OpSync {
			return syscall.EIO
		}
		return nil
	})
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("failing sync: %v", err)
	}
	d.Fail(nil)
	must(t, f.Sync())
	must(t, d.SyncDir("."))
	if b := d.Reboot(faultfs.Ordered, rand.New(rand.NewPCG(1, 1))).Files()["a"]; len(b) != 0 {
		t.Errorf("%q became durable after a failed sync", b)
	}
	d = faultfs.New()
	d.CrashAt(1)
	if _, err := d.Create("a"); !errors.Is(err, faultfs.ErrCrashed) || !d.Crashed() {
		t.Errorf("create in a crash: %v", err)
	}
}
