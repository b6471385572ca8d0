package frontend

import (
	"testing"

	"synod"
	"synod/app"
	"synod/internal/consensus"
	"synod/internal/httpd"
)

// wantLost checks that an answer ends its session.
func (c *client) wantLost(line string, fields ...string) {
	c.t.Helper()
	resp := c.do(line, fields...)
	c.want(resp, 500, synod.CodeSessionConsistencyLost)
	if !resp.Close {
		c.t.Errorf("%s: the session stays open", line)
	}
}

// TestSessionEndsWithItsView: every session that was used ends when the view
// changes, whatever it asked for; a new one does not.
func TestSessionEndsWithItsView(t *testing.T) {
	for _, line := range []string{"GET /app/get", "GET /app/state", "GET /node/commit", "POST /app/put?k=a&v=2", "POST /app/put/fails", "GET /app/get/always"} {
		for _, at := range []synod.NodeID{"n1", "n2"} {
			s := newService(t, 3, nil)
			used, fresh := s.dial(t, at), s.dial(t, at)
			used.want(used.do("GET /app/get?k=a"), 200, string(at)+" has")
			s.elect("n3", 4)
			before := len(s.log)
			used.wantLost(line)
			if len(s.log) != before {
				t.Errorf("%s on %s was executed", line, at)
			}
			if n := s.nodes[at].forwardings(); n != 0 {
				t.Errorf("%s on %s was forwarded", line, at)
			}
			if resp := fresh.do(line); resp.Status == 500 {
				t.Errorf("%s on %s: a new session got %q", line, at, resp.Body)
			}
		}
	}
}

// TestSessionText is CCF's.
func TestSessionText(t *testing.T) {
	s := newService(t, 2, nil)
	c := s.dial(t, "n1")
	c.do("GET /app/get")
	s.elect("n1", 3)
	c.want(c.do("GET /app/get"), 500, "Potential loss of session consistency on session 7. Started in view 2, now in view 3. Closing session.")
	if got := s.nodes["n1"].Routing().SessionsLost; got != 1 {
		t.Errorf("%d sessions were counted", got)
	}
}

// TestSessionEndsWhenPrimaryStandsDown: a primary that loses its majority
// forgets what was not committed and stays in the view. What it showed before
// must not be missing from a later answer.
func TestSessionEndsWhenPrimaryStandsDown(t *testing.T) {
	s := newService(t, 3, nil)
	wrote, read, backup := s.dial(t, "n1"), s.dial(t, "n1"), s.dial(t, "n2")
	wrote.want(wrote.do("POST /app/put?k=a&v=1"), 200, "n1 wrote 1")
	read.want(read.do("GET /app/get?k=a"), 200, "n1 has 1")
	backup.want(backup.do("GET /app/get?k=a"), 200, "n2 has")
	forwarding := s.dial(t, "n2")
	forwarding.want(forwarding.do("GET /app/get/always?k=a"), 200, "n1 has 1")

	s.standDown(s.nodes["n1"])
	wrote.wantLost("GET /app/get?k=a")
	read.wantLost("GET /app/get/local?k=a")
	// n2 still takes n1 for the primary, which must not answer from what is left.
	forwarding.want(forwarding.do("GET /app/get?k=a"), 503, synod.CodeRequestAlreadyForwarded)
	backup.want(backup.do("GET /app/get?k=a"), 200, "n2 has")
	later := s.dial(t, "n1")
	later.want(later.do("GET /app/get/local?k=a"), 200, "n1 has")
}

// TestSessionAndForwardedView: the primary compares the view too, before it
// records anything.
func TestSessionAndForwardedView(t *testing.T) {
	s := newService(t, 2, nil)
	c := s.dial(t, "n2")
	c.want(c.do("POST /app/put?k=a&v=1"), 200, "n1 wrote 1")
	s.nodes["n1"].become(consensus.Role{Leading: true, View: 4})
	c.wantLost("POST /app/put?k=a&v=2")
	if len(s.log) != 2 {
		t.Errorf("%d transactions are ordered", len(s.log))
	}
}

// TestAnswerFromAnotherView: an answer that a primary should not have given is
// not passed on.
func TestAnswerFromAnotherView(t *testing.T) {
	s := newService(t, 2, nil)
	for ran, status := range map[synod.View]int{0: 200, 2: 200, 3: 500} {
		x := execution{server: s.nodes["n2"].Server, session: &httpd.Session{}, sess: &session{view: 2}}
		resp := x.takeAnswer(t.Context(), "n1", encodeAnswer(&forwardedAnswer{ran: ran, resp: &app.Response{Status: 200}}))
		if resp.Status != status || resp.Close != (status == 500) {
			t.Errorf("ran in %d: got %d, close: %t", ran, resp.Status, resp.Close)
		}
	}
	// A node that knows of no view yet learns the session's from the answer.
	x := execution{server: s.nodes["n2"].Server, session: &httpd.Session{}, sess: &session{}}
	x.takeAnswer(t.Context(), "n1", encodeAnswer(&forwardedAnswer{ran: 3, resp: &app.Response{Status: 200}}))
	if x.sess.view != 3 {
		t.Errorf("the session is of view %d", x.sess.view)
	}
}

// TestNothingShownYet: a session whose requests went nowhere is of no view. Who
// waits for an election with it goes on in the next view.
func TestNothingShownYet(t *testing.T) {
	for name, cut := range map[string]func(n *fakeNode){
		"nobody leads": func(n *fakeNode) { n.leader = "" },
		"no link":      func(n *fakeNode) { n.link = linkDown },
	} {
		s := newService(t, 3, nil)
		n, c := s.nodes["n2"], s.dial(t, "n2")
		link := n.link
		cut(n)
		if resp := c.do("POST /app/put?k=a&v=1"); resp.Status != 503 || resp.Close {
			t.Errorf("%s: got %d, close: %t", name, resp.Status, resp.Close)
		}
		n.link = link
		s.elect("n3", 3)
		c.want(c.do("POST /app/put?k=a&v=1"), 200, "n3 wrote 1")
		s.elect("n1", 4)
		c.wantLost("GET /app/get?k=a")
	}
}

// TestStandsDownDuringRequest: the first request of a session has read what is
// forgotten before it is answered.
func TestStandsDownDuringRequest(t *testing.T) {
	for _, at := range []synod.NodeID{"n1", "n2"} {
		s := newService(t, 2, nil)
		n1, c := s.nodes["n1"], s.dial(t, at)
		n1.meanwhile = func() { s.standDown(n1) }
		if at == "n2" {
			c.want(c.do("GET /app/get/always"), 200, "n1 has")
		}
		c.wantLost("GET /app/get/meanwhile")
	}
}

// TestViewChangesDuringRequest: an election in the middle of a request.
func TestViewChangesDuringRequest(t *testing.T) {
	s := newService(t, 2, nil)
	n1 := s.nodes["n1"]
	for name, at := range map[string]synod.NodeID{"here": "n1", "forwarded": "n2"} {
		s.elect("n1", n1.Role().View+1)
		c := s.dial(t, at)
		c.do("GET /app/get")
		n1.set(func(n *fakeNode) {
			n.onSubmit = func() { n1.become(consensus.Role{Leading: true, View: n.Role().View + 1}) }
		})
		resp := c.do("POST /app/put?k=a&v=1")
		c.want(resp, 500, synod.CodeSessionConsistencyLost)
		if want := s.log[len(s.log)-1].id.String(); resp.Header.Get(txHeader) != want || !resp.Close {
			t.Errorf("%s: it names %q, ordered was %s; close: %t", name, resp.Header.Get(txHeader), want, resp.Close)
		}
	}
	// Not leading any more: nothing was recorded, and the session goes on.
	before := len(s.log)
	c := s.dial(t, "n1")
	n1.set(func(n *fakeNode) { n.onSubmit = func() { n1.become(consensus.Role{View: n1.role.View}) } })
	c.want(c.do("POST /app/put?k=a&v=1"), 503, synod.CodeTransactionReplicationFailed)
	if len(s.log) != before {
		t.Error("it was recorded")
	}
}
