package ledger_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"synod"
	"synod/internal/ledger"
	"synod/internal/ledger/faultfs"
)

const dir = "ledger"

// kind is what an entry of a test is.
type kind int

const (
	plain kind = iota
	signature
	ending // a signature that ends its chunk
	before // an entry that ends the chunk before it
)

// makeEntry makes an entry whose tag is a checksum in the place of the real one.
func makeEntry(id synod.TxID, k kind, size int, fill byte) []byte {
	name := "public:t"
	flags := byte(0)
	switch k {
	case plain:
	case before:
		flags = ledger.FlagForceChunkBefore
	case ending:
		flags = ledger.FlagForceChunkAfter
		fallthrough
	case signature:
		name = "public:ccf.internal.signatures"
	}
	public := ledger.AppendPublicHeader(nil, id.SeqNo, [32]byte{}, sha256.Sum256([]byte(id.String())))
	public = binary.LittleEndian.AppendUint64(public, uint64(len(name)))
	public = append(public, name...)
	public = append(public, make([]byte, 16)...)
	public = binary.LittleEndian.AppendUint64(public, 1)
	public = append(public, 1, 0, 0, 0, 0, 0, 0, 0, 'k', 1, 0, 0, 0, 0, 0, 0, 0, fill)
	public = binary.LittleEndian.AppendUint64(public, 0)
	cipher := bytes.Repeat([]byte{fill}, max(size-44-len(public), 0))
	return ledger.Build(flags, checksum(public, cipher, ledger.IV(id)), ledger.IV(id), public, cipher)
}

func checksum(public, cipher []byte, iv [12]byte) [16]byte {
	h := sha256.New()
	h.Write(iv[:])
	h.Write(public)
	h.Write(cipher)
	return [16]byte(h.Sum(nil))
}

func checkEntry(e *ledger.Entry) error {
	if e.Tag != checksum(e.Public, e.Cipher, e.IV) {
		return errors.New("wrong tag")
	}
	return nil
}

// series makes entries with seqnos from first on.
func series(view synod.View, first synod.SeqNo, kinds ...kind) [][]byte {
	var entries [][]byte
	for i, k := range kinds {
		entries = append(entries, makeEntry(synod.TxID{View: view, SeqNo: first + synod.SeqNo(i)}, k, 257, byte(i)))
	}
	return entries
}

func open(t testing.TB, cfg ledger.Config) *ledger.Log {
	t.Helper()
	cfg.Dir = cmpOr(cfg.Dir, dir)
	l, err := ledger.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func all(t testing.TB, l *ledger.Log) [][]byte {
	t.Helper()
	if l.Last() < l.First() {
		return nil
	}
	entries, err := l.Read(l.First(), l.Last(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func names(t testing.TB, disk ledger.FS) []string {
	t.Helper()
	list, err := disk.ReadDir(dir)
	must(t, err)
	return list
}

func wantNames(t testing.TB, disk ledger.FS, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, names(t, disk)); diff != "" {
		t.Error(diff)
	}
}

// TestRewriteVector appends every entry of CCF's ledger and expects CCF's files.
func TestRewriteVector(t *testing.T) {
	var entries [][]byte
	must(t, ledger.Walk("testdata/ledger", ledger.WalkOptions{Uncommitted: true}, func(_ ledger.Place, e *ledger.Entry) error {
		entries = append(entries, e.Raw)
		return nil
	}))
	for _, batch := range []int{1, 7, len(entries)} {
		out := t.TempDir()
		l := open(t, ledger.Config{Dir: out})
		for i := 0; i < len(entries); i += batch {
			must(t, l.Append(synod.SeqNo(i+1), entries[i:min(i+batch, len(entries))]))
		}
		must(t, l.Commit(157))
		must(t, l.Close())
		want, err := os.ReadDir("testdata/ledger")
		must(t, err)
		for _, f := range want {
			a, err := os.ReadFile(filepath.Join("testdata/ledger", f.Name()))
			must(t, err)
			b, err := os.ReadFile(filepath.Join(out, f.Name()))
			must(t, err)
			if !bytes.Equal(a, b) {
				t.Errorf("batches of %d: %s differs", batch, f.Name())
			}
		}
		got, err := os.ReadDir(out)
		must(t, err)
		if len(got) != len(want) {
			t.Errorf("%d files, want %d", len(got), len(want))
		}
	}
}

func TestReadVector(t *testing.T) {
	// The log writes nothing: all but the last chunk are in a read-only place.
	main := t.TempDir()
	b, err := os.ReadFile("testdata/ledger/ledger_156")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(main, "ledger_156"), b, 0o600))
	l := open(t, ledger.Config{Dir: main, ReadOnlyDirs: []string{"testdata/ledger"}, CacheFiles: 2})
	defer l.Close()
	if l.First() != 1 || l.Last() != 157 || l.Committed() != 155 {
		t.Errorf("first %d, last %d, committed %d", l.First(), l.Last(), l.Committed())
	}
	entries := all(t, l)
	for i, b := range entries {
		seqno := synod.SeqNo(i + 1)
		e, err := ledger.ParseEntry(b)
		must(t, err)
		view, err := l.View(seqno)
		must(t, err)
		if e.TxID != (synod.TxID{View: view, SeqNo: seqno}) {
			t.Errorf("entry %d is %s, view %d", i+1, e.TxID, view)
		}
		for _, maxBytes := range []int{1, 5000, 100000} {
			part, err := l.Read(seqno, 157, maxBytes)
			must(t, err)
			size := 0
			for j, p := range part {
				if !bytes.Equal(p, entries[i+j]) {
					t.Fatalf("entry %d of a part from %d differs", j, seqno)
				}
				size += len(p)
			}
			next := i + len(part)
			if size > maxBytes && len(part) > 1 || next < len(entries) && size+len(entries[next]) <= maxBytes {
				t.Errorf("part from %d: %d entries of %d bytes for %d", seqno, len(part), size, maxBytes)
			}
		}
	}
	for _, r := range [][2]synod.SeqNo{{0, 3}, {158, 158}, {5, 4}} {
		if _, err := l.Read(r[0], r[1], 0); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("read %v: %v", r, err)
		}
	}
}

func TestChunksAndCommit(t *testing.T) {
	disk := faultfs.New()
	l := open(t, ledger.Config{FS: disk})
	must(t, l.Append(1, series(2, 1, plain, signature, plain, ending, plain, signature, before, plain, ending)))
	wantNames(t, disk, "ledger_1", "ledger_5", "ledger_7")
	must(t, l.Commit(5))
	wantNames(t, disk, "ledger_1-4.committed", "ledger_5", "ledger_7")
	must(t, l.Commit(6))
	wantNames(t, disk, "ledger_1-4.committed", "ledger_5-6.committed", "ledger_7")
	must(t, l.Append(10, series(2, 10, plain)))
	must(t, l.Commit(8))
	if err := l.Truncate(7); !errors.Is(err, ledger.ErrCommitted) {
		t.Errorf("truncate below commit: %v", err)
	}
	if err := l.Append(8, series(3, 8, plain)); !errors.Is(err, ledger.ErrCommitted) {
		t.Errorf("append below commit: %v", err)
	}
	if err := l.Append(12, series(3, 12, plain)); !errors.Is(err, ledger.ErrGap) {
		t.Errorf("append with a gap: %v", err)
	}
	must(t, l.Truncate(8)) // inside a complete chunk, with a file after it
	wantNames(t, disk, "ledger_1-4.committed", "ledger_5-6.committed", "ledger_7")
	must(t, l.Append(9, series(3, 9, plain, ending)))
	must(t, l.Commit(100)) // beyond the end
	wantNames(t, disk, "ledger_1-4.committed", "ledger_5-6.committed", "ledger_7-10.committed")
	if l.Committed() != 10 {
		t.Errorf("committed %d", l.Committed())
	}
	must(t, l.Close())
	if err := l.Append(11, nil); !errors.Is(err, ledger.ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
	if _, err := l.Read(1, 1, 0); !errors.Is(err, ledger.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
}

func TestAppendRefuses(t *testing.T) {
	l := open(t, ledger.Config{FS: faultfs.New()})
	must(t, l.Append(1, series(3, 1, plain, signature)))
	good := makeEntry(synod.TxID{View: 3, SeqNo: 3}, plain, 257, 1)
	bend := func(at int, b byte) []byte {
		bad := slices.Clone(good)
		bad[at] = b
		return bad
	}
	unsigned := makeEntry(synod.TxID{View: 3, SeqNo: 3}, plain, 257, 1)
	unsigned[1] = ledger.FlagForceChunkAfter
	for name, bad := range map[string][]byte{
		"empty":       nil,
		"short":       good[:40],
		"version":     bend(0, 0),
		"flags":       bend(1, 4),
		"size":        bend(2, 9),
		"seqno":       bend(24, 9),
		"view":        bend(32, 2),
		"snapshot":    bend(35, 0x80),
		"chunk end":   unsigned,
		"longer":      append(slices.Clone(good), 0),
		"not in turn": makeEntry(synod.TxID{View: 3, SeqNo: 5}, plain, 257, 1),
	} {
		if err := l.Append(3, [][]byte{good, bad}); !errors.Is(err, ledger.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		if err := l.Append(3, [][]byte{bad}); !errors.Is(err, ledger.ErrMalformed) {
			t.Errorf("%s alone: %v", name, err)
		}
	}
	if l.Last() != 2 {
		t.Errorf("last %d", l.Last())
	}
	must(t, l.Append(3, [][]byte{good}))
}

// TestSteps pins the cost of the usual calls in writes and syncs.
func TestSteps(t *testing.T) {
	disk := faultfs.New()
	l := open(t, ledger.Config{FS: disk})
	var steps []string
	disk.Fail(func(op faultfs.Op, path string) error {
		steps = append(steps, fmt.Sprint(op, " ", filepath.Base(path)))
		return nil
	})
	want := func(what string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, steps); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
		steps = nil
	}
	must(t, l.Append(1, series(2, 1, plain, signature)))
	want("first", "create ledger_1", "write ledger_1", "sync ledger_1", "syncdir ledger")
	must(t, l.Append(3, series(2, 3, plain, plain, plain)))
	want("more", "write ledger_1", "sync ledger_1")
	must(t, l.Append(6, series(2, 6, plain, ending)))
	want("ending", "write ledger_1", "sync ledger_1", "write ledger_1", "sync ledger_1")
	must(t, l.Commit(7))
	want("commit", "rename ledger_1", "syncdir ledger")
	must(t, l.Commit(7))
	want("commit again")
	must(t, l.Append(8, series(2, 8, plain)))
	want("next chunk", "create ledger_8", "write ledger_8", "sync ledger_8", "syncdir ledger")
	must(t, l.Append(8, series(3, 8, plain, ending)))
	want("rewrite", "remove ledger_8", "syncdir ledger",
		"create ledger_8", "write ledger_8", "sync ledger_8", "syncdir ledger", "write ledger_8", "sync ledger_8")
	must(t, l.Truncate(8))
	want("cut a complete chunk", "write ledger_8", "sync ledger_8", "truncate ledger_8", "sync ledger_8")
}

func TestDiskFull(t *testing.T) {
	disk := faultfs.New()
	l := open(t, ledger.Config{FS: disk})
	entries := series(2, 1, plain, plain, ending, plain, plain)
	must(t, l.Append(1, entries[:2]))
	for _, room := range []int64{0, 1, 100} {
		disk.SetCapacity(disk.Used() + room)
		before := disk.Files()
		err := l.Append(3, entries[2:])
		var failed *ledger.IOError
		if !errors.Is(err, syscall.ENOSPC) || !errors.As(err, &failed) {
			t.Fatalf("full disk: %v", err)
		}
		if diff := cmp.Diff(before, disk.Files()); diff != "" {
			t.Error(diff)
		}
	}
	disk.SetCapacity(disk.Used() + 280) // for the third entry and the table, not for a second chunk
	if err := l.Append(3, entries[2:]); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("full disk: %v", err)
	}
	wantNames(t, disk, "ledger_1")
	disk.SetCapacity(0)
	must(t, l.Append(3, entries[2:]))
	if diff := cmp.Diff(entries, all(t, l)); diff != "" {
		t.Error(diff)
	}
}

func TestSyncFails(t *testing.T) {
	disk := faultfs.New()
	l := open(t, ledger.Config{FS: disk})
	entries := series(2, 1, plain, plain, plain)
	must(t, l.Append(1, entries[:2]))
	disk.Fail(func(op faultfs.Op, _ string) error {
		if op == faultfs.OpSync {
			return syscall.EIO
		}
		return nil
	})
	if err := l.Append(3, entries[2:]); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	disk.Fail(nil)
	for _, err := range []error{l.Append(3, entries[2:]), l.Truncate(1), l.Commit(2)} {
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("after a failed sync: %v", err)
		}
	}
	if diff := cmp.Diff(entries[:2], all(t, l)); diff != "" {
		t.Error(diff)
	}
	l = open(t, ledger.Config{FS: disk.Reboot(faultfs.Ordered, rand.New(rand.NewPCG(1, 1)))})
	must(t, l.Append(3, entries[2:]))
	if diff := cmp.Diff(entries, all(t, l)); diff != "" {
		t.Error(diff)
	}
}

// TestOpen is about what directories may hold.
func TestOpen(t *testing.T) {
	// The files of a ledger of 1..10 in chunks 1..4, 5..7, 8..10; the last is open.
	disk := faultfs.New()
	l := open(t, ledger.Config{FS: disk})
	must(t, l.Append(1, series(2, 1, plain, signature, plain, ending, plain, plain, ending, plain, plain, plain)))
	must(t, l.Close())
	files := disk.Files()
	one, five, eight := files["ledger/ledger_1"], files["ledger/ledger_5"], files["ledger/ledger_8"]

	join := func(parts ...[]byte) []byte { return slices.Concat(parts...) }
	type contents map[string][]byte
	tests := map[string]struct {
		files   contents
		after   synod.SeqNo
		first   synod.SeqNo
		last    synod.SeqNo
		names   []string // afterwards; nil: as before
		corrupt bool
	}{
		"nothing":             {first: 1, last: 0},
		"snapshot alone":      {after: 20, first: 21, last: 20},
		"uncommitted":         {files: contents{"ledger_1": one, "ledger_5": five, "ledger_8": eight}, first: 1, last: 10},
		"committed":           {files: contents{"ledger_1-4.committed": one, "ledger_5-7.committed": five}, first: 1, last: 7},
		"later start":         {files: contents{"ledger_5-7.committed": five, "ledger_8": eight}, first: 5, last: 10},
		"hole in committed":   {files: contents{"ledger_1-4.committed": one, "ledger_8": eight}, corrupt: true},
		"hole far back":       {files: contents{"ledger_1-2.committed": one, "ledger_5-7.committed": five, "ledger_8": eight}, first: 5, last: 10},
		"hole in uncommitted": {files: contents{"ledger_1": one, "ledger_8": eight}, corrupt: true},
		"overlap":             {files: contents{"ledger_1-5.committed": one, "ledger_5-7.committed": five}, corrupt: true},
		"open overlap":        {files: contents{"ledger_1-6.committed": one, "ledger_5": five}, corrupt: true},
		"covered": {
			files: contents{"ledger_1": one, "ledger_1-4.committed": one, "ledger_5": five}, first: 1, last: 7,
			names: []string{"ledger_1-4.committed", "ledger_1.ignored", "ledger_5"},
		},
		"covered by snapshot": {
			files: contents{"ledger_1": one, "ledger_5": five}, after: 7, first: 8, last: 7,
			names: []string{"ledger_1.ignored", "ledger_5.ignored"},
		},
		"snapshot inside": {files: contents{"ledger_1-4.committed": one, "ledger_5": five}, after: 6, first: 1, last: 7},
		"snapshot after all": {
			files: contents{"ledger_1-4.committed": one}, after: 6, first: 7, last: 6,
		},
		"recovery leftovers": {
			files: contents{"ledger_1-4.committed": one, "ledger_5-7.committed.recovery": five, "ledger_8.recovery": eight}, first: 1, last: 4,
			names: []string{"ledger_1-4.committed", "ledger_5-7.committed.recovery.ignored", "ledger_8.recovery.ignored"},
		},
		"ignored": {files: contents{"ledger_1-4.committed": one, "ledger_5.ignored": nil, "notes.txt": nil}, first: 1, last: 4},
		"empty newest": {
			files: contents{"ledger_1": one, "ledger_5": nil}, first: 1, last: 4, names: []string{"ledger_1"},
		},
		"header alone": {
			files: contents{"ledger_1": one, "ledger_5": make([]byte, 8)}, first: 1, last: 4, names: []string{"ledger_1"},
		},
		"zeros": {
			files: contents{"ledger_1": one, "ledger_5": make([]byte, 4096)}, first: 1, last: 4, names: []string{"ledger_1"},
		},
		"empty not newest":  {files: contents{"ledger_1": nil, "ledger_5": five}, corrupt: true},
		"torn entry":        {files: contents{"ledger_8": eight[:len(eight)-1]}, first: 8, last: 9},
		"torn header":       {files: contents{"ledger_8": join(eight, []byte{1, 0, 9})}, first: 8, last: 10},
		"zero tail":         {files: contents{"ledger_8": join(eight, make([]byte, 10000))}, first: 8, last: 10},
		"stale tail":        {files: contents{"ledger_8": join(eight, series(2, 12, plain)[0])}, first: 8, last: 10},
		"older view":        {files: contents{"ledger_8": join(eight, series(1, 11, plain)[0])}, first: 8, last: 10},
		"wrong tag":         {files: contents{"ledger_8": join(eight[:len(eight)-1], []byte{99})}, first: 8, last: 9},
		"no table":          {files: contents{"ledger_5": join(make([]byte, 8), five[8:len(five)-12])}, first: 5, last: 7},
		"table, no header":  {files: contents{"ledger_5": join(make([]byte, 8), five[8:])}, first: 5, last: 7},
		"torn table":        {files: contents{"ledger_5": join(make([]byte, 8), five[8:len(five)-5])}, first: 5, last: 7},
		"torn table offset": {files: contents{"ledger_5": join(five[:1], make([]byte, 7), five[8:])}, first: 5, last: 7},
		"wrong table": {
			files: contents{"ledger_5": join(five[:len(five)-4], []byte{1, 1, 0, 0})}, first: 5, last: 7,
		},
		"torn before newest": {files: contents{"ledger_5": five[:300], "ledger_8": eight}, corrupt: true},
		"other first":        {files: contents{"ledger_1": eight}, first: 1, last: 0, names: []string{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			disk := faultfs.New()
			must(t, disk.MkdirAll(dir))
			for name, b := range test.files {
				disk.WriteFile(filepath.Join(dir, name), b)
			}
			want := test.names
			if want == nil {
				want = names(t, disk)
			}
			l, err := ledger.Open(ledger.Config{Dir: dir, FS: disk, After: test.after, Check: checkEntry})
			if test.corrupt {
				var bad *ledger.CorruptError
				if !errors.As(err, &bad) || bad.File == "" || bad.Hint == "" {
					t.Fatalf("want a CorruptError, got %v", err)
				}
				wantNames(t, disk, want...)
				return
			}
			must(t, err)
			if l.First() != test.first || l.Last() != test.last {
				t.Fatalf("%d to %d, want %d to %d", l.First(), l.Last(), test.first, test.last)
			}
			if len(want)+len(names(t, disk)) > 0 {
				wantNames(t, disk, want...)
			}
			all(t, l)
			must(t, l.Append(l.Last()+1, series(2, l.Last()+1, plain, signature)))
			last := l.Last()
			must(t, l.Close())
			again := open(t, ledger.Config{FS: disk, After: test.after, Check: checkEntry})
			if again.Last() != last {
				t.Errorf("last %d after reopening, want %d", again.Last(), last)
			}
		})
	}
}

// TestReopenEndsChunk: a chunk whose last entry ends it is completed, wherever
// the crash came.
func TestReopenEndsChunk(t *testing.T) {
	disk := faultfs.New()
	l := open(t, ledger.Config{FS: disk})
	must(t, l.Append(1, series(2, 1, plain, ending)))
	whole := disk.Files()["ledger/ledger_1"]
	for cut := range 9 {
		disk := faultfs.New()
		disk.WriteFile("ledger/ledger_1", append(make([]byte, 8), whole[8:len(whole)-cut]...))
		open(t, ledger.Config{FS: disk})
		if got := disk.Files()["ledger/ledger_1"]; !bytes.Equal(got, whole) {
			t.Errorf("cut by %d bytes: not completed", cut)
		}
	}
}

func TestReadDamaged(t *testing.T) {
	disk := faultfs.New()
	l := open(t, ledger.Config{FS: disk})
	must(t, l.Append(1, series(2, 1, plain, plain, ending)))
	must(t, l.Commit(3))
	whole := disk.Files()["ledger/ledger_1-3.committed"]
	for at, b := range map[int]byte{0: 9, 8: 0, 9: 8, 8 + 257 + 2: 3, 8 + 24: 7, len(whole) - 4: 1} {
		damaged := slices.Clone(whole)
		damaged[at] = b
		disk := faultfs.New()
		disk.WriteFile("ledger/ledger_1-3.committed", damaged)
		l, err := ledger.Open(ledger.Config{Dir: dir, FS: disk})
		if err == nil {
			_, err = l.Read(1, 3, 0)
		}
		var bad *ledger.CorruptError
		if !errors.As(err, &bad) || bad.File != "ledger/ledger_1-3.committed" || bad.Hint == "" {
			t.Errorf("byte %d: %v", at, err)
		}
		if err := ledger.Walk(dir, ledger.WalkOptions{FS: disk}, func(ledger.Place, *ledger.Entry) error { return nil }); !errors.As(err, &bad) || bad.Tail {
			t.Errorf("byte %d: walk: %v", at, err)
		}
	}
}

// TestMovedChunk: operators may move committed chunks to a read-only directory.
func TestMovedChunk(t *testing.T) {
	disk := faultfs.New()
	must(t, disk.MkdirAll("archive"))
	l := open(t, ledger.Config{FS: disk, ReadOnlyDirs: []string{"archive"}, CacheFiles: 1})
	entries := series(2, 1, plain, ending, plain, ending, plain)
	must(t, l.Append(1, entries))
	must(t, l.Commit(4))
	must(t, disk.Rename("ledger/ledger_1-2.committed", "archive/ledger_1-2.committed"))
	if diff := cmp.Diff(entries, all(t, l)); diff != "" {
		t.Error(diff)
	}
	must(t, disk.Remove("archive/ledger_1-2.committed"))
	if _, err := l.Read(1, 1, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing chunk: %v", err)
	}
}

// TestConcurrentReaders: readers see whole entries, of the branch they read,
// while the writer appends, cuts, completes and renames.
func TestConcurrentReaders(t *testing.T) {
	l := open(t, ledger.Config{Dir: t.TempDir(), CacheFiles: 2})
	defer l.Close()
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for r := range 3 {
		readers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(r), 0))
			for {
				select {
				case <-stop:
					return
				default:
				}
				last := l.Last()
				if last == 0 {
					continue
				}
				from := 1 + synod.SeqNo(rng.Uint64N(uint64(last)))
				entries, err := l.Read(from, last, 4000)
				if errors.Is(err, ledger.ErrNotFound) {
					continue // cut meanwhile
				}
				if err != nil {
					t.Error(err)
					return
				}
				for i, b := range entries {
					e, err := ledger.ParseEntry(b)
					if err != nil || e.TxID.SeqNo != from+synod.SeqNo(i) || checkEntry(e) != nil {
						t.Errorf("entry %d: %v", from+synod.SeqNo(i), err)
						return
					}
				}
			}
		})
	}
	rng := rand.New(rand.NewPCG(9, 9))
	view := synod.View(2)
	for range 120 {
		first := l.Last() + 1
		if rng.IntN(4) == 0 {
			first -= min(first-l.Committed()-1, synod.SeqNo(rng.IntN(12)))
			view++
		}
		kinds := make([]kind, 1+rng.IntN(6))
		if rng.IntN(2) == 0 {
			kinds[len(kinds)-1] = ending
		}
		must(t, l.Append(first, series(view, first, kinds...)))
		if rng.IntN(3) == 0 {
			must(t, l.Commit(l.Committed()+(l.Last()-l.Committed())/2))
		}
	}
	close(stop)
	readers.Wait()
}
