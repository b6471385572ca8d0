package sim

import "testing"

// sizes are those of the services that seeds take in turn.
var sizes = []int{1, 3, 5, 3}

func at(seed uint64, bug Bug) Config {
	return Config{Seed: seed, Steps: 2000, Nodes: sizes[seed%uint64(len(sizes))], Bug: bug}
}

// TestSeeds runs some seeds of each size; synod sim runs many.
func TestSeeds(t *testing.T) {
	for seed := range uint64(200) {
		if err := Run(at(seed, NoBug)); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

// TestBugs plants mistakes, each of which must be found within 1000 seeds.
func TestBugs(t *testing.T) {
	for name, bug := range map[string]Bug{
		"reuse name": ReuseName, "forget vote": ForgetVote, "change entry": ChangeEntry, "wrong root": WrongRoot,
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(1000) {
				if err := Run(at(seed, bug)); err != nil {
					t.Logf("seed %d: %.200s", seed, err)
					return
				}
			}
			t.Error("not found")
		})
	}
}
