package ledger_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"synod"
	"synod/internal/ledger"
)

// TestLateChunks reads what is put into a read-only directory after the log was
// opened.
func TestLateChunks(t *testing.T) { synctest.Test(t, lateChunks) }

func lateChunks(t *testing.T) {
	full, late, main := t.TempDir(), t.TempDir(), t.TempDir()
	must(t, os.CopyFS(full, os.DirFS("testdata/ledger")))
	must(t, os.CopyFS(main, os.DirFS("testdata/ledger")))
	const chunk = "ledger_31-59.committed"
	must(t, os.Remove(filepath.Join(main, chunk)))
	whole := open(t, ledger.Config{Dir: full})
	defer whole.Close()
	l := open(t, ledger.Config{Dir: main, ReadOnlyDirs: []string{late}})
	defer l.Close()
	first := l.First()
	if _, err := l.Read(40, 40, 0); !errors.Is(err, ledger.ErrNotFound) {
		t.Fatalf("a hole is read: %v", err)
	}
	if got := len(l.CommittedChunks()); got != len(whole.CommittedChunks())-1 {
		t.Errorf("%d committed chunks", got)
	}
	must(t, os.WriteFile(filepath.Join(late, "notes"), nil, 0o600))
	must(t, os.Rename(filepath.Join(full, chunk), filepath.Join(late, chunk)))
	time.Sleep(time.Second) // a directory is looked at now and then
	if _, err := l.Read(40, 40, 0); err != nil {
		t.Error(err)
	}
	must(t, os.Rename(filepath.Join(late, chunk), filepath.Join(full, chunk)))
	must(t, os.CopyFS(late, os.DirFS(full)))
	for _, span := range [][2]synod.SeqNo{{29, 62}, {31, 59}, {59, 59}, {1, 100}} {
		got, err := l.Read(span[0], span[1], 0)
		must(t, err)
		want, err := whole.Read(span[0], span[1], 0)
		must(t, err)
		if len(got) != len(want) {
			t.Fatalf("%v: %d entries, want %d", span, len(got), len(want))
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Errorf("entry %d differs", int(span[0])+i)
			}
		}
	}
	if l.First() != first {
		t.Errorf("the log begins at %d, began at %d", l.First(), first)
	}
	name, _ := ledger.ParseName(chunk)
	f, size, err := l.OpenCommitted(name)
	must(t, err)
	must(t, f.Close())
	if info, err := os.Stat(filepath.Join(full, chunk)); err != nil || info.Size() != size {
		t.Errorf("%d bytes: %v", size, err)
	}
	for _, name := range []ledger.Name{{Start: 156}, {Start: 31, End: 60, Committed: true}, {Start: 31, End: 59, Committed: true, Ignored: true}} {
		if _, _, err := l.OpenCommitted(name); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What lies in the place of a late chunk while it is copied, or by mistake, is
// not there yet.
func TestLateChunkNotWhole(t *testing.T) { synctest.Test(t, lateChunkNotWhole) }

func lateChunkNotWhole(t *testing.T) {
	late, main := t.TempDir(), t.TempDir()
	must(t, os.CopyFS(main, os.DirFS("testdata/ledger")))
	const chunk = "ledger_31-59.committed"
	whole, err := os.ReadFile(filepath.Join(main, chunk))
	must(t, err)
	must(t, os.Remove(filepath.Join(main, chunk)))
	var out bytes.Buffer
	l := open(t, ledger.Config{Dir: main, ReadOnlyDirs: []string{late}, Log: slog.New(slog.NewTextHandler(&out, nil))})
	defer l.Close()
	beyond := slices.Clone(whole)
	binary.LittleEndian.PutUint64(beyond, uint64(len(whole)+1))
	for _, tt := range []struct {
		content []byte
		says    string
	}{
		{nil, "Failed to read positions offset from ledger file"},
		{make([]byte, len(whole)), "cannot be read: invalid table offset (0)"},
		{beyond, "greater than total file size"},
		{whole[:len(whole)/2], "greater than total file size"},
	} {
		must(t, os.WriteFile(filepath.Join(late, chunk), tt.content, 0o600))
		time.Sleep(time.Second) // a directory is looked at now and then
		out.Reset()
		for range 2 {
			if _, err := l.Read(40, 40, 0); !errors.Is(err, ledger.ErrNotFound) || errors.Is(err, ledger.ErrMalformed) {
				t.Errorf("%d bytes: %v", len(tt.content), err)
			}
		}
		if got := strings.Count(out.String(), tt.says); got != 1 {
			t.Errorf("%d bytes: said %d times %q:\n%s", len(tt.content), got, tt.says, &out)
		}
	}
	must(t, os.WriteFile(filepath.Join(late, chunk), whole, 0o600))
	if _, err := l.Read(40, 40, 0); err != nil {
		t.Error(err)
	}
	// What is whole and wrong is damage.
	whole[len(whole)/2] ^= 1
	must(t, os.WriteFile(filepath.Join(late, chunk), whole, 0o600))
	if _, err := l.Read(31, 59, 0); errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("damage is called a hole: %v", err)
	}
}

func TestLogSlow(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	if disk := ledger.LogSlow(ledger.Disk(), 0, log); disk != ledger.Disk() {
		t.Error("a threshold of zero logs")
	}
	must(t, open(t, ledger.Config{Dir: t.TempDir(), FS: ledger.LogSlow(ledger.Disk(), time.Hour, log)}).Append(1, series(2, 1, make([]kind, 3)...)))
	if out.Len() != 0 {
		t.Errorf("nothing was slow: %s", &out)
	}
	must(t, open(t, ledger.Config{Dir: t.TempDir(), FS: ledger.LogSlow(ledger.Disk(), 1, log)}).Append(1, series(2, 1, make([]kind, 3)...)))
	for _, doing := range []string{"Creating", "Writing", "Syncing"} {
		if !regexp.MustCompile(`level=WARN msg="Operation took too long \( *[0-9]+\.[0-9]{3}m?s\): ` + doing + ` ledger_1"`).Match(out.Bytes()) {
			t.Errorf("%s is not in the log: %s", doing, &out)
		}
	}
}
