package frontend

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"synod"
	"synod/app"
	"synod/internal/config"
	"synod/internal/consensus"
)

// TestForwardingRules: which node answers what a client asks a backup.
func TestForwardingRules(t *testing.T) {
	for _, prefix := range []string{"/app", "/gov", "/node", ""} {
		s := newService(t, 3, nil)
		c := s.dial(t, "n2")
		steps := []struct {
			line   string
			status int
			part   string
		}{
			{"GET /get?k=a", 200, "n2 has"},
			{"GET /get/always?k=a", 200, "n1 has"},
			{"GET /get?k=a", 200, "n1 has"},       // the session forwards now
			{"GET /get/local?k=a", 200, "n2 has"}, // but not this
			{"POST /put?k=a&v=1", 200, "n1 wrote 1"},
			{"GET /get?k=a", 200, "n1 has 1"},     // sees its own write
			{"GET /get/local?k=a", 200, "n2 has"}, // which is not here yet
			{"POST /put/local?k=a&v=2", 503, synod.CodeTransactionReplicationFailed},
			{"POST /put/fails", 418, "I am n1"},
			{"GET /state", 200, "n2"},
			{"GET /nothing", 404, synod.CodeResourceNotFound},
			{"DELETE /put", 405, synod.CodeUnsupportedHTTPVerb},
			{"GET /commit", 200, "transaction_id"},
		}
		for _, step := range steps {
			method, path, _ := strings.Cut(step.line, " ")
			resp := c.do(method + " " + prefix + path)
			if resp.Status != step.status || !strings.Contains(string(resp.Body), step.part) {
				t.Errorf("%s%s: got %d %q, want %d with %q", prefix, step.line, resp.Status, resp.Body, step.status, step.part)
			}
		}
		if resp := s.dial(t, "n2").do("GET " + prefix + "/get?k=a"); string(resp.Body) != "n2 has " {
			t.Errorf("%s: another session got %q", prefix, resp.Body)
		}
		s.commit()
		if resp := s.dial(t, "n3").do("GET " + prefix + "/get?k=a"); string(resp.Body) != "n3 has 1" {
			t.Errorf("%s: after commit another node says %q", prefix, resp.Body)
		}
	}
}

// TestForwardedWhole: nothing of a request or an answer is lost on the way.
func TestForwardedWhole(t *testing.T) {
	s := newService(t, 2, nil)
	c := s.dial(t, "n2")
	c.want(c.send("POST /app/who?a=%20b", []byte("body")), 401, synod.CodeInvalidAuthenticationInfo)
	c.hs.ClientCert = clientCert(t)
	resp := c.send("POST /app/who?a=%20b", []byte("body \x00"), "x-mine: mine")
	c.want(resp, 200, "n1 asked by "+hex.EncodeToString(sum(c.hs.ClientCert))+" on /app/who?a=%20b with mine and body \x00")
	if resp.Header.Get("x-answer") != "yes" || resp.Header.Get(txHeader) != "2.1" {
		t.Errorf("the fields are %v", resp.Header)
	}
	// Another caller on a session of the same name is not taken for the first.
	other := s.dial(t, "n2")
	other.hs.ClientCert = clientCert(t)
	for _, x := range []*client{other, c, other} {
		x.want(x.do("POST /app/who"), 200, "n1 asked by "+hex.EncodeToString(sum(x.hs.ClientCert)))
	}
	counts := s.nodes["n1"].Routing()
	if counts.Received != 5 || counts.Serving != 0 || s.nodes["n2"].Routing().Forwarded != 5 {
		t.Errorf("the counts are %+v and %+v", counts, s.nodes["n2"].Routing())
	}
}

// TestForwardedIgnoresInterfaces: the node that forwards has looked at its
// interface; the other has none of that name, or a stricter one.
func TestForwardedIgnoresInterfaces(t *testing.T) {
	s := newService(t, 2, nil)
	s.nodes["n1"].cfg.Unsecured["main"] = true
	c := s.dial(t, "n2")
	c.want(c.do("POST /app/put?k=a&v=1"), 200, "n1 wrote 1")
	s.nodes["n1"].ifaces["main"] = config.Interface{Redirections: &config.Redirections{}}
	c.want(c.do("GET /app/get/backup?k=a"), 200, "n1 has 1")
	own := s.dial(t, "n1")
	if resp := own.do("GET /app/get/local"); resp.Status != 503 || resp.Body != nil {
		t.Errorf("its own interface answers %d", resp.Status)
	}
}

func TestForwardingFails(t *testing.T) {
	const timedOut = "Request was forwarded to node n[n1], but no response was received after 3000ms"
	for name, test := range map[string]struct {
		prepare func(s *fakeService)
		status  int
		part    string
		plain   bool // text/plain
		retry   bool // says when to try again
		ran     bool // was executed all the same
		then    bool // the session forwards from now on
		took    time.Duration
	}{
		"nobody leads": {
			prepare: func(s *fakeService) { s.nodes["n2"].leader = "" },
			status:  503, part: "RPC could not be forwarded to unknown primary.", retry: true,
		},
		"no link": {
			prepare: func(s *fakeService) { s.nodes["n2"].link = linkDown },
			status:  503, part: "Unable to establish channel to forward to primary.", retry: true,
		},
		"no answer": {
			prepare: func(s *fakeService) { s.nodes["n2"].link = linkLosesAsk },
			status:  504, part: timedOut, plain: true, then: true, took: 3 * time.Second,
		},
		"answer lost": {
			prepare: func(s *fakeService) { s.nodes["n2"].link = linkLosesAnswer },
			status:  504, part: timedOut, plain: true, then: true, ran: true, took: 3 * time.Second,
		},
		"link breaks": {
			prepare: func(s *fakeService) { s.nodes["n2"].link = linkBreaks },
			status:  504, part: "node n[n1], but no response was received: the connection ended", plain: true, then: true, ran: true,
		},
		"answer is garbled": {
			prepare: func(s *fakeService) { s.nodes["n2"].link = linkGarbles },
			status:  500, part: "The request may have been executed.", then: true, ran: true,
		},
		"the other does not lead": {
			prepare: func(s *fakeService) { s.nodes["n1"].become(consensus.Role{View: 2}) },
			status:  503, part: synod.CodeRequestAlreadyForwarded, retry: true, then: true,
		},
		"over HTTP/2": {
			prepare: func(s *fakeService) {
				s.nodes["n2"].ifaces["main"] = config.Interface{AppProtocol: config.AppHTTP2}
			},
			status: 501, part: "Request cannot be forwarded to primary on HTTP/2 interface.",
		},
		"own timeout": {
			prepare: func(s *fakeService) {
				s.nodes["n2"].ifaces["main"] = config.Interface{ForwardingTimeout: 1500 * time.Millisecond}
				s.nodes["n2"].link = linkLosesAsk
			},
			status: 504, part: "no response was received after 1500ms", plain: true, then: true, took: 1500 * time.Millisecond,
		},
		"no time at all": {
			prepare: func(s *fakeService) {
				s.nodes["n2"].ifaces["main"] = config.Interface{}
				s.nodes["n2"].link = linkLosesAsk
			},
			status: 504, part: "no response was received after 0ms", plain: true, then: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(t, 2, nil)
				test.prepare(s)
				c := s.dial(t, "n2")
				start := time.Now()
				resp := c.do("POST /app/put?k=a&v=1")
				c.want(resp, test.status, test.part)
				if took := time.Since(start); took != test.took {
					t.Errorf("it took %s, want %s", took, test.took)
				}
				contentType := "application/json"
				if test.plain {
					contentType = "text/plain"
				}
				if got := resp.Header.Get("content-type"); got != contentType {
					t.Errorf("the body is %s, want %s", got, contentType)
				}
				if got := resp.Header.Has("retry-after"); got != test.retry || resp.Close {
					t.Errorf("retry-after is there: %t, want %t; close: %t", got, test.retry, resp.Close)
				}
				if ran := len(s.log) == 2; ran != test.ran {
					t.Errorf("executed: %t, want %t", ran, test.ran)
				}
				before := s.nodes["n2"].forwardings()
				c.do("GET /app/get?k=a")
				if then := s.nodes["n2"].forwardings() > before; then != test.then {
					t.Errorf("the next read was forwarded: %t, want %t", then, test.then)
				}
			})
		})
	}
}

// TestForwardedTooLarge: what cannot be forwarded is refused before it is sent
// or, if it is the answer, says what was executed.
func TestForwardedTooLarge(t *testing.T) {
	s := newService(t, 2, nil)
	c := s.dial(t, "n2")
	c.want(c.send("POST /app/put?k=a", make([]byte, forwardedMax)), 413, synod.CodeRequestBodyTooLarge)
	if n := s.nodes["n2"].forwardings(); n != 0 {
		t.Errorf("it was sent %d times", n)
	}
	resp := &app.Response{Status: 200, Body: make([]byte, forwardedMax)}
	resp.Header.Set(txHeader, "2.7")
	a, err := parseAnswer(encodeAnswer(&forwardedAnswer{ran: 2, resp: resp}))
	if err != nil || a.resp.Status != 500 || a.resp.Header.Get(txHeader) != "2.7" || !bytes.Contains(a.resp.Body, []byte("was executed")) {
		t.Errorf("got %+v, %v", a, err)
	}
}

// TestForwardedGarbage: a message that no front end made is answered.
func TestForwardedGarbage(t *testing.T) {
	s := newService(t, 2, nil)
	for _, b := range [][]byte{nil, {1}, {2, 0}, {1, 0}, bytes.Repeat([]byte{0xff}, 200)} {
		a, err := parseAnswer(s.nodes["n1"].HandleForwarded(t.Context(), "n2", b))
		if err != nil || a.resp.Status != 500 || a.ran != 0 || !strings.Contains(string(a.resp.Body), "cannot read what was forwarded") {
			t.Errorf("%x: got %+v, %v", b, a, err)
		}
	}
}

// TestForwardedInFlight: no more than the limit are answered at a time.
func TestForwardedInFlight(t *testing.T) {
	s := newService(t, 2, nil)
	n := s.nodes["n1"]
	n.routing.serving.Store(forwardedInFlightMax)
	c := s.dial(t, "n2")
	c.want(c.do("POST /app/put?k=a&v=1"), 503, synod.CodeTooManyPendingTransactions)
	n.routing.serving.Store(0)
	c.want(c.do("POST /app/put?k=a&v=1"), 200, "n1 wrote 1")
}

// TestForwardedWait: a forwarded write may wait for commit, and is answered
// before the node that forwards gives up.
func TestForwardedWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, 2, nil)
		c := s.dial(t, "n2")
		resp := c.do("POST /app/put?k=a&v=1", "x-synod-wait: committed")
		c.want(resp, 200, "n1 wrote 1")
		if got := resp.Header.Get("x-synod-status"); got != "Pending" {
			t.Errorf("nothing was committed: status %q", got)
		}
		go func() {
			time.Sleep(time.Second)
			s.commit()
		}()
		resp = c.do("POST /app/put?k=a&v=2", "x-synod-wait: committed")
		c.want(resp, 200, "n1 wrote 2")
		if got := resp.Header.Get("x-synod-status"); got != "Committed" {
			t.Errorf("it was committed: status %q", got)
		}
		c.want(c.do("POST /app/put?k=a&v=2", "x-synod-wait: never"), 400, synod.CodeInvalidHeaderValue)
	})
}

// TestAlone: without other nodes nothing is forwarded, and a node that does
// not lead refuses writes at once.
func TestAlone(t *testing.T) {
	s := newService(t, 1, nil)
	c := s.dial(t, "n1")
	c.want(c.do("POST /app/put?k=a&v=1"), 200, "n1 wrote 1")
	s.nodes["n1"].become(consensus.Role{View: 2})
	c = s.dial(t, "n1")
	c.want(c.do("POST /app/put?k=a&v=2"), 503, synod.CodeTransactionReplicationFailed)
	c.want(c.do("GET /app/get?k=a"), 200, "n1 has 1")
}
