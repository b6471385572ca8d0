//go:build e2e

package managed

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"synod/client"
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
	use(func(u *user) { u.activate() })
	voted := make(chan struct{})
	go func() { // members vote while control planes come and go
		defer close(voted)
		w.voteWhenAsked(m)
	}()
	act("upgrade", arm.KindUpgrade, func(d *arm.Desired) { d.Release = "next" }, 2, "ProposeRelease", "StartNode", "TrustNode", "RetireNode", "ForgetNode", "DisallowOldRelease")
	<-voted
	use(func(*user) {
		for _, n := range nodes(3) {
			if n.Release != "next" {
				t.Errorf("node %d runs %s", n.Ordinal, n.Release)
			}
		}
	})
	act("renew", arm.KindRenew, func(*arm.Desired) {}, 2, "RenewCertificates")
	act("pause", arm.KindUpdate, func(d *arm.Desired) { d.RunningState = arm.RunningPaused }, 2, "StopNodes")
	act("resume", arm.KindUpdate, func(d *arm.Desired) { d.RunningState = arm.RunningActive }, 2, "StartNode", "ReopenService", "SubmitShare")
	use(func(u *user) {
		nodes(3)
		u.dial()
		if got := u.must("GET", "/app/account/alice", ""); got != `{"account":"alice","balance":7}` {
			t.Error(got)
		}
	})
	act("delete", arm.KindDelete, func(d *arm.Desired) { d.Deleted = true }, 2, "DiscardNode", "RemoveNetwork")
	if entries, err := os.ReadDir(filepath.Join(w.dir, "networks")); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// voteWhenAsked votes for the proposal that lets a release join, as soon as there is
// one. No control plane of this process runs meanwhile.
func (w *world) voteWhenAsked(m member) {
	s, err := arm.OpenStore(context.Background(), filepath.Join(w.dir, "server.db"), w.now)
	if err != nil {
		w.t.Error(err)
		return
	}
	defer s.Close()
	n, err := s.Network(context.Background(), id("net1"))
	if err != nil {
		w.t.Error(err)
		return
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-time.After(50 * time.Millisecond) {
		for _, node := range n.Status.Nodes {
			c, err := client.Dial("https://"+node.Address, client.WithServiceCertificate([]byte(n.Status.ServiceCertificate)))
			if err != nil {
				w.t.Error(err)
				return
			}
			all, err := c.Proposals(context.Background())
			for _, p := range all {
				if err == nil && p.State == client.ProposalOpen {
					p2, err := client.NewMember(c, m.signer(w.t)).Vote(context.Background(), p.ID, client.BallotFor)
					if err == nil && p2.State == client.ProposalAccepted {
						c.Close()
						return
					}
				}
			}
			c.Close()
		}
	}
	w.t.Error("nobody asked for a vote")
}
