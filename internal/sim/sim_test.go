package sim

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
)

// sizes are those of the services that seeds take in turn.
var sizes = []int{1, 3, 5, 3}

func at(seed uint64, bug Bug) Config {
	return Config{Seed: seed, Steps: 2000, Nodes: sizes[seed%uint64(len(sizes))], Bug: bug}
}

// TestSeeds runs some seeds of each size; synod sim runs many.
func TestSeeds(t *testing.T) {
	var all Result
	for seed := range uint64(200) {
		r, err := Run(at(seed, NoBug))
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		all.Committed += r.Committed
		all.Nodes += r.Nodes
		all.Snapshots += r.Snapshots
		all.Writes += r.Writes
		all.Lost += r.Lost
		all.Reads += r.Reads
	}
	t.Logf("%+v", all)
	if all.Lost == 0 || all.Snapshots == 0 || all.Reads == 0 {
		t.Error("the seeds do not do what they should")
	}
}

// TestSeedsThatFailed runs seeds that a longer campaign has found: in the first three
// a leader that retires handed over, again and again, to the one voter that stays,
// which lacked what was before its log; in the fourth one voter had just died when another was let go.
func TestSeedsThatFailed(t *testing.T) {
	for _, seed := range []uint64{226915, 235555, 238627, 420049, 37086, 37438, 1167, 4081} {
		if _, err := Run(at(seed, NoBug)); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

// TestSigned runs a few seeds with real signatures.
func TestSigned(t *testing.T) {
	for seed := range uint64(4) {
		cfg := at(seed, NoBug)
		cfg.Signed = true
		if _, err := Run(cfg); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

// TestReplay runs seeds twice, the second time in another process on one
// processor: the same happens, to the byte.
func TestReplay(t *testing.T) {
	here := happenings(t)
	if os.Getenv("SYNOD_SIM_AGAIN") != "" {
		fmt.Print(here)
		return
	}
	again := exec.Command(os.Args[0], "-test.run=^TestReplay$")
	again.Env = append(os.Environ(), "SYNOD_SIM_AGAIN=1", "GOMAXPROCS=1", "GOGC=10")
	out, err := again.Output()
	if err != nil {
		t.Fatalf("%v: %.2000s", err, out)
	}
	there := strings.TrimSuffix(string(out), "PASS\n")
	if here != there {
		a, b := strings.Split(here, "\n"), strings.Split(there, "\n")
		for i := range a {
			if i >= len(b) || a[i] != b[i] {
				t.Fatalf("line %d: %s, then %s", i, a[i], b[min(i, len(b)-1)])
			}
		}
		t.Fatal("the second run did more")
	}
}

// happenings are all that happens in some seeds. With real signatures it is the same
// but for their bytes.
func happenings(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for seed := range uint64(10) {
		cfg := at(seed, NoBug)
		cfg.Signed = seed >= 8
		cfg.Trace = func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
		r, err := Run(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Signed {
			r.Digest = 0
		}
		fmt.Fprintf(&b, "%+v\n", r)
	}
	return b.String()
}

// TestBugs plants mistakes, each of which must be found within 1000 seeds.
func TestBugs(t *testing.T) {
	for name, bug := range Bugs {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(1000) {
				if _, err := Run(at(seed, bug)); err != nil {
					t.Logf("seed %d: %.200s", seed, err)
					return
				}
			}
			t.Error("not found")
		})
	}
}

// TestFailedDiskHandsOver has a leader's disk fail: it asks another node to lead at
// once, before it ends.
func TestFailedDiskHandsOver(t *testing.T) {
	defer seedRandomness(1)()
	w := newWorld(Config{Nodes: 3, Trace: func(string, ...any) {}})
	if err := w.begin(); err != nil {
		t.Fatal(err)
	}
	if err := w.calm("all know that all vote", func() bool {
		return !slices.ContainsFunc(w.nodes, func(n *node) bool { return len(n.Peers().Configuration.GetVoters()) < 3 })
	}); err != nil {
		t.Fatal(err)
	}
	l := w.leader()
	if _, err := l.put(key(1), []byte("1")); err != nil || l.Appends() == 0 {
		t.Fatalf("%d appends, %v", l.Appends(), err)
	}
	w.flying = nil
	if err := w.lose(l, broken); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(w.flying, func(m *pb.Message) bool { return m.GetType() == pb.MsgTimeoutNow && m.GetFrom() == l.name }) {
		t.Fatalf("it sends %v", w.flying)
	}
	ticks := w.now
	if err := w.calm("another leads", func() bool { n := w.leader(); return n != nil && n != l }); err != nil {
		t.Fatal(err)
	}
	if took := w.now.Sub(ticks); took >= electionTimeout/2 {
		t.Errorf("it took %s", took)
	}
}
