package consensus

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"synod"
	"synod/internal/evidence"
)

// TestVerifierKeepsToItsShare sends signatures faster than they may be verified:
// few are, the newest in the end.
func TestVerifierKeepsToItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const cost, sent = time.Millisecond, 100
		var verified []synod.SeqNo
		r := &Replica{toVerify: make(chan *evidence.Signature, 1)}
		r.cfg.Verify = func(s *evidence.Signature) error {
			for end := threadTime() + cost; threadTime() < end; { //nolint:revive // it spends processor time, which is not the test's clock
			}
			verified = append(verified, s.TxID.SeqNo)
			return nil
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.runVerifier(t.Context())
		}()
		start := time.Now()
		for i := range synod.SeqNo(sent) {
			r.verify(&evidence.Signature{TxID: synod.TxID{View: 2, SeqNo: i + 1}})
			time.Sleep(cost)
		}
		close(r.toVerify)
		<-done
		// The clock stands still while processor time is spent.
		if most := 2 + int(time.Since(start)/((verifyingShare-1)*cost)); len(verified) > most {
			t.Errorf("%d of %d signatures were verified, want %d at most", len(verified), sent, most)
		}
		if last := verified[len(verified)-1]; last != sent {
			t.Errorf("the last one verified is %d, want the newest, %d", last, sent)
		}
	})
}

// TestVerifierStopsAtOnce ends the worker while it rests.
func TestVerifierStopsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := &Replica{toVerify: make(chan *evidence.Signature, 1)}
		r.cfg.Verify = func(*evidence.Signature) error {
			cancel()
			return nil
		}
		r.verify(&evidence.Signature{})
		close(r.toVerify)
		start := time.Now()
		r.runVerifier(ctx)
		if rested := time.Since(start); rested != 0 {
			t.Errorf("it rested for %s", rested)
		}
	})
}

// TestGather holds until when a signature is put off for others to share it.
func TestGather(t *testing.T) {
	t0 := time.Unix(1000, 0)
	const round = 4 * time.Millisecond
	for _, c := range []struct {
		name        string
		waiting     int64
		covered     int64 // wait for a signature that is on its way
		group       int64
		lastOrdered time.Duration // after the first that is unsigned
		want        time.Time
	}{
		{"as many as of late wait", 16, 0, 16, 0, time.Time{}},
		{"the first that waits at all", 1, 0, 0, 0, time.Time{}},
		{"a lone client again", 1, 0, 1, 0, time.Time{}},
		{"fewer than of late", 3, 0, 16, 0, t0.Add(round / 4)},
		{"and they keep coming", 3, 0, 16, round / 2, t0.Add(3 * round / 4)},
		{"but not for ever", 3, 0, 16, 5 * round, t0.Add(round)},
		{"most will be answered soon", 3, 13, 3, 0, t0.Add(round)},
		{"a third will", 4, 8, 4, 0, time.Time{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &Replica{signer: signState{round: round, group: c.group, firstPending: t0, lastOrdered: t0.Add(c.lastOrdered)}}
			r.waiters.count.Store(c.waiting + c.covered)
			r.waiters.unsigned.Store(c.waiting)
			if got := r.gather(c.waiting); !got.Equal(c.want) {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// TestGroupDecays: how many have waited of late is forgotten by and by.
func TestGroupDecays(t *testing.T) {
	s := &signState{}
	for _, c := range []struct{ waited, want int64 }{{16, 16}, {2, 14}, {2, 12}, {20, 20}, {20, 20}} {
		if s.answers(c.waited); s.group != c.want {
			t.Errorf("after %d: %d, want %d", c.waited, s.group, c.want)
		}
	}
	for range 20 {
		s.answers(1)
	}
	if s.group != 1 {
		t.Errorf("a lone client is taken for %d", s.group)
	}
}

// TestUnsignedWaiters counts who waits for what no signature covers.
func TestUnsignedWaiters(t *testing.T) {
	w := &waiters{}
	want := func(when string, n int64) {
		t.Helper()
		if got := w.unsigned.Load(); got != n {
			t.Errorf("%s: %d, want %d", when, got, n)
		}
	}
	at := func(seqno synod.SeqNo) *waiter {
		x := newWaiter()
		if !w.add(&x, synod.TxID{View: 2, SeqNo: seqno}) {
			t.Errorf("nothing to wait for at %d", seqno)
		}
		return &x
	}
	at(5)
	gone := at(6)
	at(6)
	want("three wait", 3)
	w.remove(gone)
	want("one gave up", 2)
	w.covered(7)
	want("a signature is ordered", 0)
	late := at(4)
	want("one is late for it", 0)
	w.remove(late)
	want("and gives up", 0)
	at(8)
	want("one waits for the next", 1)
	if woken := w.committed(7); woken != 2 {
		t.Errorf("commit woke %d, want 2", woken)
	}
	want("the signature is committed", 1)
}
