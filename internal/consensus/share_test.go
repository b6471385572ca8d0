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
		group       int64
		lastOrdered time.Duration // after the first that is unsigned
		want        time.Time
	}{
		{"as many as last time wait", 16, 16, 0, time.Time{}},
		{"the first that waits at all", 1, 0, 0, time.Time{}},
		{"a lone client again", 1, 1, 0, time.Time{}},
		{"fewer than last time", 3, 16, 0, t0.Add(round / 4)},
		{"and they keep coming", 3, 16, round / 2, t0.Add(3 * round / 4)},
		{"but not for ever", 3, 16, 5 * round, t0.Add(round)},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &Replica{signer: signState{round: round, group: c.group, firstPending: t0, lastOrdered: t0.Add(c.lastOrdered)}}
			if got := r.gather(c.waiting); !got.Equal(c.want) {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// TestUnsignedWaiters counts who waits for what no signature covers.
func TestUnsignedWaiters(t *testing.T) {
	w := &waiters{bySeqNo: map[synod.SeqNo][]*waiter{}}
	want := func(when string, n int64) {
		t.Helper()
		if got := w.unsigned.Load(); got != n {
			t.Errorf("%s: %d, want %d", when, got, n)
		}
	}
	at := func(seqno synod.SeqNo) *waiter {
		return &waiter{id: synod.TxID{View: 2, SeqNo: seqno}, done: make(chan struct{})}
	}
	five, six, gone := at(5), at(6), at(6)
	for _, x := range []*waiter{five, six, gone} {
		w.add(x)
	}
	want("three wait", 3)
	w.remove(gone)
	want("one gave up", 2)
	w.covered(7)
	want("a signature is ordered", 0)
	late := at(4)
	w.add(late)
	want("one is late for it", 0)
	w.remove(late)
	want("and gives up", 0)
	w.add(at(8))
	want("one waits for the next", 1)
	if woken := w.committed(7); woken != 2 {
		t.Errorf("commit woke %d, want 2", woken)
	}
	want("the signature is committed", 1)
}
