package node_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"synod"
	"synod/client"
	"synod/examples/logging/logapp"
	"synod/internal/config"
	"synod/internal/logfmt"
	"synod/internal/node"
)

// join starts another node, in this process too, and waits until count vote.
func (s *service) join(log *slog.Logger, count int) {
	s.t.Helper()
	dir := s.t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(path("service_cert.pem"), []byte(s.ServiceCertificate()), 0o600); err != nil {
		s.t.Fatal(err)
	}
	type object = map[string]any
	text, err := json.Marshal(object{
		"network": object{
			"node_to_node_interface": object{"bind_address": "127.0.0.1:0"},
			"rpc_interfaces":         object{"main": object{"bind_address": "127.0.0.1:0"}},
		},
		"command": object{
			"type": "Join", "service_certificate_file": path("service_cert.pem"),
			"join": object{"target_rpc_address": s.Address("main")},
		},
		"ledger": object{"directory": path("ledger")}, "snapshots": object{"directory": path("snapshots")},
		"output_files": object{"pid_file": path("node.pid"), "node_certificate_file": path("node.pem")},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	cfg, err := config.Parse(text)
	if err != nil {
		s.t.Fatal(err)
	}
	n, err := node.Start(node.Options{Config: cfg, App: logapp.New(), Logger: log, Version: "test"})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
	s.poll("a new voter", func() error {
		var nodes map[string]any
		if _, err := s.dial(nil).Get(s.t.Context(), "/node/config", &nodes); err != nil || len(nodes) != count {
			return fmt.Errorf("%d voters, %w", len(nodes), err)
		}
		return nil
	})
}

// others are the nodes of the service besides the first.
func (s *service) others() []synod.NodeID {
	s.t.Helper()
	var self struct {
		ID synod.NodeID `json:"node_id"`
	}
	var list struct {
		Nodes []struct {
			ID synod.NodeID `json:"node_id"`
		} `json:"nodes"`
	}
	c := s.dial(nil)
	_, err := c.Get(s.t.Context(), "/node/network/nodes/self", &self)
	if err == nil {
		_, err = c.Get(s.t.Context(), "/node/network/nodes", &list)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	var others []synod.NodeID
	for _, n := range list.Nodes {
		if n.ID != self.ID {
			others = append(others, n.ID)
		}
	}
	return others
}

// said is what a node logs.
type said struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *said) has(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.text.String(), text)
}

// TestBackupsAreConnected has backups connect to each other before there is an
// election.
func TestBackupsAreConnected(t *testing.T) {
	s := start(t, logapp.New())
	var logs [2]said
	for i := range logs {
		s.join(slog.New(logfmt.New(&logs[i], logfmt.Options{Level: slog.LevelInfo})), 2+i)
	}
	for i := range logs {
		s.poll("backups to be connected to two nodes", func() error {
			for _, id := range s.others() {
				if !logs[i].has("joined the network as node "+string(id)) && !logs[i].has("connected to a node node="+string(id)) {
					return fmt.Errorf("backup %d has no connection to %s", i, id)
				}
			}
			return nil
		})
	}
}

// TestDeleteNodeOnce deletes the entry of a retired node in many requests at a
// time: one does, and none after it.
func TestDeleteNodeOnce(t *testing.T) {
	s := start(t, logapp.New())
	s.governed()
	for i := range s.members {
		s.poll("a member to be active", func() error { _, err := s.member(i).Activate(t.Context()); return err })
	}
	s.join(s.log, 2)
	id := s.others()[0]
	s.pass(client.Action{Name: "remove_node", Args: map[string]any{"node_id": id}})
	s.poll("the retirement", func() error {
		var list struct {
			Nodes []any `json:"nodes"`
		}
		_, err := s.dial(nil).Get(t.Context(), "/node/network/removable_nodes", &list)
		if err == nil && len(list.Nodes) != 1 {
			err = errors.New("nothing is removable")
		}
		return err
	})

	const requests = 8
	answers := make([]error, requests)
	begin := make(chan struct{})
	var all sync.WaitGroup
	for i := range requests {
		c := s.dial(nil)
		if _, err := c.Get(t.Context(), "/node/commit", nil); err != nil { // the connection stands
			t.Fatal(err)
		}
		all.Go(func() {
			<-begin
			_, answers[i] = c.Do(t.Context(), client.Request{Method: "DELETE", Path: "/node/network/nodes/" + string(id)})
		})
	}
	close(begin)
	all.Wait()
	deleted := 0
	for _, err := range answers {
		var refused *synod.Error
		switch {
		case err == nil:
			deleted++
		case !errors.As(err, &refused) || refused.Status != 404:
			t.Error(err)
		}
	}
	if deleted != 1 {
		t.Errorf("%d of %d requests deleted the node", deleted, requests)
	}
}
