//go:build e2e

package managed

import (
	"testing"
	"time"

	"synod/internal/arm"
)

// TestCertificates lets thirty days pass, by the clocks of the control plane and of
// the client, for certificates of one day: the client connects every eight hours, with
// what the identity service tells, and never meets one that has run out.
func TestCertificates(t *testing.T) {
	w := newWorld(t)
	m := newMember(t, false)
	d := desired(3, m)
	d.CertificateDays = 1
	w.succeed(put(t, w.store, "net1", arm.KindCreate, d), time.Minute)
	u := w.user("net1", m)
	u.must("PUT", "/app/account/alice", "")
	first := w.network("net1").Status
	renewed, last := 0, ""
	for range 30 * 3 {
		w.move(8 * time.Hour)
		u.dial() // anew, with the certificate that is told now
		u.must("POST", "/app/deposit/alice", `{"value":1}`)
		n := w.network("net1")
		if _, err := w.store.PutDesired(t.Context(), n, arm.Precondition{}, nil); err != nil { // look now
			t.Fatal(err)
		}
		w.eventually(20*time.Second, "certificates that last", func() bool {
			n = w.network("net1")
			for _, node := range n.Status.Nodes {
				if node.CertificateNotAfter.Sub(w.now()) < 8*time.Hour {
					return false
				}
			}
			return condition(n, arm.ConditionCertsValid) == "True"
		}, func() any { return n.Status })
		if n.Status.ServiceCertificate != last {
			last = n.Status.ServiceCertificate
			renewed++
		}
	}
	if renewed < 30 {
		t.Errorf("renewed %d times", renewed)
	}
	n := w.network("net1").Status
	if len(n.PreviousIdentities) != 0 || n.ServiceCertificate == first.ServiceCertificate {
		t.Errorf("%d identities before", len(n.PreviousIdentities))
	}
	for i, node := range n.Nodes {
		if node.PID != first.Nodes[i].PID {
			t.Errorf("node %d was replaced by node %d", first.Nodes[i].Ordinal, node.Ordinal)
		}
	}
	if got := u.must("GET", "/app/account/alice", ""); got != `{"account":"alice","balance":90}` {
		t.Error(got)
	}
}
