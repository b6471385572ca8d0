package node_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"synod"
	"synod/client"
)

// TestBackupsAreConnected has backups connect to each other before there is an
// election.
func TestBackupsAreConnected(t *testing.T) {
	s := startNodes(t, 3)
	for _, r := range s.backups() {
		s.poll("a backup to be connected to two nodes", func() error {
			var metrics struct {
				Synod struct {
					Peers map[synod.NodeID]struct{ Connected bool }
				}
			}
			if err := json.Unmarshal([]byte(s.request(r, "GET", "/node/metrics", "").body), &metrics); err != nil {
				t.Fatal(err)
			}
			connected := 0
			for _, p := range metrics.Synod.Peers {
				if p.Connected {
					connected++
				}
			}
			if connected != 2 {
				return fmt.Errorf("it is connected to %d", connected)
			}
			return nil
		})
	}
}

// TestDeleteNodeOnce deletes the entry of a retired node in many requests at a
// time: one does, and none after it.
func TestDeleteNodeOnce(t *testing.T) {
	s := startNodes(t, 2)
	retired := s.backups()[0]
	id := s.nodeID(retired)
	s.Node = s.primary().Node
	s.pass(removeAction(id))
	s.removable(id)

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
