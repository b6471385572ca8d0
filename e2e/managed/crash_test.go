//go:build e2e

package managed

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"synod/internal/arm"
)

// TestControlPlaneDies kills the control plane after each step of creating, growing,
// healing, shrinking, upgrading and deleting a network, and before each, and has the
// next one go on: nothing is done twice, nothing is left behind, no write is lost.
func TestControlPlaneDies(t *testing.T) {
	w := newWorld(t)
	w.stop()
	m := newMember(t, false)
	act := func(what, kind string, change func(*arm.Desired), fault int, steps ...string) {
		t.Helper()
		s := w.openStore()
		d := desired(3, m)
		if kind != arm.KindCreate {
			n, err := s.Network(t.Context(), id("net1"))
			if err != nil {
				t.Fatal(err)
			}
			d = n.Desired
		}
		change(&d)
		op := put(t, s, "net1", kind, d)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		died := w.crashing(op, fault, 2*time.Minute)
		t.Logf("%s: died %d times in %v: %q", what, len(died), time.Since(begin).Round(time.Millisecond), died)
		for _, step := range steps {
			if !slices.ContainsFunc(died, func(d string) bool { return strings.HasSuffix(d, step) }) {
				t.Errorf("%s: it did not die at %s: %q", what, step, died)
			}
		}
	}
	use := func(work func(u *user)) {
		t.Helper()
		w.start()
		defer w.stop()
		w.eventually(30*time.Second, "the network", func() bool {
			return condition(w.network("net1"), arm.ConditionAvailable) == "True" && condition(w.network("net1"), arm.ConditionProgressing) == "False"
		}, func() any { return w.network("net1").Status })
		u := w.user("net1", m)
		w.eventually(30*time.Second, "the endpoint", func() bool {
			_, err := u.do("GET", "/app/account/none", "")
			return err != nil && strings.Contains(err.Error(), "There is no account")
		}, func() any { return w.network("net1").Status })
		work(u)
	}
	nodes := func(count int) []arm.NodeStatus {
		t.Helper()
		return w.whole("net1", count, 30*time.Second)
	}

	act("create", arm.KindCreate, func(*arm.Desired) {}, 2, "StartNode", "ActivateOperator", "OpenEndpoint", "OpenService")
	use(func(u *user) {
		nodes(3)
		u.must("PUT", "/app/account/alice", "")
		u.must("POST", "/app/deposit/alice", `{"value":7}`)
	})
	act("grow", arm.KindUpdate, func(d *arm.Desired) { d.NodeCount = 5 }, 2, "StartNode", "TrustNode")
	var victims []arm.NodeStatus
	use(func(*user) { victims = []arm.NodeStatus{primary(t, nodes(5)), backups(nodes(5))[0]} })
	for _, v := range victims {
		w.signal("net1", v, syscall.SIGKILL)
	}
	act("heal", arm.KindUpdate, func(*arm.Desired) {}, 2, "StartNode", "TrustNode", "RetireNode", "ForgetNode")
	use(func(*user) { nodes(5) })
	act("shrink", arm.KindUpdate, func(d *arm.Desired) { d.NodeCount = 3 }, 2, "RetireNode", "ForgetNode")
	use(func(u *user) {
		nodes(3)
		if got := u.must("GET", "/app/account/alice", ""); got != `{"account":"alice","balance":7}` {
			t.Error(got)
		}
	})
	act("delete", arm.KindDelete, func(d *arm.Desired) { d.Deleted = true }, 2, "DiscardNode", "RemoveNetwork")
	if entries, err := os.ReadDir(filepath.Join(w.dir, "networks")); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
