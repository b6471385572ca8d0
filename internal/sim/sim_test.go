package sim

import (
	"fmt"
	"testing"
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

// TestReplay runs seeds twice: the same happens, to the byte.
func TestReplay(t *testing.T) {
	for seed := range uint64(8) {
		var traces [2]string
		var results [2]Result
		for i := range traces {
			cfg := at(seed, NoBug)
			cfg.Trace = func(format string, args ...any) { traces[i] += fmt.Sprintf(format+"\n", args...) }
			var err error
			if results[i], err = Run(cfg); err != nil {
				t.Fatal(err)
			}
		}
		if results[0] != results[1] || traces[0] != traces[1] {
			t.Errorf("seed %d: %+v, then %+v", seed, results[0], results[1])
		}
	}
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
