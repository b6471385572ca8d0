package snapshot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"synod"
	"synod/internal/ledger"
	"synod/internal/ledger/faultfs"
)

func openDir(t testing.TB, fs ledger.FS) *Dir {
	t.Helper()
	d, err := OpenDir(Config{Main: "main", ReadOnly: "read", FS: fs})
	must(t, err)
	return d
}

// life writes a snapshot and completes it.
func life(d *Dir, s *service, st State) (ledger.SnapshotName, error) {
	p, err := d.Write(context.Background(), st)
	if err != nil {
		return ledger.SnapshotName{}, err
	}
	at, rec := s.record(p.Entry)
	if err := p.Recorded(at); err != nil {
		return ledger.SnapshotName{}, errors.Join(err, p.Discard())
	}
	text, err := json.Marshal(rec)
	must(s.t, err)
	name, err := p.Complete(text)
	if err != nil {
		return name, errors.Join(err, p.Discard())
	}
	return name, nil
}

func files(disk *faultfs.Disk) []string { return slices.Sorted(maps.Keys(disk.Files())) }

func TestWriteAndOpen(t *testing.T) {
	s := newService(t, 2)
	disk := faultfs.New()
	disk.WriteFile("read/snapshot_1_2", []byte("not ours to remove"))
	d := openDir(t, disk)
	if _, _, err := d.Newest(nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("empty directories: %v", err)
	}
	st := s.state()
	p, err := d.Write(t.Context(), st)
	must(t, err)
	// CCF's tests read two numbers from every name in the directory.
	if want := fmt.Sprintf("main/snapshot_%d_0.partial", st.Tx.ReadVersion().SeqNo); !slices.Contains(files(disk), want) {
		t.Errorf("no %s in %q", want, files(disk))
	}
	if _, err := d.Write(t.Context(), st); !errors.Is(err, fs.ErrExist) {
		t.Errorf("written twice at once: %v", err)
	}
	if _, err := p.Complete([]byte("{}")); err == nil {
		t.Error("completed by anything")
	}
	at, rec := s.record(p.Entry)
	text := must1(json.Marshal(rec))(t)
	if _, err := p.Complete(text); !errors.Is(err, ErrEvidence) {
		t.Errorf("completed before it was recorded: %v", err)
	}
	if err := p.Recorded(p.SeqNo); !errors.Is(err, ErrEvidence) {
		t.Errorf("recorded before itself: %v", err)
	}
	must(t, p.Recorded(at+7)) // rolled back
	if _, err := p.Complete(text); !errors.Is(err, ErrEvidence) {
		t.Errorf("completed by the receipt of other evidence: %v", err)
	}
	must(t, p.Recorded(at))
	name, err := p.Complete(text)
	must(t, err)
	must(t, p.Discard()) // does no harm
	if want := []string{"main/" + name.String(), "read/snapshot_1_2"}; !slices.Equal(files(disk), want) {
		t.Errorf("files %q, want %q", files(disk), want)
	}
	f, refused, err := d.Newest(func(f *File) error {
		_, err := Verify(f, f.Size, Trust{Service: s.cert, Name: f.Name})
		return err
	})
	if err != nil || len(refused) > 0 || f.Name != name {
		t.Fatalf("%v, %v", err, refused)
	}
	must(t, f.Close())
	must(t, f.Close())
	f, err = d.Open(name.String())
	must(t, err)
	b := make([]byte, 100)
	if _, err := f.ReadAt(b, 50); err != nil || !bytes.Equal(b, disk.Files()["main/"+name.String()][50:150]) {
		t.Errorf("a range: %v", err)
	}
	must(t, f.Close())
	for _, bad := range []string{"", ".", "../main/" + name.String(), "snapshot_1_2", "snapshot_9_10.committed", name.String() + ".partial"} {
		if _, err := d.Open(bad); !errors.Is(err, ErrNotFound) {
			t.Errorf("open %q: %v", bad, err)
		}
	}
}

// TestSecondTime: a snapshot that is there already stays, and the new file goes.
func TestSecondTime(t *testing.T) {
	s := newService(t, 2)
	disk := faultfs.New()
	d := openDir(t, disk)
	st := s.state()
	p, err := d.Write(t.Context(), st)
	must(t, err)
	at, rec := s.record(p.Entry)
	must(t, p.Recorded(at))
	name := p.name
	name.Committed = true
	disk.WriteFile("main/"+name.String(), []byte("was here"))
	_, err = p.Complete(must1(json.Marshal(rec))(t))
	must(t, err)
	if got := disk.Files(); len(got) != 1 || string(got["main/"+name.String()]) != "was here" {
		t.Errorf("files %q", files(disk))
	}
}

// TestList has CCF's rule: the highest seqno, at a tie the read-only
// directory, empty files and foreign names left out.
func TestList(t *testing.T) {
	disk := faultfs.New()
	for _, path := range []string{
		"main/snapshot_10_12.committed", "main/snapshot_9_10.committed", "main/snapshot_8_9.committed", "main/snapshot_8_11.committed",
		"main/snapshot_30_31", "main/snapshot_30.committed", "main/snapshot_31_32.committed_33", "main/snapshot_33_34.partial", "main/snapshot_40_0.partial",
		"main/ledger_1", "main/snapshot_x_0.partial", "main/snapshot_040_0.partial", "main/notes.partial",
		"read/snapshot_10_11.committed", "read/snapshot_7_8.committed", "read/snapshot_50_51",
	} {
		disk.WriteFile(path, []byte("x"))
	}
	disk.WriteFile("main/snapshot_20_21.committed", nil)
	d := openDir(t, disk)
	found, err := d.List()
	must(t, err)
	var got []string
	for _, f := range found {
		got = append(got, f.Path)
		if f.ReadOnly != strings.HasPrefix(f.Path, "read") || f.Size != 1 {
			t.Errorf("%+v", f)
		}
	}
	want := []string{
		"read/snapshot_10_11.committed", "main/snapshot_10_12.committed", "main/snapshot_9_10.committed",
		"main/snapshot_8_11.committed", "main/snapshot_8_9.committed", "read/snapshot_7_8.committed",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	// Opening the directory removed what can never be completed, and only that.
	for _, path := range []string{"main/snapshot_30_31", "main/snapshot_33_34.partial", "main/snapshot_40_0.partial"} {
		if slices.Contains(files(disk), path) {
			t.Errorf("%s is still there", path)
		}
	}
	if n := len(files(disk)); n != 14 {
		t.Errorf("%d files are left: %q", n, files(disk))
	}
	bad := errors.New("bad")
	f, refused, err := d.Newest(func(f *File) error {
		if f.Name.SeqNo > 8 {
			return bad
		}
		return nil
	})
	if err != nil || f.Path != "main/snapshot_8_11.committed" || len(refused) != 4 || !errors.Is(refused[0].Err, ErrEmpty) || !errors.Is(refused[1].Err, bad) {
		t.Errorf("newest %v, %v, %v", f, refused, err)
	}
}

func TestCollect(t *testing.T) {
	disk := faultfs.New()
	for _, path := range []string{
		"main/snapshot_1_2.committed", "main/snapshot_3_4.committed", "main/snapshot_5_6.committed", "main/snapshot_7_8.committed",
		"main/other", "read/snapshot_1_2.committed",
	} {
		disk.WriteFile(path, []byte("x"))
	}
	now := time.Unix(0, 0)
	d, err := OpenDir(Config{Main: "main", ReadOnly: "read", FS: disk, Now: func() time.Time { return now }})
	must(t, err)
	collect := func(keep int, want ...string) {
		t.Helper()
		removed, err := d.Collect(keep)
		if err != nil || !slices.Equal(removed, want) {
			t.Errorf("keep %d: removed %q, want %q, %v", keep, removed, want, err)
		}
	}
	f, err := d.Open("snapshot_3_4.committed")
	must(t, err)
	collect(0)
	collect(9)
	collect(2, "main/snapshot_1_2.committed")
	must(t, f.Close())
	now = now.Add(idleMin - 1)
	collect(2)
	now = now.Add(1)
	collect(2, "main/snapshot_3_4.committed")
	collect(1, "main/snapshot_5_6.committed")
	collect(1)
	if want := []string{"main/other", "main/snapshot_7_8.committed", "read/snapshot_1_2.committed"}; !slices.Equal(files(disk), want) {
		t.Errorf("left %q", files(disk))
	}
	if f, err := d.Open("snapshot_1_2.committed"); err != nil || !f.ReadOnly {
		t.Errorf("the read-only one: %v", err)
	}
}

func TestReceive(t *testing.T) {
	s := newService(t, 2)
	b, trust := s.snapshot()
	disk := faultfs.New()
	readable(disk)
	d := openDir(t, disk)
	in, err := d.Receive(trust.Name, int64(len(b)))
	must(t, err)
	for off := 0; off < len(b); off += 1000 {
		if off == 2000 {
			continue // arrives last
		}
		_, err := in.WriteAt(b[off:min(off+1000, len(b))], int64(off))
		must(t, err)
	}
	if _, err := in.Keep(trust); err == nil {
		t.Error("kept with a hole")
	}
	_, err = in.WriteAt(b[2000:3000], 2000)
	must(t, err)
	for _, off := range []int64{-1, int64(len(b)), int64(len(b)) + 1, 1 << 62} {
		if _, err := in.WriteAt([]byte{1}, off); err == nil {
			t.Errorf("a byte at %d", off)
		}
	}
	if _, err := in.Keep(Trust{Service: newService(t, 2).cert}); err == nil {
		t.Error("kept what another service signed")
	}
	proof, err := in.Keep(trust)
	must(t, err)
	if path := "main/" + trust.Name.String(); !slices.Equal(files(disk), []string{path, "read/x"}) || !bytes.Equal(disk.Files()[path], b) || proof.SeqNo != trust.Name.SeqNo {
		t.Errorf("files %q", files(disk))
	}

	in, err = d.Receive(ledger.SnapshotName{SeqNo: 5, Evidence: 6, Committed: true}, 10)
	must(t, err)
	if _, err := in.Keep(trust); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("kept before it was there: %v", err)
	}
	must(t, in.Discard())
	must(t, in.Discard())
	if n := len(files(disk)); n != 2 {
		t.Errorf("%d files", n)
	}
	if _, err := d.Receive(ledger.SnapshotName{SeqNo: 5, Evidence: 6}, 10); err == nil {
		t.Error("received without a receipt")
	}
}

// TestCrashes crashes in every step of writing a snapshot. Afterwards a file
// with a final name is whole.
func TestCrashes(t *testing.T) {
	for _, model := range []faultfs.Model{faultfs.Ordered, faultfs.Zeroed, faultfs.Unordered, faultfs.Kept} {
		for seed := range uint64(3) {
			rng := rand.New(rand.NewPCG(seed, uint64(model)))
			survived := 0
			for step := 1; ; step++ {
				s := newService(t, 2)
				disk := faultfs.New()
				readable(disk)
				d := openDir(t, disk)
				disk.CrashAt(disk.Steps() + step)
				_, err := life(d, s, s.state())
				if !disk.Crashed() {
					must(t, err)
					break
				}
				if !errors.Is(err, faultfs.ErrCrashed) {
					t.Fatalf("step %d: %v", step, err)
				}
				disk = disk.Reboot(model, rng)
				d = openDir(t, disk)
				f, refused, err := d.Newest(func(f *File) error {
					_, err := Verify(f, f.Size, Trust{Service: s.cert, Name: f.Name})
					return err
				})
				if len(refused) > 0 {
					t.Fatalf("step %d: %v in %q", step, refused, files(disk))
				}
				if err == nil {
					survived++
					must(t, f.Close())
				} else if got := files(disk); !slices.Equal(got, []string{"read/x"}) {
					t.Fatalf("step %d: left %q", step, got)
				}
			}
			if survived == 0 && model == faultfs.Kept {
				t.Error("no crash came late enough")
			}
		}
	}
}

// TestDiskErrors fails each step in turn, and fills the disk: the error comes
// out, and what is left can be used or is gone.
func TestDiskErrors(t *testing.T) {
	injected := errors.New("injected")
	for step := 1; ; step++ {
		s := newService(t, 2)
		disk := faultfs.New()
		readable(disk)
		d := openDir(t, disk)
		n := 0
		var failed faultfs.Op
		disk.Fail(func(op faultfs.Op, _ string) error {
			if n++; n == step {
				failed = op
				return injected
			}
			return nil
		})
		name, err := life(d, s, s.state())
		if n < step {
			must(t, err)
			break
		}
		if !errors.Is(err, injected) {
			t.Fatalf("step %d, %s: %v", step, failed, err)
		}
		want := []string{"read/x"}
		if failed == faultfs.OpSyncDir { // whole, only its name is not yet certain
			want = []string{"main/" + name.String(), "read/x"}
		}
		if got := files(disk); !slices.Equal(got, want) {
			t.Errorf("step %d, %s: left %q", step, failed, got)
		}
	}
	for _, room := range []int64{1, 100, 2000, 3000} {
		s := newService(t, 2)
		disk := faultfs.New()
		readable(disk)
		d := openDir(t, disk)
		disk.SetCapacity(room)
		if _, err := life(d, s, s.state()); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%d bytes of room: %v", room, err)
		}
		if got := files(disk); !slices.Equal(got, []string{"read/x"}) {
			t.Errorf("%d bytes of room: left %q", room, got)
		}
	}
}

// TestInterrupted: whoever writes is told to stop.
func TestInterrupted(t *testing.T) {
	s := newService(t, 2)
	disk := faultfs.New()
	d := openDir(t, readable(disk))
	st := s.state()
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("the node stops")
	cancel(over)
	if _, err := d.Write(ctx, st); !errors.Is(err, over) {
		t.Errorf("%v", err)
	}
	st.ViewStarts = st.ViewStarts[1:]
	if _, err := d.Write(t.Context(), st); !errors.Is(err, ErrInconsistent) {
		t.Errorf("a view too few: %v", err)
	}
	if got := files(disk); len(got) != 1 {
		t.Errorf("left %q", got)
	}
}

func readable(disk *faultfs.Disk) *faultfs.Disk {
	disk.WriteFile("read/x", nil)
	return disk
}

// TestRealDisk is the whole life on the machine's own file system.
func TestRealDisk(t *testing.T) {
	s := newService(t, 2)
	dir := filepath.Join(t.TempDir(), "a", "snapshots")
	d, err := OpenDir(Config{Main: dir})
	must(t, err)
	var last synod.SeqNo
	for range 3 {
		name, err := life(d, s, s.state())
		must(t, err)
		last = name.SeqNo
	}
	removed, err := d.Collect(2)
	if err != nil || len(removed) != 1 {
		t.Errorf("removed %q, %v", removed, err)
	}
	found, err := d.List()
	if err != nil || len(found) != 2 || found[0].Name.SeqNo != last {
		t.Errorf("%v, %v", found, err)
	}
}
