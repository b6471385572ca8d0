package ledger_test

import (
	"bytes"
	"errors"
	"testing"

	"synod"
	"synod/internal/ledger"
	"synod/internal/ledger/faultfs"
)

// TestSkip lets a log go on after a snapshot: what it had is moved aside, all of what
// it knew to be committed can still be read, and what comes is a ledger of its own.
func TestSkip(t *testing.T) {
	disk := faultfs.New()
	l := open(t, ledger.Config{Dir: dir, FS: disk})
	old := series(2, 1, plain, ending, plain, plain, ending, plain, signature, plain, signature)
	must(t, l.Append(1, old))
	must(t, l.Commit(2))
	must(t, l.Commit(7))
	must(t, l.Skip(20, 7))
	if l.Last() != 20 || l.First() != 21 || l.Committed() != 20 {
		t.Errorf("it goes on after %d, from %d, committed %d", l.Last(), l.First(), l.Committed())
	}
	wantNames(t, disk)
	next := series(4, 21, plain, ending, plain)
	must(t, l.Append(21, next))
	must(t, l.Commit(22))
	wantNames(t, disk, "ledger_21-22.committed", "ledger_23")
	for seqno := 1; seqno <= 7; seqno++ {
		got, err := l.Read(synod.SeqNo(seqno), synod.SeqNo(seqno), 0)
		if err != nil || !bytes.Equal(got[0], old[seqno-1]) {
			t.Errorf("entry %d of before: %v", seqno, err)
		}
	}
	for _, seqno := range []int{8, 9, 20, 24} {
		if _, err := l.Read(synod.SeqNo(seqno), synod.SeqNo(seqno), 0); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("entry %d: %v", seqno, err)
		}
	}
	if got, err := l.Read(21, 23, 0); err != nil || len(got) != 3 {
		t.Errorf("%d entries, %v", len(got), err)
	}
	must(t, l.Skip(40, 22))
	must(t, l.Append(41, series(5, 41, plain)))
	wantNames(t, disk, "ledger_41")
	if got, err := l.Read(22, 22, 0); err != nil || !bytes.Equal(got[0], next[1]) {
		t.Errorf("entry 22 after another: %v", err)
	}
	must(t, l.Close())
	names, err := disk.ReadDir(dir + "/before_21")
	if err != nil || len(names) != 3 || names[0] != "ledger_1-2.committed" || names[2] != "ledger_6" {
		t.Errorf("moved aside: %v, %v", names, err)
	}
	again := open(t, ledger.Config{Dir: dir, FS: disk, After: 40})
	if again.Last() != 41 || again.First() != 41 {
		t.Errorf("opened again it is from %d to %d", again.First(), again.Last())
	}
}
