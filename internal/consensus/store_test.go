package consensus

import (
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"

	"synod"
)

// TestInFlight holds what can be read of entries that the disk was given and has not
// stored: the newest at each place.
func TestInFlight(t *testing.T) {
	entry := func(view, seqno uint64, data string) *pb.Entry {
		return &pb.Entry{Term: new(view), Index: new(seqno), Data: []byte(data)}
	}
	s := &store{}
	a, b, c := entry(2, 5, "a"), entry(2, 6, "b"), entry(3, 6, "c")
	is := func(what string, want ...string) {
		t.Helper()
		for i, w := range want {
			if got := string(s.inFlight(synod.SeqNo(4 + i))); got != w {
				t.Errorf("%s: %q at %d, want %q", what, got, 4+i, w)
			}
		}
	}
	is("nothing", "", "", "")
	s.give(nil)
	s.give([]*pb.Entry{a})
	s.give([]*pb.Entry{b})
	is("two", "", "a", "b", "")
	s.give([]*pb.Entry{c})
	is("another leader's", "", "a", "c", "")
	s.landed([]*pb.Entry{a, b})
	is("what it replaced is stored", "", "", "c", "")
	s.landed([]*pb.Entry{c})
	is("all are stored", "", "", "", "")
}

// TestUncovered takes signatures back: whoever waits for what they covered waits for a
// signature again.
func TestUncovered(t *testing.T) {
	var w waiters
	for _, seqno := range []synod.SeqNo{3, 5, 8} {
		x := newWaiter()
		w.add(&x, synod.TxID{View: 2, SeqNo: seqno})
	}
	w.covered(9)
	if n := w.unsigned.Load(); n != 0 {
		t.Errorf("%d wait for a signature", n)
	}
	w.uncovered(4)
	if n := w.unsigned.Load(); n != 2 || w.signed != 4 {
		t.Errorf("%d wait for a signature after %d", n, w.signed)
	}
	w.uncovered(6)
	if w.signed != 4 {
		t.Errorf("the newest signature is at %d", w.signed)
	}
}
