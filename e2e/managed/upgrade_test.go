//go:build e2e

package managed

import (
	"strings"
	"testing"
	"time"

	"synod/client"
	"synod/internal/arm"
)

// passOpen has members vote for the only open proposal.
func (w *world) passOpen(name string, members ...member) string {
	w.t.Helper()
	n := w.network(name)
	c, err := client.Dial(n.Status.AppURI, client.WithServiceCertificate([]byte(n.Status.ServiceCertificate)))
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	all, err := c.Proposals(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	id := ""
	for _, p := range all {
		if p.State == client.ProposalOpen {
			id = p.ID
		}
	}
	text, err := c.ProposalActions(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	var p *client.Proposal
	for _, m := range members {
		if p, err = client.NewMember(c, m.signer(w.t)).Vote(w.t.Context(), id, client.BallotFor); err != nil {
			w.t.Fatal(err)
		}
	}
	if p.State != client.ProposalAccepted {
		w.t.Fatalf("the proposal is %s", p.State)
	}
	return string(text)
}

// TestUpgrade upgrades a network of three nodes to another binary under load: it waits
// for the members' vote, whatever happens meanwhile, and ends with nodes of the new
// release that alone may join. Then back again, with a cancel in between.
func TestUpgrade(t *testing.T) {
	w := newWorld(t)
	members := []member{newMember(t, true), newMember(t, true), newMember(t, true)}
	w.succeed(put(t, w.store, "net1", arm.KindCreate, desired(3, members...)), time.Minute)
	for _, m := range members {
		w.user("net1", m).activate()
	}
	w.eventually(30*time.Second, "open", func() bool { return w.network("net1").Status.ServiceStatus == "Open" }, func() any { return w.network("net1").Status })
	l := w.user("net1", members[0]).load("alice")

	waits := func(op *arm.Operation) {
		t.Helper()
		w.eventually(30*time.Second, "it waits for members", func() bool {
			return condition(w.network("net1"), arm.ConditionWaitingForMembers) == "True"
		}, func() any { return w.network("net1").Status })
		if last, err := w.store.Operation(t.Context(), op.ID); err != nil || last.Ended() {
			t.Fatalf("%+v, %v", last, err)
		}
	}
	to := func(release string) *arm.Operation {
		return w.change("net1", arm.KindUpgrade, func(d *arm.Desired) { d.Release = release })
	}
	op := to("next")
	waits(op)
	for _, n := range w.network("net1").Status.Nodes {
		if n.Release != "first" {
			t.Errorf("node %d runs %s before the vote", n.Ordinal, n.Release)
		}
	}
	if text := w.passOpen("net1", members[0], members[1]); !strings.Contains(text, `"approve_release"`) {
		t.Errorf("members voted on %s", text)
	}
	begin := time.Now()
	w.succeed(op, time.Minute)
	t.Logf("upgraded %v after the vote", time.Since(begin).Round(time.Millisecond))
	for _, n := range w.whole("net1", 3, 10*time.Second) {
		if n.Release != "next" {
			t.Errorf("node %d runs %s", n.Ordinal, n.Release)
		}
	}
	var policy struct{ Virtual struct{ HostData []string } }
	n := w.network("net1").Status
	c, err := client.Dial(n.AppURI, client.WithServiceCertificate([]byte(n.ServiceCertificate)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Governance(t.Context(), "service/join-policy", &policy); err != nil {
		t.Fatal(err)
	}
	if next, _ := w.releases.Get("next"); len(policy.Virtual.HostData) != 1 || policy.Virtual.HostData[0] != next.HostData || n.Release != "next" {
		t.Errorf("what may join: %v; release %s", policy.Virtual.HostData, n.Release)
	}

	op = to("first")
	waits(op)
	if err := w.store.RequestCancel(t.Context(), op.ID); err != nil {
		t.Fatal(err)
	}
	if last := w.wait(op, 30*time.Second); last.Status != arm.OperationCanceled {
		t.Errorf("%s", last.Status)
	}
	if all, err := c.Proposals(t.Context()); err != nil || all[len(all)-1].State == client.ProposalOpen {
		t.Errorf("%+v, %v", all, err)
	}
	if d := w.network("net1").Desired; d.Release != "next" {
		t.Errorf("wanted: %s", d.Release)
	}
	op = to("none")
	if last := w.wait(op, 30*time.Second); last.Status != arm.OperationFailed || last.Error == nil || last.Error.Code != "ReleaseUnknown" {
		t.Errorf("%+v", last)
	}
	l.end()
	if l.unknown > 0 {
		t.Errorf("%d writes had no certain answer: %v", l.unknown, l.last)
	}
}
