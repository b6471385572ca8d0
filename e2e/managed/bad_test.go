//go:build e2e

package managed

import (
	"net"
	"strings"
	"testing"
	"time"

	"synod/internal/arm"
)

// TestWhatCannotBeMade asks for networks that come to nothing: each says why, and
// leaves nothing behind; what is right about them can be made afterwards.
func TestWhatCannotBeMade(t *testing.T) {
	w := newWorld(t)
	good := newMember(t, false)
	bad := good
	participant := *good.Participant
	participant.CertPEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
	bad.Participant = &participant
	for _, tc := range []struct {
		name       string
		d          func() arm.Desired
		code, says string
	}{
		{"certificate", func() arm.Desired { return desired(3, bad) }, "FirstNodeFailed", "command.start.members[0]"},
		{"release", func() arm.Desired {
			d := desired(1, good)
			d.Release = "none"
			return d
		}, "ReleaseUnknown", `no release "none"`},
		{"constitution", func() arm.Desired {
			d := desired(1, good)
			d.AppSourceURI, d.Constitution = arm.AppCustom, "export function validate() { return {valid: false}; }\nexport function resolve(a, b, c) { return 'Open'; }\nexport function apply(a, b) {}"
			return d
		}, "Constitution", ""},
		{"sample", func() arm.Desired {
			d := desired(1, good)
			d.Constitution = "whatever"
			return d
		}, "InvalidRequestContent", "sample application"},
	} {
		begin := time.Now()
		op := w.wait(put(t, w.store, tc.name, arm.KindCreate, tc.d()), time.Minute)
		t.Logf("%s: %s after %v: %v", tc.name, op.Status, time.Since(begin).Round(time.Millisecond), op.Error)
		if op.Status != arm.OperationFailed || op.Error == nil || !strings.HasPrefix(op.Error.Code, tc.code) || !strings.Contains(op.Error.Message, tc.says) {
			t.Errorf("%s: %s %+v", tc.name, op.Status, op.Error)
		}
		n := w.network(tc.name)
		if n.Status.ProvisioningState != arm.StateFailed || len(n.Status.Nodes) != 0 {
			t.Errorf("%s: %+v", tc.name, n.Status)
		}
		if nodes, err := w.driver.Nodes(t.Context(), tc.name); err != nil || len(nodes) != 0 {
			t.Errorf("%s: %+v, %v", tc.name, nodes, err)
		}
	}
	// Put right.
	w.succeed(put(t, w.store, "certificate", arm.KindCreate, desired(1, good)), time.Minute)
	w.user("certificate", good).must("PUT", "/app/account/alice", "")
	w.succeed(w.change("release", arm.KindDelete, func(d *arm.Desired) { d.Deleted = true }), time.Minute)
}

// TestPortTaken has another program take a network's port while the control plane is
// away: it says so, and takes it back when it can.
func TestPortTaken(t *testing.T) {
	w := newWorld(t)
	m := newMember(t, false)
	w.succeed(put(t, w.store, "net1", arm.KindCreate, desired(1, m)), time.Minute)
	address := strings.TrimPrefix(w.network("net1").Status.AppURI, "https://")
	w.stop()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	w.start()
	w.eventually(30*time.Second, "it says that the port is taken", func() bool {
		for _, c := range w.network("net1").Status.Conditions {
			if c.Type == arm.ConditionAvailable {
				return c.Status == "False" && c.Reason == "Endpoint" && strings.Contains(c.Message, "taken")
			}
		}
		return false
	}, func() any { return w.network("net1").Status.Conditions })
	l.Close()
	w.eventually(time.Minute, "the endpoint", func() bool { return condition(w.network("net1"), arm.ConditionAvailable) == "True" }, func() any { return w.network("net1").Status.Conditions })
	w.user("net1", m).must("PUT", "/app/account/alice", "")
}
