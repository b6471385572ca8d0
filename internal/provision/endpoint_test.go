package provision

import (
	"io"
	"net"
	"strconv"
	"testing"
	"time"
)

// echo is a node that says its name and then repeats what it hears.
func echo(t *testing.T, name string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if _, err := c.Write([]byte(name)); err == nil {
					_, _ = io.Copy(c, c)
				}
			}()
		}
	}()
	return l
}

func ask(t *testing.T, e *endpoint, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", e.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// TestEndpoint has connections reach the first node that takes them, wait for one,
// and end with the endpoint.
func TestEndpoint(t *testing.T) {
	t.Parallel()
	lost := make(chan struct{}, 100)
	e, err := openEndpoint(t.Context(), "127.0.0.1:0", "net.example", func() {
		select {
		case lost <- struct{}{}:
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	if host, port, _ := net.SplitHostPort(e.address); host != "net.example" || port == "0" {
		t.Errorf("clients are told %s", e.address)
	}
	primary, backup := echo(t, "primary "), echo(t, "backup ")
	waiting := make(chan string, 1)
	go func() { waiting <- ask(t, e, "early") }()
	e.route(primary.Addr().String(), backup.Addr().String())
	if got := <-waiting; got != "primary early" {
		t.Errorf("%q", got)
	}
	big := string(make([]byte, 1<<20))
	if got := ask(t, e, big); got != "primary "+big {
		t.Errorf("%d bytes", len(got))
	}
	primary.Close()
	if got := ask(t, e, "late"); got != "backup late" {
		t.Errorf("%q", got)
	}
	<-lost
	c, err := net.Dial("tcp", e.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.ReadFull(c, make([]byte, len("backup "))); err != nil {
		t.Fatal(err)
	}
	e.close()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("a connection outlives the endpoint")
	}
	e.close() // again is no error
}

// TestFreePort takes the next port when one is taken, and says so when all are.
func TestFreePort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, text, _ := net.SplitHostPort(l.Addr().String())
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := freePort(t.Context(), "127.0.0.1", port, port+1, 0); err == nil {
		t.Errorf("%d is taken, and given as free: %d", port, got)
	}
	if got, err := freePort(t.Context(), "127.0.0.1", 18000, 18400, 7); err != nil || got < 18000 || got >= 18400 {
		t.Errorf("%d, %v", got, err)
	}
}
