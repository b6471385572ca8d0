package node_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"synod/client"
	"synod/internal/audit"
)

// gate is the way to a node's interface for nodes, which can be closed.
type gate struct {
	net.Listener
	to func() (string, error)

	mu     sync.Mutex
	closed bool
	conns  []net.Conn
}

func newGate(t *testing.T, to func() (string, error)) *gate {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{Listener: ln, to: to}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			group.Go(func() { g.pass(in) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		g.set(true)
		group.Wait()
	})
	return g
}

func (g *gate) pass(in net.Conn) {
	defer in.Close()
	address, err := g.to()
	if err != nil {
		return
	}
	out, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer out.Close()
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return
	}
	g.conns = append(g.conns, in, out)
	g.mu.Unlock()
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(out, in)
		_ = out.Close()
		close(done)
	}()
	_, _ = io.Copy(in, out)
	_ = in.Close()
	<-done
}

func (g *gate) set(closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = closed
	if closed {
		for _, c := range g.conns {
			_ = c.Close()
		}
		g.conns = nil
	}
}

// TestGoesOnAfterSnapshot keeps a voter from hearing of anything while the other
// nodes are replaced by ones that began with a snapshot of what it missed, which it
// has never heard of. It goes on after a snapshot of theirs, as the node that it is.
func TestGoesOnAfterSnapshot(t *testing.T) {
	s := startNodes(t, 2)
	address := s.path("away.address")
	g := newGate(t, func() (string, error) {
		b, err := os.ReadFile(address)
		if err != nil {
			return "", err
		}
		var addresses map[string]string
		err = json.Unmarshal(b, &addresses)
		return addresses["node_to_node_interface"], err
	})
	away := s.join(func(cfg object) {
		set(cfg, g.Addr().String(), "network", "node_to_node_interface", "published_address")
		set(cfg, address, "output_files", "node_to_node_address_file")
		set(cfg, false, "command", "join", "fetch_recent_snapshot")
	})
	s.trust(away)
	s.voting(3)
	if away == s.primary() {
		t.Fatal("the newcomer leads")
	}
	s.put(away, 1, "before")
	s.shows(away, 1, "before")
	began := away.Replica().Committed().SeqNo

	g.set(true)
	others := s.backups()
	s.nodes = []*running{s.primary()}
	for _, o := range others {
		if o != away {
			s.nodes = append(s.nodes, o)
		}
	}
	s.Node = s.nodes[0].Node
	for i := range 30 {
		s.put(s.nodes[0], 100+i, "missed")
	}
	s.pass(client.Action{Name: "trigger_ledger_rekey"})
	s.put(s.nodes[0], 2, "under another secret")
	s.snapshotAfter(s.nodes[0], func() { s.pass(client.Action{Name: "trigger_snapshot"}) })
	old := s.nodes
	for range 2 {
		s.trust(s.join(nil))
	}
	s.Node = s.nodes[len(s.nodes)-1].Node
	for _, o := range old {
		s.retire(o)
	}
	s.put(s.nodes[0], 3, "by others")

	g.set(false)
	s.shows(away, 3, "by others")
	s.shows(away, 2, "under another secret")
	s.shows(away, 1, "before")
	s.shows(away, 129, "missed")
	s.nodes = append(s.nodes, away)
	s.voting(3)
	dir := filepath.Join(away.dir, "ledger")
	before, err := filepath.Glob(filepath.Join(dir, "before_*"))
	if err != nil || len(before) != 1 {
		t.Errorf("what it had before: %v, %v", before, err)
	}
	// It counts: with another one gone there is no majority without it.
	backup := s.backups()[0]
	if backup == away {
		backup = s.backups()[1]
	}
	s.gone(backup)
	s.put(away, 4, "with its vote")
	if m, _, _ := s.phase(away); m != "Active" {
		t.Errorf("it is %s", m)
	}
	if at := away.Replica().Committed().SeqNo; at <= began {
		t.Errorf("it is at %d, was at %d", at, began)
	}
	s.gone(away)
	report, err := audit.Directory(t.Context(), before[0])
	if err != nil || report.Good.SeqNo < began || report.Chunks[0].First != 1 {
		t.Errorf("what it had before: %+v, %v", report, err)
	}
	chunks, _, err := audit.List(dir)
	if err != nil || len(chunks) == 0 || filepath.Base(before[0]) != fmt.Sprintf("before_%d", chunks[0].First) {
		t.Errorf("what it has since: %+v, %v", chunks, err)
	}
}
