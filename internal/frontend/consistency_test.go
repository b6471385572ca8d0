package frontend

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"synod"
)

// history is a random run of sessions against a service whose primaries come
// and go, with what the answers promised.
type history struct {
	t        *testing.T
	rng      *rand.Rand
	service  *fakeService
	ids      []synod.NodeID
	sessions []*promise
	keys     int
	answered map[string]int // how often each kind of answer came
	steps    []string
}

// promise is one session. It alone writes its key, with rising numbers.
type promise struct {
	*client
	key   string
	wrote int // newest number given to a write
	acked int // newest number that the session knows of
}

// TestRandomHistories: a session sees all of its writes that were answered
// until it is told that it is lost; a linearizable read sees all that was
// committed before, and nothing that is not.
func TestRandomHistories(t *testing.T) {
	answered := map[string]int{}
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			h := &history{t: t, rng: rand.New(rand.NewPCG(seed, 1)), service: newService(t, 3, nil), ids: []synod.NodeID{"n1", "n2", "n3"}, answered: answered}
			for range 4 {
				h.sessions = append(h.sessions, h.connect())
			}
			for range 80 {
				h.step()
			}
			if t.Failed() {
				t.Fatalf("seed %d: %s", seed, strings.Join(h.steps, "; "))
			}
		})
	}
	for _, kind := range []string{"write 200", "write 503", "write 504", "write 500", "read 200", "read 500", "read 503", "linearizable 200", "linearizable 503", "linearizable 500"} {
		if answered[kind] < 20 {
			t.Errorf("%s came %d times: this proves little", kind, answered[kind])
		}
	}
}

func (h *history) note(format string, args ...any) {
	h.steps = append(h.steps, fmt.Sprintf(format, args...))
}

func (h *history) connect() *promise {
	h.keys++
	c := h.service.dial(h.t, h.ids[h.rng.IntN(3)])
	return &promise{client: c, key: "k" + strconv.Itoa(h.keys)}
}

func (h *history) step() {
	s, n := h.service, h.service.nodes[h.ids[h.rng.IntN(3)]]
	i := h.rng.IntN(len(h.sessions))
	switch p := h.sessions[i]; h.rng.IntN(14) {
	case 0:
		h.note("commit")
		s.commit()
	case 1:
		if h.rng.IntN(3) == 0 {
			h.note("%s wins", n.id)
			s.win(n.id, s.view+1)
		}
	case 2:
		h.note("%s learns", n.id)
		s.learn(n)
	case 3:
		if n.Role().Leading && h.rng.IntN(4) == 0 {
			h.note("%s stands down", n.id)
			s.standDown(n)
		}
	case 4:
		l := []link{linkUp, linkUp, linkUp, linkDown, linkBreaks, linkLosesAnswer}[h.rng.IntN(6)]
		h.note("link of %s is %d", n.id, l)
		n.set(func(n *fakeNode) { n.link = l })
	case 5, 6, 7, 8:
		h.write(i, p)
	case 9, 10, 11:
		path := []string{"/get", "/get/always"}[h.rng.IntN(2)]
		h.read(i, p, p.key, "GET /app"+path)
	default:
		key := p.key
		if h.rng.IntN(2) == 0 {
			key = h.sessions[h.rng.IntN(len(h.sessions))].key
		}
		path := []string{"/get", "/get/always"}[h.rng.IntN(2)]
		h.read(i, p, key, "GET /app"+path, linearizable)
	}
}

// settle counts an answer, and begins anew if the session was lost.
func (h *history) settle(i int, kind string, status int, body string, closed bool) {
	h.note("%d: %s on %s: %d %s", i, kind, h.sessions[i].node.id, status, body)
	h.answered[kind+" "+strconv.Itoa(status)]++
	lost := strings.Contains(body, synod.CodeSessionConsistencyLost)
	if lost != closed || status == 500 && !lost {
		h.t.Errorf("%s: %d %s, closed: %t", kind, status, body, closed)
	}
	if lost {
		h.sessions[i] = h.connect()
	}
}

func (h *history) write(i int, p *promise) {
	p.wrote++
	resp := p.do(fmt.Sprintf("POST /app/put?k=%s&v=%d", p.key, p.wrote))
	if resp.Status == 200 {
		p.acked = p.wrote
	}
	h.settle(i, "write", resp.Status, string(resp.Body), resp.Close)
}

func (h *history) read(i int, p *promise, key, line string, fields ...string) {
	kind, least := "read", 0
	if fields != nil {
		kind, least = "linearizable", h.committed(key)
	}
	if key == p.key {
		least = max(least, p.acked)
	}
	resp := p.do(line+"?k="+key, fields...)
	if resp.Status == 200 {
		_, text, _ := strings.Cut(string(resp.Body), " has ")
		got, _ := strconv.Atoi(text)
		if got < least {
			h.t.Errorf("%d: %s of %s shows %d, and %d was promised", i, kind, key, got, least)
		}
		if newest := h.committed(key); fields != nil && got > newest {
			h.t.Errorf("%d: %s of %s shows %d, and %d is committed", i, kind, key, got, newest)
		}
		if key == p.key {
			p.acked = max(p.acked, got)
		}
	}
	h.settle(i, kind, resp.Status, string(resp.Body), resp.Close)
}

// committed is the newest committed number of a key.
func (h *history) committed(key string) int {
	newest := 0
	for _, o := range h.service.log[:h.service.committed] {
		for _, m := range o.ws.Maps {
			for _, w := range m.Writes {
				if string(w.Key) == key {
					newest, _ = strconv.Atoi(string(w.Value))
				}
			}
		}
	}
	return newest
}
