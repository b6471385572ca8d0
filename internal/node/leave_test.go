package node_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"synod"
	"synod/client"
	"synod/internal/tables"
)

// removable waits until nodes may be stopped.
func (s *service) removable(ids ...synod.NodeID) {
	s.t.Helper()
	s.poll("nodes to be removable", func() error {
		list := s.rows("/node/network/removable_nodes")
		for _, id := range ids {
			if row := list[id]; row.Status != tables.NodeRetired {
				return fmt.Errorf("%.8s is not: %v", id, list)
			}
		}
		if len(list) != len(ids) {
			return fmt.Errorf("%d are, want %d", len(list), len(ids))
		}
		return nil
	})
}

// phase is how a node sees its own part in consensus.
func (s *service) phase(r *running) (membership, phase, leadership string) {
	s.t.Helper()
	var body struct {
		Details struct {
			MembershipState string `json:"membership_state"`
			RetirementPhase string `json:"retirement_phase"`
			LeadershipState string `json:"leadership_state"`
		}
	}
	a := s.requestOn(r, "self", "GET", "/node/consensus", "")
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		s.t.Fatalf("%s: %v", a.body, err)
	}
	return body.Details.MembershipState, body.Details.RetirementPhase, body.Details.LeadershipState
}

// retire takes a node out as an operator does: members remove it, it is stopped
// once that is safe, and its record is deleted.
func (s *service) retire(r *running) {
	s.t.Helper()
	id := s.nodeID(r)
	s.pass(removeAction(id))
	if s.Node == r.Node { // one that has left may not hear of it
		for _, o := range s.nodes {
			if o != r {
				s.Node = o.Node
			}
		}
	}
	s.removable(id)
	s.gone(r)
	if a := s.request(s.nodes[len(s.nodes)-1], "DELETE", "/node/network/nodes/"+string(id), ""); a.status != 200 || a.body != "true" {
		s.t.Errorf("DELETE: %d %s", a.status, a.body)
	}
	s.poll("the record to be gone", func() error {
		if _, there := s.rows("/node/network/nodes")[id]; there {
			return errors.New("it is there")
		}
		return nil
	})
}

// TestRetireBackup follows a backup's retirement from outside, and looks at what
// its process does afterwards.
func TestRetireBackup(t *testing.T) {
	s := startNodes(t, 3)
	backup := s.backups()[0]
	id := s.nodeID(backup)
	s.Node = s.primary().Node
	del := func(id synod.NodeID) answer {
		return s.request(s.primary(), "DELETE", "/node/network/nodes/"+string(id), "")
	}
	if a := del("00"); a.status != 404 || !strings.Contains(a.body, "No such node") {
		t.Errorf("DELETE of nobody: %d %s", a.status, a.body)
	}
	if a := del(id); a.status != 400 || !strings.Contains(a.body, "NodeNotRetiredCommitted") {
		t.Errorf("DELETE of a trusted node: %d %s", a.status, a.body)
	}
	if m, p, _ := s.phase(backup); m != "Active" || p != "" {
		t.Errorf("before: %s %s", m, p)
	}
	s.put(backup, 1, "one")
	s.pass(removeAction(id))
	s.removable(id)
	s.poll("the node to know that it is retired", func() error {
		if m, p, l := s.phase(backup); m != "Retired" || p != "RetiredCommitted" || l != "None" {
			return fmt.Errorf("%s %s %s", m, p, l)
		}
		return nil
	})
	// It goes on answering: reads from what it has, writes by way of the primary.
	s.shows(backup, 1, "one")
	s.put(backup, 2, "two")
	for _, path := range []string{"/node/ready/app", "/node/ready/gov"} {
		if a := s.request(backup, "GET", path, ""); a.status != 204 {
			t.Errorf("%s on a retired node: %d", path, a.status)
		}
	}
	if a := del(id); a.status != 200 {
		t.Errorf("DELETE: %d %s", a.status, a.body)
	}
	s.poll("the record to be gone", func() error {
		if a := del(id); a.status != 404 {
			return fmt.Errorf("%d %s", a.status, a.body)
		}
		return nil
	})
	select {
	case <-backup.ended:
		t.Errorf("a retired node ended by itself: %v", backup.err)
	default:
	}
	s.gone(backup)
	s.voting(2)
	s.put(s.nodes[0], 3, "three")
}

// TestRetirePrimary has the primary retire itself: it hands over, and the
// service goes on without it.
func TestRetirePrimary(t *testing.T) {
	s := startNodes(t, 3)
	first := s.primary()
	s.Node = first.Node
	s.put(first, 1, "one")
	s.retire(first)
	s.voting(2)
	second := s.primary()
	s.shows(second, 1, "one")
	s.put(second, 2, "two")
	// And again, down to one.
	s.Node = s.backups()[0].Node
	s.retire(second)
	s.voting(1)
	s.put(s.nodes[0], 3, "three")
	for i, want := range []string{"one", "two", "three"} {
		s.shows(s.nodes[0], i+1, want)
	}
}

// TestReplaceAll replaces every node of a service, one by one, and then all at
// once in one proposal.
func TestReplaceAll(t *testing.T) {
	s := startNodes(t, 3, snapshotEvery(40))
	s.put(s.nodes[0], 1, "one")
	for i := range 3 {
		old := s.nodes[0]
		s.trust(s.join(nil))
		s.voting(4)
		s.retire(old)
		s.voting(3)
		s.put(s.nodes[i], 10+i, "during")
	}
	old := append([]*running{}, s.nodes...)
	var fresh []*running
	actions := []client.Action{}
	for range 3 {
		r := s.join(nil)
		s.status(s.nodeID(r), tables.NodePending)
		fresh = append(fresh, r)
		actions = append(actions, trustAction(s.nodeID(r)))
	}
	var ids []synod.NodeID
	for _, r := range old {
		ids = append(ids, s.nodeID(r))
		actions = append(actions, removeAction(s.nodeID(r)))
	}
	s.pass(actions...)
	for _, r := range fresh {
		s.ready(r)
	}
	s.Node = fresh[0].Node
	s.removable(ids...)
	for _, r := range old {
		s.gone(r)
	}
	s.voting(3)
	s.put(fresh[1], 2, "two")
	// All began with a snapshot: nobody may begin earlier now.
	a := s.apply(s.primary(), newApplicant(t))
	if a.status != 400 || !strings.Contains(a.body, "StartupSeqnoIsOld") || !strings.Contains(a.body, "must be used instead") {
		t.Errorf("a node without a snapshot: %d %s", a.status, a.body)
	}
	for _, r := range fresh {
		s.shows(r, 1, "one")
		s.shows(r, 12, "during")
		s.shows(r, 2, "two")
	}
}

// TestTwoReconfigurations has a second change come while the first is under way.
func TestTwoReconfigurations(t *testing.T) {
	s := startNodes(t, 3)
	a, b := s.join(nil), s.join(nil)
	s.status(s.nodeID(a), tables.NodePending)
	s.status(s.nodeID(b), tables.NodePending)
	gone := s.backups()[0]
	id := s.nodeID(gone)
	s.Node = s.primary().Node
	s.pass(trustAction(s.nodeID(a)))
	s.pass(removeAction(id))
	s.pass(trustAction(s.nodeID(b)))
	s.ready(a)
	s.ready(b)
	s.removable(id)
	s.gone(gone)
	s.voting(4)
	for i, r := range s.nodes {
		s.put(r, i, "written")
	}
}
