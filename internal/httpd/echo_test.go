package httpd

import (
	"bytes"
	"context"
	"net"
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
