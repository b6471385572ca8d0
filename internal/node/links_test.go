package node

import (
	"errors"
	"log/slog"
	"net"
	"testing"

	"synod/internal/config"
)

// TestPeersAreDialledFromTheConfiguredAddress: CCF's partitions, and firewalls,
// know a node's own connections by it.
func TestPeersAreDialledFromTheConfiguredAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for from, want := range map[string]string{"127.0.0.9": "127.0.0.9", "127.0.0.9:0": "127.0.0.9", "": "127.0.0.1"} {
		n := &Node{cfg: &config.Config{NodeClientInterface: from}}
		conn, err := n.dialPeer(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if got := conn.LocalAddr().(*net.TCPAddr).IP.String(); got != want {
			t.Errorf("node_client_interface %q: from %s, want %s", from, got, want)
		}
		conn.Close()
	}
	n := &Node{cfg: &config.Config{NodeClientInterface: "not an address"}}
	if conn, err := n.dialPeer(t.Context(), "tcp", l.Addr().String()); err == nil {
		conn.Close()
		t.Error("dialled from no address")
	}
}

// TestNodeWithoutAddress: a host that is no host isolates a node, and does not
// keep it from starting (CCF: tests/recovery.py, test_persistence_old_snapshot).
func TestNodeWithoutAddress(t *testing.T) {
	bound := func(bind string) (*Node, error) {
		n := &Node{cfg: &config.Config{}, log: slog.New(slog.DiscardHandler)}
		n.cfg.Network.NodeToNode.BindAddress = bind
		return n, n.bindPeers()
	}
	n, err := bound("host.invalid:8000")
	if err != nil || n.n2nAddr != "host.invalid:8000" {
		t.Fatalf("%q, %v", n.n2nAddr, err)
	}
	accepted := make(chan error, 1)
	go func() {
		_, err := n.n2n.Accept()
		accepted <- err
	}()
	if err := errors.Join(n.n2n.Close(), n.n2n.Close()); err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("accepted: %v", err)
	}
	first, err := bound("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.n2n.Close()
	if second, err := bound(first.n2nAddr); err == nil {
		second.n2n.Close()
		t.Error("an address that is taken was taken again")
	}
}
