//go:build e2e

package managed

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"synod/client"
	"synod/internal/arm"
)

// reopen has members vote to open the recovered service, and send their shares.
func (w *world) reopen(name string, members ...member) {
	w.t.Helper()
	n := w.network(name).Status
	c, err := client.Dial(n.AppURI, client.WithServiceCertificate([]byte(n.ServiceCertificate)))
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	body, err := client.ProposalBody(client.Action{Name: "transition_service_to_open", Args: map[string]any{
		"previous_service_identity": n.PreviousIdentities[len(n.PreviousIdentities)-1].Certificate, "next_service_identity": n.ServiceCertificate,
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := client.NewMember(c, members[0].signer(w.t)).Propose(w.t.Context(), body)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, m := range members {
		if p.State == client.ProposalOpen {
			if p, err = client.NewMember(c, m.signer(w.t)).Vote(w.t.Context(), p.ID, client.BallotFor); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	if p.State != client.ProposalAccepted {
		w.t.Fatalf("%+v", p)
	}
	for _, m := range members {
		signer := m.signer(w.t)
		encrypted, err := c.EncryptedShare(w.t.Context(), signer.ID())
		if err != nil {
			w.t.Fatal(err)
		}
		share, err := client.DecryptShare([]byte(m.private), encrypted)
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := client.NewMember(c, signer).SubmitShare(w.t.Context(), share); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) waitsFor(name, reason string) {
	w.t.Helper()
	w.eventually(time.Minute, "it waits for members", func() bool {
		for _, c := range w.network(name).Status.Conditions {
			if c.Type == arm.ConditionWaitingForMembers {
				return c.Status == "True" && c.Reason == reason
			}
		}
		return false
	}, func() any { return w.network(name).Status.Conditions })
}

// TestPauseMembers pauses a network and resumes it, which its members have to help
// with: nothing that was committed is lost, and the identity before is remembered.
// Then two of three nodes die, and it recovers when somebody asks for that.
func TestPauseMembers(t *testing.T) {
	w := newWorld(t)
	members := []member{newMember(t, true), newMember(t, true)}
	w.succeed(put(t, w.store, "net1", arm.KindCreate, desired(3, members...)), time.Minute)
	for _, m := range members {
		w.user("net1", m).activate()
	}
	w.eventually(30*time.Second, "open", func() bool { return w.network("net1").Status.ServiceStatus == "Open" }, func() any { return w.network("net1").Status })
	u := w.user("net1", members[0])
	u.must("PUT", "/app/account/alice", "")
	u.must("POST", "/app/deposit/alice", `{"value":7}`)
	before := w.network("net1").Status

	w.succeed(w.change("net1", arm.KindUpdate, func(d *arm.Desired) { d.RunningState = arm.RunningPaused }), time.Minute)
	if s := w.network("net1").Status; s.RunningState != arm.RunningPaused || s.Nodes[0].PID != 0 {
		t.Errorf("%+v", s)
	}
	op := w.change("net1", arm.KindUpdate, func(d *arm.Desired) { d.RunningState = arm.RunningActive })
	w.waitsFor("net1", "RecoveryVote")
	w.reopen("net1", members...)
	w.succeed(op, time.Minute)
	after := w.network("net1").Status
	if after.AppURI != before.AppURI || after.RunningState != arm.RunningActive || len(after.PreviousIdentities) != 1 || after.PreviousIdentities[0].Certificate != before.ServiceCertificate {
		t.Errorf("%+v", after)
	}
	w.whole("net1", 3, 30*time.Second)
	u.dial()
	u.must("POST", "/app/deposit/alice", `{"value":1}`)

	for _, n := range w.whole("net1", 3, time.Second)[:2] {
		w.signal("net1", n, syscall.SIGKILL)
	}
	w.eventually(30*time.Second, "no majority", func() bool {
		for _, c := range w.network("net1").Status.Conditions {
			if c.Type == arm.ConditionAvailable {
				return c.Status == "False" && (c.Reason == "QuorumLost" || c.Reason == "NoPrimary")
			}
		}
		return false
	}, func() any { return w.network("net1").Status.Conditions })
	op = &arm.Operation{Kind: arm.KindRecover, Network: id("net1")}
	if err := w.store.StartOperation(t.Context(), op); err != nil {
		t.Fatal(err)
	}
	w.waitsFor("net1", "RecoveryVote")
	w.reopen("net1", members...)
	w.succeed(op, time.Minute)
	w.whole("net1", 3, 30*time.Second)
	u.dial()
	if got := u.must("GET", "/app/account/alice", ""); got != `{"account":"alice","balance":8}` {
		t.Error(got)
	}
	if n := len(w.network("net1").Status.PreviousIdentities); n != 2 {
		t.Errorf("%d identities before", n)
	}
}

// TestAllDie kills every node of a network whose members have no recovery keys: the
// operator holds the share, and all comes back by itself.
func TestAllDie(t *testing.T) {
	w := newWorld(t)
	m := newMember(t, false)
	w.succeed(put(t, w.store, "net1", arm.KindCreate, desired(3, m)), time.Minute)
	u := w.user("net1", m)
	u.activate()
	u.must("PUT", "/app/account/alice", "")
	u.must("POST", "/app/deposit/alice", `{"value":7}`)
	begin := time.Now()
	for _, n := range w.whole("net1", 3, 10*time.Second) {
		w.signal("net1", n, syscall.SIGKILL)
	}
	w.eventually(time.Minute, "another identity", func() bool {
		return len(w.network("net1").Status.PreviousIdentities) == 1
	}, func() any { return w.network("net1").Status })
	w.whole("net1", 3, time.Minute)
	w.eventually(time.Minute, "open", func() bool { return condition(w.network("net1"), arm.ConditionAvailable) == "True" }, func() any { return w.network("net1").Status })
	t.Logf("back after %v", time.Since(begin).Round(time.Millisecond))
	u.dial()
	if got := u.must("GET", "/app/account/alice", ""); got != `{"account":"alice","balance":7}` {
		t.Error(got)
	}
}

// TestSealed has members allow their nodes to seal what the service needs: when all
// have died, and after a pause, it goes on as itself, and nobody has to do anything.
// When what was sealed does not fit, shares are needed after all.
func TestSealed(t *testing.T) {
	w := newWorld(t)
	m := newMember(t, true)
	w.succeed(put(t, w.store, "net1", arm.KindCreate, desired(3, m)), time.Minute)
	u := w.user("net1", m)
	u.activate()
	w.eventually(30*time.Second, "open", func() bool { return w.network("net1").Status.ServiceStatus == "Open" }, func() any { return w.network("net1").Status })
	u.must("PUT", "/app/account/alice", "")
	n := w.network("net1").Status
	c, err := client.Dial(n.AppURI, client.WithServiceCertificate([]byte(n.ServiceCertificate)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	body, err := client.ProposalBody(client.Action{Name: "set_sealed_resume", Args: map[string]any{"allowed": true}})
	if err != nil {
		t.Fatal(err)
	}
	member := client.NewMember(c, m.signer(t))
	p, err := member.Propose(t.Context(), body)
	if err == nil && p.State == client.ProposalOpen {
		p, err = member.Vote(t.Context(), p.ID, client.BallotFor)
	}
	if err != nil || p.State != client.ProposalAccepted {
		t.Fatalf("%+v, %v", p, err)
	}
	u.must("POST", "/app/deposit/alice", `{"value":7}`)
	sealed := func() []string {
		found, err := filepath.Glob(filepath.Join(w.dir, "networks", "net1", "nodes", "*", "sealed", "service.sealed.json"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	w.eventually(30*time.Second, "sealed on all nodes", func() bool { return len(sealed()) == 3 }, func() any { return sealed() })
	kill := func() {
		t.Helper()
		for _, n := range w.whole("net1", 3, 30*time.Second) {
			w.signal("net1", n, syscall.SIGKILL)
		}
	}
	back := func(newest int) {
		t.Helper()
		w.eventually(time.Minute, "it is back", func() bool {
			n := w.network("net1")
			return condition(n, arm.ConditionAvailable) == "True" && n.Status.Nodes[0].Ordinal >= newest
		}, func() any { return w.network("net1").Status })
		w.whole("net1", 3, time.Minute)
		if s := w.network("net1").Status; s.ServiceCertificate != n.ServiceCertificate || s.AppURI != n.AppURI || len(s.PreviousIdentities) != 0 {
			t.Errorf("another identity: %+v", s)
		}
		if got := u.must("GET", "/app/account/alice", ""); got != `{"account":"alice","balance":7}` {
			t.Error(got)
		}
	}
	begin := time.Now()
	kill()
	back(3)
	t.Logf("back after %v", time.Since(begin).Round(time.Millisecond))

	w.succeed(w.change("net1", arm.KindUpdate, func(d *arm.Desired) { d.RunningState = arm.RunningPaused }), time.Minute)
	begin = time.Now()
	w.succeed(w.change("net1", arm.KindUpdate, func(d *arm.Desired) { d.RunningState = arm.RunningActive }), time.Minute)
	t.Logf("resumed after %v", time.Since(begin).Round(time.Millisecond))
	back(6)

	w.eventually(30*time.Second, "sealed on all nodes", func() bool { return len(sealed()) == 3 }, func() any { return sealed() })
	w.stop()
	w.killAll()
	for _, name := range sealed() {
		if err := os.WriteFile(name, []byte(`{"aad_text":"{}","ciphertext":""}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.start()
	w.waitsFor("net1", "RecoveryVote")
	w.reopen("net1", m)
	w.whole("net1", 3, time.Minute)
	u.dial()
	if got := u.must("GET", "/app/account/alice", ""); got != `{"account":"alice","balance":7}` {
		t.Error(got)
	}
}
