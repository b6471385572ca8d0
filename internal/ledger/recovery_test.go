package ledger_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"synod"
	"synod/internal/ledger"
	"synod/internal/ledger/faultfs"
)

// recoverOn cuts a ledger of eight entries after the sixth and goes on from there
// as a recovery does, to its end or to the disk's crash. It says what was done.
func recoverOn(disk *faultfs.Disk) (done string, err error) {
	l, err := ledger.Open(ledger.Config{Dir: "ledger", FS: disk, Recover: true})
	if err != nil {
		return "", err
	}
	if err := l.Truncate(6); err != nil {
		return "", err
	}
	l.BeginRecovery(6)
	steps := []struct {
		name string
		do   func() error
	}{
		{"created", func() error { return l.Append(7, series(4, 7, before, signature)) }},
		{"chunk ended", func() error { return l.Append(9, series(4, 9, plain, ending)) }},
		{"committed", func() error { return l.Commit(10) }},
		{"opened", func() error { return l.Append(11, series(4, 11, plain, signature)) }},
		{"renamed", l.EndRecovery},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return done, err
		}
		done = s.name
	}
	return done, l.Close()
}

func lostService(t *testing.T) *faultfs.Disk {
	t.Helper()
	disk := faultfs.New()
	l, err := ledger.Open(ledger.Config{Dir: "ledger", FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Append(1, series(2, 1, plain, ending, plain, signature, plain, signature, plain, plain)); err != nil {
		t.Fatal(err)
	}
	if err := l.Commit(2); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return disk
}

// Killed at every step of a recovery, the directory is either what it was before,
// so that the recovery can be begun again, or that of the recovered service.
func TestRecoveryKilledAtEveryStep(t *testing.T) {
	base := lostService(t).Steps()
	whole := lostService(t)
	if done, err := recoverOn(whole); err != nil || done != "renamed" {
		t.Fatalf("%s: %v", done, err)
	}
	steps := whole.Steps() - base
	if steps < 20 {
		t.Fatalf("a recovery of %d steps", steps)
	}
	for model := faultfs.Ordered; model <= faultfs.Kept; model++ {
		for step := 1; step <= steps; step++ {
			for seed := range uint64(8) {
				name := fmt.Sprintf("model %d step %d seed %d", model, step, seed)
				disk := lostService(t)
				disk.CrashAt(base + step)
				done, _ := recoverOn(disk)
				after := disk.Reboot(model, rand.New(rand.NewPCG(seed, uint64(step))))
				l, err := ledger.Open(ledger.Config{Dir: "ledger", FS: after, Recover: true})
				if err != nil {
					t.Fatalf("%s, after %q: %v", name, done, err)
				}
				last := l.Last()
				switch {
				case last >= 6 && last <= 8: // as before, perhaps cut
				case last == 12 && (done == "opened" || done == "renamed"):
				default:
					t.Fatalf("%s, after %q: the log ends at %d: %v", name, done, last, filesOf(after))
				}
				if done == "renamed" && last != synod.SeqNo(12) {
					t.Fatalf("%s: the service was open, and the log ends at %d", name, last)
				}
				if _, err := l.Read(1, last, 0); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				if last != 12 {
					if done, err := recoverOn(after); err != nil || done != "renamed" {
						t.Fatalf("%s: begun again, it ends after %q: %v", name, done, err)
					}
					for file := range after.Files() {
						if strings.HasSuffix(file, ".recovery") {
							t.Errorf("%s: %s is left", name, file)
						}
					}
				}
			}
		}
	}
}

// renaming is a disk on which something happens between a reader's look at the
// log and its opening of a file.
type renaming struct {
	ledger.FS
	meanwhile func()
}

func (r *renaming) Open(path string, write bool) (ledger.File, error) {
	if do := r.meanwhile; do != nil {
		r.meanwhile = nil
		do()
	}
	return r.FS.Open(path, write)
}

// A chunk that a reader is about to open may get any of its later names first.
func TestReadWhileAChunkOfARecoveryIsRenamed(t *testing.T) {
	for name, meanwhile := range map[string]func(l *ledger.Log) error{
		"committed": func(l *ledger.Log) error { return l.Commit(10) },
		"opened":    (*ledger.Log).EndRecovery,
		"committed, then opened": func(l *ledger.Log) error {
			return errors.Join(l.Commit(10), l.EndRecovery())
		},
		"opened, then committed": func(l *ledger.Log) error {
			return errors.Join(l.EndRecovery(), l.Commit(10))
		},
	} {
		disk := &renaming{FS: lostService(t)}
		l, err := ledger.Open(ledger.Config{Dir: "ledger", FS: disk, Recover: true, CacheFiles: 1})
		if err != nil {
			t.Fatal(err)
		}
		l.BeginRecovery(8)
		if err := l.Append(9, series(4, 9, before, ending)); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Read(1, 2, 0); err != nil { // and the new chunk is no longer open
			t.Fatal(err)
		}
		disk.meanwhile = func() {
			if err := meanwhile(l); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if got, err := l.Read(9, 10, 0); err != nil || len(got) != 2 {
			t.Errorf("%s: %d entries, %v", name, len(got), err)
		}
		if disk.meanwhile != nil {
			t.Errorf("%s: no file was opened", name)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

func filesOf(disk *faultfs.Disk) []string {
	var names []string
	for name := range disk.Files() {
		names = append(names, name)
	}
	return names
}

// A fault in a chunk that is not committed ends the ledger to be recovered, and
// what is behind it is set aside.
func TestRecoveryEndsAtFault(t *testing.T) {
	disk := faultfs.New()
	l, err := ledger.Open(ledger.Config{Dir: "ledger", FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Append(1, series(2, 1, plain, ending, plain, ending, plain, signature)); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	b := disk.Files()["ledger/ledger_3"]
	disk.WriteFile("ledger/ledger_3", b[:len(b)/2])
	if _, err := ledger.Open(ledger.Config{Dir: "ledger", FS: disk}); err == nil {
		t.Error("a log goes on behind a fault")
	}
	l, err = ledger.Open(ledger.Config{Dir: "ledger", FS: disk, Recover: true})
	if err != nil {
		t.Fatal(err)
	}
	if last := l.Last(); last < 2 || last > 3 {
		t.Errorf("the log ends at %d", last)
	}
	if _, ok := disk.Files()["ledger/ledger_5.ignored"]; !ok {
		t.Errorf("what is behind is not set aside: %v", filesOf(disk))
	}
}

// What a recovery that came to nothing has left is not taken for this one's, with
// whatever files it is found: they stay as they are, and it is set aside.
func TestRecoveryOfOthersLeft(t *testing.T) {
	write := func(t *testing.T, disk *faultfs.Disk, in string, view synod.View, kinds ...kind) {
		t.Helper()
		l := open(t, ledger.Config{FS: disk, Dir: in})
		must(t, l.Append(1, series(view, 1, kinds...)))
		must(t, l.Commit(synod.SeqNo(len(kinds))))
		must(t, l.Close())
	}
	// failed leaves the chunks of a recovery after the second entry.
	failed := func(t *testing.T, view synod.View, kinds ...kind) map[string][]byte {
		t.Helper()
		disk := faultfs.New()
		write(t, disk, dir, 2, plain, ending)
		l := open(t, ledger.Config{FS: disk, Recover: true})
		l.BeginRecovery(2)
		must(t, l.Append(3, series(view, 3, kinds...)))
		must(t, l.Commit(2+synod.SeqNo(len(kinds))))
		must(t, l.Close())
		left := disk.Files()
		maps.DeleteFunc(left, func(name string, _ []byte) bool { return !strings.HasSuffix(name, ".recovery") })
		if len(left) == 0 {
			t.Fatal("nothing is left")
		}
		return left
	}
	for name, tt := range map[string]struct {
		kinds []kind // of the ledger that was put beside it
		moved bool   // its committed chunks but the newest are in a read-only directory
		left  map[string][]byte
	}{
		"the same entries": {kinds: []kind{plain, ending, plain, ending, plain, ending, plain, signature}, left: failed(t, 4, plain, ending)},
		"the same, not yet committed": {
			kinds: []kind{plain, ending, plain, ending, plain, ending, plain, signature},
			left:  failed(t, 4, plain, plain, plain, signature),
		},
		"the same, elsewhere":      {kinds: []kind{plain, ending, plain, ending, plain, ending}, moved: true, left: failed(t, 4, plain, ending)},
		"entries of a longer file": {kinds: []kind{plain, plain, plain, ending, plain, ending}, left: failed(t, 4, plain, ending)},
	} {
		t.Run(name, func(t *testing.T) {
			disk := faultfs.New()
			write(t, disk, dir, 2, tt.kinds...)
			cfg := ledger.Config{FS: disk, Recover: true}
			if tt.moved {
				files := disk.Files()
				disk = faultfs.New()
				must(t, disk.MkdirAll("copies"))
				for file, b := range files {
					if strings.Contains(file, "ledger_5") {
						disk.WriteFile(file, b)
					} else {
						disk.WriteFile("copies"+strings.TrimPrefix(file, dir), b)
					}
				}
				cfg = ledger.Config{FS: disk, Recover: true, ReadOnlyDirs: []string{"copies"}}
			}
			want := disk.Files()
			for file, b := range tt.left {
				disk.WriteFile(file, b)
			}
			l := open(t, cfg)
			if last := l.Last(); last != synod.SeqNo(len(tt.kinds)) {
				t.Errorf("the log ends at %d", last)
			}
			if l.First() != 1 {
				t.Errorf("the log begins at %d", l.First())
			}
			must(t, l.Close())
			for file := range tt.left {
				want[file+".ignored"] = tt.left[file]
			}
			if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(disk.Files()))); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			for file, b := range want {
				if !bytes.Equal(disk.Files()[file], b) {
					t.Errorf("%s was changed", file)
				}
			}
		})
	}
	t.Run("where entries are missing", func(t *testing.T) {
		disk := faultfs.New()
		write(t, disk, dir, 2, plain, ending, plain, ending, plain, ending)
		files := disk.Files()
		disk = faultfs.New()
		for file, b := range files {
			if !strings.Contains(file, "ledger_3") {
				disk.WriteFile(file, b)
			}
		}
		for file, b := range failed(t, 4, plain, ending) {
			disk.WriteFile(file, b)
		}
		l := open(t, ledger.Config{FS: disk, Recover: true})
		if l.First() != 5 {
			t.Errorf("the entries of another service are the log's, from %d on: %v", l.First(), filesOf(disk))
		}
		must(t, l.Close())
	})
}
