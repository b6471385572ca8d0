package httpd

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestEcho(t *testing.T) {
	l, err := Listen(Interface{Name: "udp", BindAddress: "127.0.0.1:0", AppProtocol: EchoProtocol})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- l.Serve(ctx, nil) }()
	c, err := net.Dial("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for _, sent := range [][]byte{[]byte("some text"), {}, bytes.Repeat([]byte{0xff}, 9000)} {
		if _, err := c.Write(sent); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, datagramMax)
		n, err := c.Read(got)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got[:n], sent) {
			t.Errorf("%d bytes came back as %d others", len(sent), n)
		}
	}
	if m := l.Metrics(); m.Active != 0 || m.SoftCap != DefaultSoftCap {
		t.Errorf("metrics %+v", m)
	}
	cancel()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// Another service that sends everything back, to which somebody has pointed: what
// goes to and fro comes to an end.
func TestEchoOfEcho(t *testing.T) {
	l, err := Listen(Interface{Name: "udp", BindAddress: "127.0.0.1:0", AppProtocol: EchoProtocol})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- l.Serve(ctx, nil) }()
	c, err := net.Dial("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("spoofed")); err != nil {
		t.Fatal(err)
	}
	rounds := 0
	for b := make([]byte, 16); ; rounds++ {
		if err := c.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(b)
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			break
		}
		if err != nil || rounds > 10*answersMax {
			t.Fatalf("after %d rounds: %v", rounds, err)
		}
		if _, err := c.Write(b[:n]); err != nil {
			t.Fatal(err)
		}
	}
	if rounds < answersMax {
		t.Errorf("only %d rounds", rounds)
	}
	cancel()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
}

func TestAllowance(t *testing.T) {
	from, other := netip.MustParseAddrPort("192.0.2.1:4433"), netip.MustParseAddrPort("192.0.2.1:53")
	a, now := newAllowance(), time.Unix(1e9, 0)
	if a.take(other, now) {
		t.Error("a well-known service is answered")
	}
	burst := func() (n int) {
		for a.take(from, now) {
			n++
		}
		return n
	}
	for _, tt := range []struct {
		later time.Duration
		want  int
	}{{0, answersMax}, {answersEvery / 2, 0}, {answersEvery / 2, 1}, {5 * answersEvery / 2, 2}, {answersEvery / 2, 1}, {time.Hour, answersMax}, {-time.Minute, 0}} {
		now = now.Add(tt.later)
		if got := burst(); got != tt.want {
			t.Errorf("%s later %d are sent back, want %d", tt.later, got, tt.want)
		}
	}
}
