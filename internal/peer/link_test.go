package peer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"synod"
)

// restart gives a node new links with the same key and address.
func (n *testNode) restart(net *memNet, address string) *testNode {
	n.s.t.Helper()
	again := n.s.node(func(c *Config) { c.Self, c.Certificate, c.Dial = n.id, n.cert.Load, net.dial })
	again.id, again.key = n.id, n.key
	again.cert.Store(n.cert.Load())
	return again.serve(net.listen(address))
}

func TestReconnect(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, net *memNet, a, b *testNode) {
		a.Send(b.id, []byte("1"))
		b.next(t)
		time.Sleep(time.Hour) // keep-alives hold the link
		if n := len(net.dialled()); n != 1 || a.unreachable.Load() != 0 {
			t.Fatalf("%d connections in an hour of silence", n)
		}
		b.stop()
		synctest.Wait()
		if st := a.stat(b.id); st.Connected || st.LastError == "" || a.unreachable.Load() != 1 {
			t.Errorf("after the peer's end: %+v, unreachable told %d times", st, a.unreachable.Load())
		}
		time.Sleep(20 * time.Second)
		dials := net.dialled()[1:]
		for i, wait := 1, 2*backoffMin; i < len(dials); i++ {
			if gap := dials[i].Sub(dials[i-1]); gap > wait || gap < wait*3/4 {
				t.Errorf("attempt %d after %v, want about %v", i, gap, wait)
			}
			wait = min(2*wait, backoffMax)
		}
		if len(dials) < 14 || len(dials) > 20 {
			t.Errorf("%d attempts in 20 s", len(dials))
		}
		b = b.restart(net, "b")
		time.Sleep(backoffMax)
		a.Send(b.id, []byte("2"))
		if m := b.next(t).m; string(m) != "2" || !a.stat(b.id).Connected {
			t.Errorf("%q arrived, %+v", m, a.stat(b.id))
		}
		b.stop()
	})
}

// TestSilentPeer loses the network under an idle link: both ends notice.
func TestSilentPeer(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, net *memNet, a, b *testNode) {
		a.Send(b.id, []byte("1"))
		b.next(t)
		time.Sleep(10 * time.Second)
		b.mu.Lock()
		in := b.inbound[a.id]
		b.mu.Unlock()
		net.cut()
		time.Sleep(idleTimeout)
		synctest.Wait()
		if a.unreachable.Load() != 1 || in.ctx.Err() == nil {
			t.Errorf("in %v: noticed here %d times, there %v", idleTimeout, a.unreachable.Load(), in.ctx.Err())
		}
		time.Sleep(backoffMin)
		a.Send(b.id, []byte("2"))
		if m := b.next(t).m; string(m) != "2" || len(net.dialled()) != 2 {
			t.Errorf("%q arrived on connection %d", m, len(net.dialled()))
		}
	})
}

// TestSlowReader sends to a peer that stops reading: what waits is bounded, and
// the link is given up.
func TestSlowReader(t *testing.T) {
	stuck := make(chan struct{})
	inBubble(t, func(b *Config) {
		stuck = make(chan struct{})
		b.Message = func(synod.NodeID, []byte) { <-stuck }
	}, func(t *testing.T, _ *memNet, a, b *testNode) {
		m := make([]byte, 1<<20)
		a.Send(b.id, m)
		synctest.Wait()
		sent := 1
		for a.Send(b.id, m) {
			if sent++; sent > 1000 {
				t.Fatal("no bound")
			}
			synctest.Wait()
		}
		if st := a.stat(b.id); st.QueuedBytes > queueBytesMax || st.QueuedBytes < queueBytesMax-2<<20 || st.Dropped != 1 || !st.Connected {
			t.Errorf("full: %+v", st)
		}
		time.Sleep(idleTimeout)
		synctest.Wait()
		if st := a.stat(b.id); st.Connected || !strings.Contains(st.LastError, "timeout") {
			t.Errorf("after %v without reading: %+v", idleTimeout, st)
		}
		close(stuck)
	})
}

// TestOutage queues while a peer is away: the newest messages win, and those of
// long ago are not sent.
func TestOutage(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, net *memNet, a, b *testNode) {
		b.stop()
		a.Send(b.id, []byte("first"))
		time.Sleep(time.Minute)
		b = b.restart(net, "b")
		for i := range queueMax + 10 {
			if !a.Send(b.id, fmt.Append(nil, i)) {
				t.Fatal("refused")
			}
		}
		if st := a.stat(b.id); st.Queued != queueMax || st.Dropped != 11 {
			t.Errorf("queued %d, dropped %d", st.Queued, st.Dropped)
		}
		before := a.unreachable.Load()
		for i := range queueMax {
			if m := b.next(t).m; string(m) != fmt.Sprint(i+10) {
				t.Fatalf("%s arrived, want %d", m, i+10)
			}
		}
		if a.unreachable.Load() != before+1 {
			t.Errorf("what was pushed out was told %d times", a.unreachable.Load()-before)
		}

		b.stop()
		time.Sleep(time.Minute)
		a.Send(b.id, []byte("old"))
		b.s.remove(b.id)
		time.Sleep(staleMax + time.Second)
		b = b.restart(net, "b")
		a.Send(b.id, []byte("new"))
		if m := b.next(t).m; string(m) != "new" {
			t.Errorf("%s arrived", m)
		}
		b.stop()
	})
}

// TestWorn replaces connections, under messages and calls, without losing any.
func TestWorn(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, net *memNet, a, b *testNode) {
		a.wearMax = 1 << 20
		lost := 0
		for i := range 200 {
			a.Send(b.id, make([]byte, 64<<10))
			if _, err := a.Links.Call(t.Context(), b.id, fmt.Append(nil, i)); err != nil {
				t.Fatalf("call %d: %v", i, err)
			}
			select {
			case <-b.got:
			default:
				lost++
			}
			synctest.Wait()
		}
		if n := len(net.dialled()); n < 8 || n > 16 || lost > 0 {
			t.Errorf("%d connections, %d messages lost", n, lost)
		}
	})
}

// TestNudge reaches a peer that waits before it dials again: it dials at once.
func TestNudge(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, net *memNet, a, b *testNode) {
		ln := net.listen("a")
		b.Send(a.id, []byte("1"))
		ln.Close()
		time.Sleep(time.Minute - time.Millisecond)
		for i := 0; i < 3; i++ { // the wait is at its longest just after an attempt
			n := len(net.dialled())
			for len(net.dialled()) == n {
				time.Sleep(time.Millisecond)
			}
		}
		a.serve(net.listen("a"))
		a.Send(b.id, []byte("x"))
		time.Sleep(time.Millisecond)
		if !b.stat(a.id).Connected || !a.stat(b.id).Connected {
			t.Errorf("%+v, %+v", b.stat(a.id), a.stat(b.id))
		}
	})
}

// TestWornUnderCalls replaces connections while calls are always in flight: they
// wait for the next connection, and none fails.
func TestWornUnderCalls(t *testing.T) {
	slow := func(b *Config) {
		b.Call = func(_ context.Context, _ synod.NodeID, r []byte) ([]byte, error) {
			time.Sleep(time.Duration(len(r)) * time.Microsecond)
			return r, nil
		}
	}
	inBubble(t, slow, func(t *testing.T, net *memNet, a, b *testNode) {
		a.wearMax = 256 << 10
		var callers sync.WaitGroup
		for i := range 8 {
			callers.Go(func() {
				for range 200 {
					if _, err := a.Links.Call(t.Context(), b.id, make([]byte, 1000+i)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		callers.Wait()
		if n := len(net.dialled()); n < 4 || n > 10 {
			t.Errorf("%d connections", n)
		}
	})
}

func TestForget(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, _ *memNet, a, b *testNode) {
		a.Send(b.id, []byte("1"))
		b.next(t)
		b.s.remove(a.id)
		b.Forget(a.id)
		b.Forget("unknown")
		time.Sleep(time.Second)
		if len(b.Stats()) != 0 {
			t.Errorf("%+v", b.Stats())
		}
		if st := a.stat(b.id); st.Connected || !strings.Contains(st.LastError, "this node does not know") {
			t.Errorf("forgotten: %+v", st)
		}
		b.s.remove(b.id)
		a.Forget(b.id)
		synctest.Wait()
		if len(a.Stats()) != 0 || a.Send(b.id, nil) {
			t.Errorf("%+v", a.Stats())
		}
	})
}

// TestForgetEndsCalls forgets a peer that is being called.
func TestForgetEndsCalls(t *testing.T) {
	inBubble(t, blockedCall, func(t *testing.T, _ *memNet, a, b *testNode) {
		done := make(chan error)
		go func() {
			_, err := a.Links.Call(t.Context(), b.id, nil)
			done <- err
		}()
		synctest.Wait()
		a.Forget(b.id)
		if err := <-done; !errors.Is(err, ErrUnanswered) {
			t.Errorf("Call: %v", err)
		}
	})
}

func blockedCall(b *Config) {
	b.Call = func(ctx context.Context, _ synod.NodeID, _ []byte) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
}

// TestSlowHandshake occupies the places of connections that are not authenticated:
// a node still gets through, and the places come free.
func TestSlowHandshake(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, net *memNet, a, b *testNode) {
		for range handshakesMax + 10 {
			conn, err := net.dial(t.Context(), "", "b")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			synctest.Wait()
		}
		waiting := func() int {
			b.mu.Lock()
			defer b.mu.Unlock()
			return len(b.greeting)
		}
		if waiting() != handshakesMax || b.Refused() != 10 {
			t.Errorf("%d wait, %d refused", waiting(), b.Refused())
		}
		a.Send(b.id, []byte("1"))
		b.next(t)
		time.Sleep(handshakeTimeout + lingerMax)
		synctest.Wait()
		if waiting() != 0 || b.Refused() != handshakesMax+10 {
			t.Errorf("later: %d wait, %d refused", waiting(), b.Refused())
		}
		if !b.stat(a.id).Accepted {
			t.Error("the node was pushed out")
		}
	})
}

// TestDialHangs dials an address that does not answer.
func TestDialHangs(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, net *memNet, a, b *testNode) {
		b.s.set("hangs", "hangs")
		net.listen("hangs") // nobody accepts
		start := time.Now()
		_, err := a.Links.Call(t.Context(), "hangs", nil)
		if !errors.Is(err, ErrUnreachable) || time.Since(start) != handshakeTimeout {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		start = time.Now()
		if _, err := a.Links.Call(t.Context(), "hangs", nil); !errors.Is(err, ErrUnreachable) || time.Since(start) != 0 {
			t.Errorf("again: %v after %v", err, time.Since(start))
		}
	})
}
