package node

import (
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
