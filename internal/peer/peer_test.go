package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"synod"
)

func TestThreeNodes(t *testing.T) {
	s := newService(t)
	nodes := []*testNode{s.node().serve(nil), s.node().serve(nil), s.node().serve(nil)}
	const count = 500
	for i := range count {
		for _, a := range nodes {
			for _, b := range nodes {
				if a != b && !a.Send(b.id, fmt.Appendf(nil, "%d", i)) {
					t.Fatal("Send refused")
				}
			}
		}
	}
	for _, n := range nodes {
		next := map[synod.NodeID]int{}
		for range 2 * count {
			r := n.next(t)
			if want := fmt.Sprint(next[r.from]); string(r.m) != want {
				t.Fatalf("from %s: %s, want %s", r.from, r.m, want)
			}
			next[r.from]++
		}
	}
	for _, a := range nodes {
		for _, b := range nodes {
			if a == b {
				continue
			}
			answer, err := a.Links.Call(t.Context(), b.id, []byte("x"))
			if err != nil || string(answer) != "re x" {
				t.Fatalf("Call = %q, %v", answer, err)
			}
			if st := a.stat(b.id); !st.Connected || !st.Accepted || st.Dropped+uint64(st.Queued+st.QueuedBytes+st.Calls) != 0 || st.LastError != "" {
				t.Errorf("Stats: %+v", st)
			}
		}
	}
}

// deliver sends a message, and again only if the node was told that it may be
// lost: a machine that stands still for seconds breaks links.
func (n *testNode) deliver(t *testing.T, to *testNode, m []byte) received {
	t.Helper()
	told := int64(-1)
	for end := time.Now().Add(20 * time.Second); ; {
		if now := n.unreachable.Load(); now != told {
			told = now
			if !n.Send(to.id, m) {
				t.Fatalf("%d bytes refused", len(m))
			}
		}
		select {
		case r := <-to.got:
			return r
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatalf("%d bytes did not arrive: %+v", len(m), n.Stats())
		}
	}
}

// TestSizes sends messages around every border of the buffers, and the largest.
func TestSizes(t *testing.T) {
	s := newService(t)
	a, b := s.node(), s.node().serve(nil)
	s.set(a.id, "")
	for _, size := range []int{0, 1, 1 << 14, bufferSize - headerSize, bufferSize, largeFrameMin - 1, largeFrameMin, MessageMax} {
		m := bytes.Repeat([]byte{byte(size), 7}, size/2+1)[:size]
		r := a.deliver(t, b, m)
		if !bytes.Equal(r.m, m) || r.from != a.id {
			t.Fatalf("%d bytes: %d arrived", size, len(r.m))
		}
		answer, err := a.Links.Call(t.Context(), b.id, m[:min(size, MessageMax-3)])
		if err != nil || !bytes.Equal(answer[3:], m[:min(size, MessageMax-3)]) {
			t.Fatalf("call of %d bytes: %d, %v", size, len(answer), err)
		}
	}
	if a.Send(b.id, make([]byte, MessageMax+1)) {
		t.Error("too large a message was taken")
	}
	if _, err := a.Links.Call(t.Context(), b.id, make([]byte, MessageMax+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large a request: %v", err)
	}
	if _, err := a.Links.Call(t.Context(), b.id, make([]byte, MessageMax)); !errors.Is(err, ErrFailed) { // the answer has 3 bytes more
		t.Errorf("too large an answer: %v", err)
	}
}

func TestSendRefuses(t *testing.T) {
	s := newService(t)
	n := s.node()
	s.set(n.id, "")
	if n.Send("unknown", nil) || n.Send(n.id, nil) {
		t.Error("sent to an unknown node or to itself")
	}
	for _, id := range []synod.NodeID{"unknown", n.id} {
		if _, err := n.Links.Call(t.Context(), id, nil); !errors.Is(err, ErrUnreachable) {
			t.Errorf("Call: %v", err)
		}
	}
	other := s.node().serve(nil)
	n.stop()
	if n.Send(other.id, nil) {
		t.Error("sent after Close")
	}
	if err := n.Serve(t.Context(), newMemNet().listen("")); !errors.Is(err, errClosed) {
		t.Errorf("Serve after Close: %v", err)
	}
}

// TestConcurrentCalls has many calls in flight, each with its own answer.
func TestConcurrentCalls(t *testing.T) {
	s := newService(t)
	a, b := s.node(), s.node().serve(nil)
	s.set(a.id, "")
	var wg sync.WaitGroup
	for i := range 500 {
		wg.Go(func() {
			request := fmt.Sprint(i)
			answer, err := a.Links.Call(t.Context(), b.id, []byte(request))
			if err != nil || string(answer) != "re "+request {
				t.Errorf("Call(%s) = %q, %v", request, answer, err)
			}
		})
	}
	wg.Wait()
}

func TestServeEnds(t *testing.T) {
	s := newService(t)
	n := s.node()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Serve(ctx, ln) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := io.ReadAll(conn); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Logf("the connection ended with %v", err)
	}
	conn.Close()
	if err := n.Serve(t.Context(), ln); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve on a closed listener: %v", err)
	}
}
