//go:build e2e

package managed

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"synod/internal/arm"
)

// TestCreate creates a network of three nodes, uses its sample application through
// the endpoint, has the control plane stop and start, and deletes the network.
func TestCreate(t *testing.T) {
	w := newWorld(t)
	m := newMember(t, false)
	begin := time.Now()
	op := put(t, w.store, "net1", arm.KindCreate, desired(3, m))
	w.succeed(op, time.Minute)
	t.Logf("three nodes, created in %v", time.Since(begin).Round(time.Millisecond))
	u := w.user("net1", m)
	u.must("PUT", "/app/account/alice", "") // the service is open at once: the operator holds the share
	nodes := w.whole("net1", 3, 30*time.Second)
	zones := map[string]bool{}
	for _, n := range nodes {
		zones[n.Zone] = true
		if n.NodeID == "" || n.Address == "" || len(n.Evidence) == 0 || n.CertificateNotAfter.Before(time.Now().Add(80*24*time.Hour)) || n.Release != "first" {
			t.Errorf("%+v", n)
		}
	}
	if len(zones) != 3 {
		t.Errorf("zones %v", zones)
	}
	u.must("POST", "/app/deposit/alice", `{"value":7}`)

	address := w.network("net1").Status.AppURI
	w.stop()
	w.start()
	w.whole("net1", 3, 30*time.Second)
	if got := w.network("net1").Status.AppURI; got != address {
		t.Errorf("the endpoint moved from %s to %s", address, got)
	}
	w.eventually(10*time.Second, "the endpoint is back", func() bool {
		got, err := u.do("GET", "/app/account/alice", "")
		return err == nil && got == `{"account":"alice","balance":7}`
	}, func() any { return w.network("net1").Status })
	for i, n := range w.whole("net1", 3, 30*time.Second) {
		if n.PID != nodes[i].PID {
			t.Errorf("another process of node %d: %d, was %d", n.Ordinal, n.PID, nodes[i].PID)
		}
	}

	op = w.change("net1", arm.KindDelete, func(d *arm.Desired) { d.Deleted = true })
	w.succeed(op, time.Minute)
	if _, err := os.Stat(filepath.Join(w.dir, "networks", "net1")); !os.IsNotExist(err) {
		t.Errorf("what is left of it: %v", err)
	}
	if _, err := w.store.Network(t.Context(), id("net1")); err == nil {
		t.Error("its record is left")
	}
}

// TestMembersWithKeys creates a network whose members bring recovery keys: it is made
// at once, and opens when enough of them are active. The operator has no share.
func TestMembersWithKeys(t *testing.T) {
	w := newWorld(t)
	members := []member{newMember(t, true), newMember(t, true), newMember(t, true)}
	w.succeed(put(t, w.store, "net2", arm.KindCreate, desired(1, members...)), time.Minute)
	n := w.network("net2")
	if n.Status.ServiceStatus != "Opening" || condition(n, arm.ConditionWaitingForMembers) != "True" || condition(n, arm.ConditionAvailable) != "False" {
		t.Errorf("%+v", n.Status)
	}
	w.user("net2", members[0]).activate()
	w.eventually(10*time.Second, "one of two", func() bool {
		for _, c := range w.network("net2").Status.Conditions {
			if c.Type == arm.ConditionWaitingForMembers {
				return c.Message == "the service opens once 2 of the 3 members who hold recovery keys are active; 1 are so far (synod member activate)"
			}
		}
		return false
	}, func() any { return w.network("net2").Status })
	w.user("net2", members[1]).activate()
	w.eventually(10*time.Second, "open", func() bool {
		n := w.network("net2")
		return n.Status.ServiceStatus == "Open" && condition(n, arm.ConditionAvailable) == "True" && condition(n, arm.ConditionWaitingForMembers) == "False"
	}, func() any { return w.network("net2").Status })
	w.user("net2", members[0]).must("PUT", "/app/account/alice", "")
}
