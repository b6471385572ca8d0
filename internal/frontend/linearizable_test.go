package frontend

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"synod"
	"synod/internal/consensus"
)

const linearizable = "x-synod-consistency: linearizable"

// TestLinearizable: a linearizable read shows what is committed, on any node,
// and never what is not.
func TestLinearizable(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		s := newService(t, nodes, nil)
		w := s.dial(t, "n1")
		w.do("POST /app/put?k=a&v=1")
		s.commit()
		w.do("POST /app/put?k=a&v=2")
		for id := range s.nodes {
			c := s.dial(t, id)
			resp := c.do("GET /app/get?k=a", linearizable)
			c.want(resp, 200, string(id)+" has 1")
			if got := resp.Header.Get(txHeader); got != "2.2" {
				t.Errorf("%s: read at %s", id, got)
			}
		}
		c := s.dial(t, "n1")
		c.want(c.do("GET /app/get?k=a"), 200, "n1 has 2")
		if got := s.nodes["n1"].Routing().Linearizable; got != 1 {
			t.Errorf("%d were counted", got)
		}
	}
}

// TestLinearizableSeesOwnWrites: within a session it waits for the commit of
// what the session has seen, here or on the primary.
func TestLinearizableSeesOwnWrites(t *testing.T) {
	for _, at := range []synod.NodeID{"n1", "n2"} {
		for _, line := range []string{"GET /app/get?k=a", "GET /app/get/always?k=a"} {
			synctest.Test(t, func(t *testing.T) {
				s := newService(t, 2, nil)
				c := s.dial(t, at)
				c.do("POST /app/put?k=a&v=1")
				go func() {
					time.Sleep(time.Second)
					s.commit()
				}()
				start := time.Now()
				by := at // also if the session forwards
				if strings.Contains(line, "always") {
					by = "n1"
				}
				c.want(c.do(line, linearizable), 200, string(by)+" has 1")
				if took := time.Since(start); took != time.Second {
					t.Errorf("%s on %s took %s", line, at, took)
				}
			})
		}
	}
}

// TestLinearizableBeforeCompaction: what is committed is read also if the
// store could still undo it.
func TestLinearizableBeforeCompaction(t *testing.T) {
	s := newService(t, 2, nil)
	s.nodes["n1"].lazy = true
	c := s.dial(t, "n1")
	c.do("POST /app/put?k=a&v=1")
	s.commit()
	c.do("POST /app/put?k=b&v=2")
	reader := s.dial(t, "n1")
	reader.want(reader.do("GET /app/get?k=a", linearizable), 200, "n1 has 1")
	if resp := reader.do("GET /app/get?k=b", linearizable); string(resp.Body) != "n1 has " {
		t.Errorf("what is not committed is shown: %q", resp.Body)
	}
}

func TestLinearizableRefused(t *testing.T) {
	s := newService(t, 2, nil)
	for _, at := range []synod.NodeID{"n1", "n2"} {
		c := s.dial(t, at)
		c.want(c.do("GET /app/get", "x-synod-consistency: eventual"), 400, "use linearizable")
		for _, line := range []string{"POST /app/put", "POST /app/put/local", "GET /app/get/past", "GET /app/state", "GET /node/get", "GET /gov/get"} {
			resp := c.do(line, linearizable)
			c.want(resp, 400, synod.CodeInvalidHeaderValue)
			if !strings.Contains(string(resp.Body), "read-only endpoints of an application") {
				t.Errorf("%s on %s: %s", line, at, resp.Body)
			}
		}
		c.want(c.do("GET /app/nothing", linearizable), 404, synod.CodeResourceNotFound)
	}
	if len(s.log) != 1 {
		t.Errorf("%d transactions are ordered", len(s.log))
	}
}

// TestLinearizableWithoutMajority: a node that cannot confirm says so in time
// and shows nothing.
func TestLinearizableWithoutMajority(t *testing.T) {
	for name, test := range map[string]struct {
		nodes   int
		prepare func(s *fakeService, c *client)
		took    time.Duration
	}{
		"no majority": {3, func(s *fakeService, _ *client) { s.nodes["n1"].isolated = true }, 3 * time.Second},
		"what it was told pending": {3, func(_ *fakeService, c *client) {
			other := *c
			other.hs.State = nil
			other.do("POST /app/put?k=a&v=1")
			c.want(c.do("GET /app/get/absent"), 404, "nothing")
		}, 3 * time.Second},
		"own writes pending": {3, func(_ *fakeService, c *client) { c.do("POST /app/put?k=a&v=1") }, 3 * time.Second},
		"alone, not leading": {1, func(s *fakeService, _ *client) { s.nodes["n1"].become(consensus.Role{View: 2}) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(t, test.nodes, nil)
				c := s.dial(t, "n1")
				test.prepare(s, c)
				start := time.Now()
				resp := c.do("GET /app/get?k=a", linearizable)
				c.want(resp, 503, "could not confirm with a majority of the service within 3s")
				if took := time.Since(start); took != test.took || resp.Header.Get("retry-after") == "" || resp.Header.Has(txHeader) {
					t.Errorf("it took %s, fields %v", took, resp.Header)
				}
				if got := s.nodes["n1"].Routing().NotConfirmed; got != 1 {
					t.Errorf("%d were counted", got)
				}
			})
		})
	}
}

// TestLinearizableOfLostWrite: what the session has seen was never committed.
func TestLinearizableOfLostWrite(t *testing.T) {
	s := newService(t, 2, nil)
	c := s.dial(t, "n1")
	c.do("POST /app/put?k=a&v=1")
	n := s.nodes["n1"]
	n.ids[1].View = 3 // another primary's
	s.log[1].id = n.ids[1]
	s.commit()
	c.wantLost("GET /app/get?k=a", linearizable)
}
