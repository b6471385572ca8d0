package sim

import (
	"testing"
)

// TestSeeds runs some seeds of each size. A seed that fails is run again with a
// trace by: go test ./internal/sim -run TestSeeds -v
func TestSeeds(t *testing.T) {
	for seed := range uint64(200) {
		cfg := Config{Seed: seed, Steps: 2000, Nodes: int([]uint64{1, 3, 5}[seed%3])}
		if err := Run(cfg); err != nil {
			t.Errorf("seed %d, %d nodes: %v", seed, cfg.Nodes, err)
		}
	}
}
