package peer

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"synod"
)

// callIn starts a call; its outcome comes on the channel.
func callIn(ctx context.Context, a, b *testNode, request string) <-chan outcome {
	done := make(chan outcome, 1)
	go func() {
		answer, err := a.Links.Call(ctx, b.id, []byte(request))
		done <- outcome{answer, err}
	}()
	return done
}

// TestCallCancelled gives up a call that is being served: its handler learns of
// it, and what it answers all the same reaches nobody.
func TestCallCancelled(t *testing.T) {
	noticed := make(chan struct{}, 1)
	inBubble(t, func(b *Config) {
		b.Call = func(ctx context.Context, _ synod.NodeID, r []byte) ([]byte, error) {
			if string(r) == "slow" {
				<-ctx.Done()
				noticed <- struct{}{}
			}
			return r, nil
		}
	}, func(t *testing.T, _ *memNet, a, b *testNode) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		slow := callIn(ctx, a, b, "slow")
		for range 10 {
			if o := <-callIn(t.Context(), a, b, "quick"); string(o.answer) != "quick" {
				t.Fatalf("%+v", o)
			}
		}
		if o := <-slow; !errors.Is(o.err, ErrUnanswered) || !errors.Is(o.err, context.DeadlineExceeded) {
			t.Errorf("given up: %v", o.err)
		}
		<-noticed
		if o := <-callIn(t.Context(), a, b, "quick"); string(o.answer) != "quick" {
			t.Fatalf("afterwards: %+v", o)
		}
		synctest.Wait()
		if a.stat(b.id).Calls+b.stat(a.id).Serving != 0 || !a.stat(b.id).Connected {
			t.Errorf("%+v, %+v", a.stat(b.id), b.stat(a.id))
		}
	})
}

// TestLateAnswer answers a call after its caller has gone.
func TestLateAnswer(t *testing.T) {
	s := newService(t)
	a, b := s.node(), s.node()
	k := newLink(a.Links, b.id, func() {})
	c := &call{result: make(chan outcome, 1)}
	if err := k.enqueue(c); err != nil {
		t.Fatal(err)
	}
	var taken batch
	k.take(&taken, false)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.abandon(ctx, c); !errors.Is(err, ErrUnanswered) {
		t.Errorf("abandon: %v", err)
	}
	if k.waiting(1) || len(k.cancels) != 1 {
		t.Error("the call is still waited for")
	}
	k.answered(1, []byte("late"), nil)
	if len(c.result) != 0 {
		t.Error("a late answer was delivered")
	}
	// Answered and given up at the same time: the answer counts.
	c = &call{result: make(chan outcome, 1)}
	if err := k.enqueue(c); err != nil {
		t.Fatal(err)
	}
	k.take(&taken, false)
	k.answered(2, []byte("in time"), nil)
	if answer, err := k.abandon(ctx, c); string(answer) != "in time" || err != nil {
		t.Errorf("abandon = %q, %v", answer, err)
	}
}

// TestUnsentBounded has as many bytes wait to be sent as may.
func TestUnsentBounded(t *testing.T) {
	s := newService(t)
	k := newLink(s.node().Links, "peer", func() {})
	if err := k.enqueue(&call{request: make([]byte, callBytesMax+1)}); err != nil {
		t.Errorf("one large request: %v", err)
	}
	if err := k.enqueue(&call{request: []byte{1}}); !errors.Is(err, ErrBusy) {
		t.Errorf("one more: %v", err)
	}
}

// TestCallNotSent gives up a call while the peer is being dialled, and calls one
// that is not there.
func TestCallNotSent(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, net *memNet, a, b *testNode) {
		b.s.set("hangs", "hangs")
		net.listen("hangs")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := a.Links.Call(ctx, "hangs", []byte("x"))
		if !errors.Is(err, ErrUnreachable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("given up: %v", err)
		}
		if st := a.stat("hangs"); st.Calls != 0 {
			t.Errorf("%+v", st)
		}
		b.s.set("gone", "gone")
		if _, err := a.Links.Call(t.Context(), "gone", nil); !errors.Is(err, ErrUnreachable) || !errors.Is(err, errNobody) {
			t.Errorf("not there: %v", err)
		}
	})
}

// TestPeerDies ends a peer with calls in flight.
func TestPeerDies(t *testing.T) {
	inBubble(t, blockedCall, func(t *testing.T, _ *memNet, a, b *testNode) {
		one, two := callIn(t.Context(), a, b, "1"), callIn(t.Context(), a, b, "2")
		synctest.Wait()
		if a.stat(b.id).Calls != 2 || b.stat(a.id).Serving != 2 {
			t.Errorf("in flight: %+v, %+v", a.stat(b.id), b.stat(a.id))
		}
		b.stop()
		for _, c := range []<-chan outcome{one, two} {
			if o := <-c; !errors.Is(o.err, ErrUnanswered) {
				t.Errorf("Call: %v", o.err)
			}
		}
	})
}

// TestCallerDies ends a caller: the handler's context ends.
func TestCallerDies(t *testing.T) {
	inBubble(t, blockedCall, func(t *testing.T, _ *memNet, a, b *testNode) {
		call := callIn(t.Context(), a, b, "1")
		synctest.Wait()
		a.stop()
		if o := <-call; !errors.Is(o.err, ErrUnanswered) {
			t.Errorf("Call: %v", o.err)
		}
		synctest.Wait()
		if len(b.Stats()) != 0 {
			t.Errorf("%+v", b.Stats())
		}
	})
}

func TestCallFails(t *testing.T) {
	inBubble(t, func(b *Config) {
		b.Call = func(context.Context, synod.NodeID, []byte) ([]byte, error) {
			return nil, errors.New(strings.Repeat("no ", textMax))
		}
	}, func(t *testing.T, _ *memNet, a, b *testNode) {
		if _, err := a.Links.Call(t.Context(), b.id, nil); !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "no no") {
			t.Errorf("Call: %v", err)
		}
	})
}

// TestCallsBounded has as many calls in flight as may be, on both sides.
func TestCallsBounded(t *testing.T) {
	inBubble(t, blockedCall, func(t *testing.T, _ *memNet, a, b *testNode) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for range callsMax {
			callIn(ctx, a, b, "x")
		}
		synctest.Wait()
		if n := b.stat(a.id).Serving; n != callsMax {
			t.Errorf("%d are being served", n)
		}
		if _, err := a.Links.Call(t.Context(), b.id, nil); !errors.Is(err, ErrBusy) {
			t.Errorf("one more: %v", err)
		}
		cancel()
		synctest.Wait()
		if n := b.stat(a.id).Serving; n != 0 {
			t.Errorf("%d are still being served", n)
		}
	})
}

// TestCallBytesBounded has as many bytes in flight as may be: the peer says so.
func TestCallBytesBounded(t *testing.T) {
	inBubble(t, blockedCall, func(t *testing.T, _ *memNet, a, b *testNode) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		callIn(ctx, a, b, string(make([]byte, callBytesMax)))
		synctest.Wait()
		if _, err := a.Links.Call(t.Context(), b.id, []byte("x")); !errors.Is(err, ErrBusy) {
			t.Errorf("Call: %v", err)
		}
		if st := a.stat(b.id); !st.Connected {
			t.Errorf("%+v", st)
		}
	})
}
