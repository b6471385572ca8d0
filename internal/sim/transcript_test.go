package sim

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	pb "go.etcd.io/raft/v3/raftpb"

	"synod"
)

// TestTranscripts plays the scripts of testdata/transcripts, in the manner of
// etcd-io/raft's interaction tests: commands and, below a line of dashes, what
// happened. go test -run TestTranscripts -rewrite ./internal/sim writes what
// happens now. After each command everything that must always hold is checked.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, filepath.Join("testdata", "transcripts"), func(t *testing.T, path string) {
		defer seedRandomness(1)()
		s := &script{world: newWorld(Config{Trace: func(string, ...any) {}})}
		s.snapshot = new(false)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			f, ok := commands[d.Cmd]
			if !ok {
				d.Fatalf(t, "unknown command %s", d.Cmd)
			}
			s.out.Reset()
			err := f(s, t, d)
			if err == nil {
				err = s.check()
			}
			if err != nil {
				fmt.Fprintf(&s.out, "error: %s\n", err)
			}
			if s.out.Len() == 0 {
				return "ok\n"
			}
			return s.out.String()
		})
	})
}

// script is a world that does what it is told.
type script struct {
	*world
	out strings.Builder
}

type command func(*script, *testing.T, *datadriven.TestData) error

var commands = map[string]command{
	// service voters=N: a new service of N nodes, at rest
	"service": func(s *script, t *testing.T, d *datadriven.TestData) error {
		d.ScanArgs(t, "voters", &s.cfg.Nodes)
		if err := s.begin(); err != nil {
			return err
		}
		return s.rounds(10)
	},
	// run [rounds=10]: everything works, and time passes, a tick a round
	"run": func(s *script, t *testing.T, d *datadriven.TestData) error {
		rounds := 10
		d.MaybeScanArgs(t, "rounds", &rounds)
		return s.rounds(rounds)
	},
	// deliver [from=N] [to=N]: what is on its way now arrives and is stored
	"deliver": func(s *script, t *testing.T, d *datadriven.TestData) error {
		from, to := ends(t, d)
		var now, later []*pb.Message
		for _, m := range s.flying {
			if matches(m, from, to) {
				now = append(now, m)
			} else {
				later = append(later, m)
			}
		}
		s.flying = later
		for _, m := range now {
			s.message(m)
			s.hand(m)
		}
		return s.disks()
	},
	// drop [from=N] [to=N]: what is on its way is lost
	"drop": func(s *script, t *testing.T, d *datadriven.TestData) error {
		from, to := ends(t, d)
		s.flying = slices.DeleteFunc(s.flying, func(m *pb.Message) bool { return matches(m, from, to) })
		return nil
	},
	// cut [from=N] [to=N]: nothing gets through; without from or to: all of them
	"cut": func(s *script, t *testing.T, d *datadriven.TestData) error {
		from, to := ends(t, d)
		for _, a := range s.nodes {
			for _, b := range s.nodes {
				if (from == 0 || from == a.name) && (to == 0 || to == b.name) {
					s.cut[[2]uint64{a.name, b.name}] = true
				}
			}
		}
		return nil
	},
	"heal": func(s *script, t *testing.T, d *datadriven.TestData) error {
		clear(s.cut)
		return nil
	},
	// campaign node=N: its election timeout passes
	"campaign": func(s *script, t *testing.T, d *datadriven.TestData) error { return s.node(t, d).Campaign() },
	// tick node=N n=M
	"tick": func(s *script, t *testing.T, d *datadriven.TestData) error {
		ticks := 1
		d.MaybeScanArgs(t, "n", &ticks)
		n := s.node(t, d)
		for range ticks {
			s.now = s.now.Add(tick)
			n.Tick()
			if err := s.disks(); err != nil {
				return err
			}
		}
		return nil
	},
	// write node=N [n=1]
	"write": func(s *script, t *testing.T, d *datadriven.TestData) error {
		n, times := s.node(t, d), 1
		d.MaybeScanArgs(t, "n", &times)
		for range times {
			id, err := n.put([]byte("k"), []byte(strconv.Itoa(s.client.wrote+1)))
			if err != nil {
				fmt.Fprintf(&s.out, "%s\n", err)
				return nil
			}
			s.client.wrote++
			fmt.Fprintf(&s.out, "%s\n", id)
		}
		return s.disks()
	},
	// sign: signatures that are due are made and ordered
	"sign": func(s *script, t *testing.T, d *datadriven.TestData) error {
		s.world.sign()
		return s.disks()
	},
	// member trusted=N retired=(N,M) gone=N: one transaction of governance for
	// each name
	"member": func(s *script, t *testing.T, d *datadriven.TestData) error {
		wishes, err := wishesOf(d)
		for _, o := range wishes {
			if err == nil && !s.askFor(o) {
				err = fmt.Errorf("nobody takes it")
			}
		}
		return err
	},
	// proposal trusted=N retired=(N,M): one transaction for all
	"proposal": func(s *script, t *testing.T, d *datadriven.TestData) error {
		wishes, err := wishesOf(d)
		if err == nil && !s.askFor(wishes...) {
			err = fmt.Errorf("nobody takes it")
		}
		return err
	},
	// join name=N [snapshot]: a node that the service trusts begins
	"join": func(s *script, t *testing.T, d *datadriven.TestData) error {
		var name uint64
		d.ScanArgs(t, "name", &name)
		*s.snapshot = d.HasArg("snapshot")
		source := s.trusting(name)
		if source == nil {
			return fmt.Errorf("nobody trusts %d", name)
		}
		return s.make(name, source)
	},
	"crash": func(s *script, t *testing.T, d *datadriven.TestData) error { return s.lose(s.node(t, d), killed) },
	// transfer node=N: it hands over
	"transfer": func(s *script, t *testing.T, d *datadriven.TestData) error {
		s.node(t, d).HandOver()
		return nil
	},
	// status tx=V.S: what the nodes say of a transaction
	"status": func(s *script, t *testing.T, d *datadriven.TestData) error {
		var text string
		d.ScanArgs(t, "tx", &text)
		id, err := synod.ParseTxID(text)
		if err != nil {
			return err
		}
		for _, n := range s.alive() {
			fmt.Fprintf(&s.out, "%d: %s\n", n.name, n.Status(id))
		}
		return nil
	},
	// views: where the views begin, as each node knows it
	"views": func(s *script, t *testing.T, d *datadriven.TestData) error {
		for _, n := range s.alive() {
			fmt.Fprintf(&s.out, "%d: %v\n", n.name, n.ViewHistory(1))
		}
		return nil
	},
	"state": func(s *script, t *testing.T, d *datadriven.TestData) error {
		for _, n := range s.alive() {
			s.state(n)
		}
		return nil
	},
	"read": func(s *script, t *testing.T, d *datadriven.TestData) error {
		n := s.node(t, d)
		r := n.Read()
		if err := s.rounds(6); err != nil {
			return err
		}
		if seqno, done, err := r.Result(); done {
			fmt.Fprintf(&s.out, "at %d, %v\n", seqno, err)
		} else {
			fmt.Fprintf(&s.out, "no answer\n")
		}
		return nil
	},
	// end: everything heals; all agree, nothing confirmed is lost
	"end": func(s *script, t *testing.T, d *datadriven.TestData) error {
		if err := s.end(); err != nil {
			return err
		}
		for _, n := range s.alive() {
			s.state(n)
		}
		return nil
	},
}

func wishesOf(d *datadriven.TestData) (wishes []wish, err error) {
	for _, a := range d.CmdArgs {
		for _, v := range a.Vals {
			name, err := strconv.ParseUint(v, 10, 64)
			if err != nil {
				return nil, err
			}
			wishes = append(wishes, wish{name, a.Key})
		}
	}
	return wishes, nil
}

func ends(t *testing.T, d *datadriven.TestData) (from, to uint64) {
	d.MaybeScanArgs(t, "from", &from)
	d.MaybeScanArgs(t, "to", &to)
	return from, to
}

func matches(m *pb.Message, from, to uint64) bool {
	return (from == 0 || from == m.GetFrom()) && (to == 0 || to == m.GetTo())
}

func (s *script) node(t *testing.T, d *datadriven.TestData) *node {
	t.Helper()
	var name uint64
	d.ScanArgs(t, "node", &name)
	n := s.named(name)
	if n == nil || !n.up {
		d.Fatalf(t, "node %d does not run", name)
	}
	return n
}

// disks has every node store what it has to.
func (s *script) disks() error {
	for _, n := range s.awake() {
		for n.Appends() > 0 {
			if err := s.store(n, n.Appends()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *script) rounds(n int) error {
	for range n {
		flying := s.flying
		s.flying = nil
		for _, m := range flying {
			s.hand(m)
		}
		if err := s.disks(); err != nil {
			return err
		}
		s.world.sign()
		s.pass()
		if err := s.disks(); err != nil {
			return err
		}
		if err := s.check(); err != nil {
			return err
		}
		if err := s.fetchAny(); err != nil {
			return err
		}
	}
	return nil
}

func (s *script) message(m *pb.Message) {
	fmt.Fprintf(&s.out, "%d>%d %s view %d", m.GetFrom(), m.GetTo(), strings.TrimPrefix(m.GetType().String(), "Msg"), m.GetTerm())
	if m.GetType() == pb.MsgApp || m.GetType() == pb.MsgAppResp {
		fmt.Fprintf(&s.out, " after %d.%d", m.GetLogTerm(), m.GetIndex())
	}
	if n := len(m.GetEntries()); n > 0 && m.GetType() == pb.MsgApp {
		fmt.Fprintf(&s.out, " entries %d", n)
	}
	if m.GetReject() {
		fmt.Fprintf(&s.out, " refused, has %d", m.GetRejectHint())
	}
	s.out.WriteString("\n")
}

func (s *script) state(n *node) {
	r := n.Role()
	role := "follows nobody"
	switch {
	case r.Leading:
		role = "leads"
	case r.Leader != 0:
		role = fmt.Sprintf("follows %d", r.Leader)
	}
	view, _ := n.ViewOf(n.Ordered())
	fmt.Fprintf(&s.out, "%d: %s in view %d; log %s, committed %s", n.name, role, r.View, synod.TxID{View: view, SeqNo: n.Ordered()}, n.Committed())
	c := n.Peers().Configuration
	fmt.Fprintf(&s.out, "; voters %v", c.GetVoters())
	if len(c.GetVotersOutgoing()) > 0 {
		fmt.Fprintf(&s.out, " and %v", c.GetVotersOutgoing())
	}
	if len(c.GetLearners())+len(c.GetLearnersNext()) > 0 {
		fmt.Fprintf(&s.out, " learners %v", append(c.GetLearners(), c.GetLearnersNext()...))
	}
	s.out.WriteString("\n")
}
