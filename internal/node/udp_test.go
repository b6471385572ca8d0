package node_test

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestUDP sends datagrams to an interface over UDP, as CCF's test_udp_echo does,
// and looks at where the node says that it is.
func TestUDP(t *testing.T) {
	s := newService(t)
	cfg := s.configuration("node0", s.startCommand())
	set(cfg, object{"bind_address": "127.0.0.1:0", "protocol": "udp", "app_protocol": "QUIC"}, "network", "rpc_interfaces", "datagrams")
	r := s.run(nil, s.path("node0"), cfg)
	s.Node = r.Node
	s.governed()
	text, err := os.ReadFile(filepath.Join(r.dir, "rpc_addresses.json"))
	if err != nil {
		t.Fatal(err)
	}
	var addresses map[string]string
	if err := json.Unmarshal(text, &addresses); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("udp", addresses["datagrams"])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, want := range []string{"Some random text", "", "another"} {
		if _, err := conn.Write([]byte(want)); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1024)
		n, err := conn.Read(b)
		if err != nil || string(b[:n]) != want {
			t.Errorf("sent %q, got %q, %v", want, b[:n], err)
		}
	}
	var self struct {
		RPCInterfaces map[string]struct {
			PublishedAddress string `json:"published_address"`
			Protocol         string
		} `json:"rpc_interfaces"`
	}
	if _, err := s.dial(nil).Get(t.Context(), "/node/network/nodes/self", &self); err != nil {
		t.Fatal(err)
	}
	if itf := self.RPCInterfaces["datagrams"]; itf.PublishedAddress != addresses["datagrams"] || itf.Protocol != "udp" {
		t.Errorf("the node says %+v, want %s", itf, addresses["datagrams"])
	}
}
