package cli

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"synod/internal/sim"
)

// simResult is what a simulation of many seeds found.
type simResult struct {
	Seeds    uint64       `json:"seeds"`
	Steps    int          `json:"steps"`
	Seconds  float64      `json:"seconds"`
	Failures []simFailure `json:"failures"`
}

type simFailure struct {
	Seed  uint64 `json:"seed"`
	Nodes int    `json:"nodes"`
	Error string `json:"error"`
}

// simSizes are the sizes of services that seeds take in turn.
var simSizes = []int{1, 3, 5, 3}

func newSim(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "sim",
		Short: "Simulate services of several nodes with faults, and check what must hold",
		Long: `Runs the real consensus, store and ledger of several nodes on a clock, a network
and disks that are simulated, one service for each seed: messages are lost,
repeated and reordered, nodes are cut off, crash, join and retire. After each
step it checks that one node leads a view, that all commit the same, that no
transaction that was committed is lost, and more; at the end that the service
comes back. --seed N --trace shows what happens; raft draws its election timeouts
by itself, so that a seed that failed may need several tries.
Exit code 1 means that a seed failed.`,
		Example: "  synod sim --seeds 1000 --steps 2000",
		Args:    args(cobra.NoArgs),
	}
	p := newPrinter(env, c)
	f := c.Flags()
	first := f.Uint64("seed", 0, "the first seed")
	seeds := f.Uint64("seeds", 200, "how many")
	steps := f.Int("steps", 2000, "steps of each")
	nodes := f.Int("nodes", 0, "nodes at the start, 1 to 9; 0: 1, 3 and 5 in turn")
	trace := f.Bool("trace", false, "show what happens; for one seed")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		const nodesMax = 9
		if *nodes < 0 || *nodes > nodesMax || *steps < 0 || *seeds == 0 {
			return usagef(cmd, "--nodes is 0 to %d, --steps and --seeds are positive", nodesMax)
		}
		if *trace {
			*seeds = 1
		}
		began := time.Now()
		r := &simResult{Seeds: *seeds, Steps: *steps, Failures: []simFailure{}}
		simulate(cmd.Context(), r, *first, func(seed uint64) sim.Config {
			cfg := sim.Config{Seed: seed, Steps: *steps, Nodes: *nodes}
			if *nodes == 0 {
				cfg.Nodes = simSizes[seed%uint64(len(simSizes))]
			}
			if *trace {
				cfg.Trace = func(format string, a ...any) { fmt.Fprintf(p.out, format+"\n", a...) }
			}
			return cfg
		})
		r.Seconds = time.Since(began).Seconds()
		return p.simulated(r)
	}
	return c
}

// simulate runs the seeds on every core.
func simulate(ctx context.Context, r *simResult, first uint64, config func(seed uint64) sim.Config) {
	var mu sync.Mutex
	next := first
	take := func() (uint64, bool) {
		mu.Lock()
		defer mu.Unlock()
		if next == first+r.Seeds || ctx.Err() != nil {
			return 0, false
		}
		next++
		return next - 1, true
	}
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for seed, ok := take(); ok; seed, ok = take() {
				cfg := config(seed)
				if err := sim.Run(cfg); err != nil {
					mu.Lock()
					r.Failures = append(r.Failures, simFailure{seed, cfg.Nodes, err.Error()})
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	r.Seeds = next - first
	slices.SortFunc(r.Failures, func(a, b simFailure) int { return int(int64(a.Seed) - int64(b.Seed)) }) //nolint:gosec // order only
}

func (p *printer) simulated(r *simResult) error {
	if p.format == formatJSON {
		if err := p.json(r); err != nil {
			return err
		}
	} else {
		for _, f := range r.Failures {
			fmt.Fprintf(p.out, "seed %d, %d nodes: %s\n", f.Seed, f.Nodes, f.Error)
		}
		fmt.Fprintf(p.out, "%d seeds of %d steps in %.1f s, %d failed\n", r.Seeds, r.Steps, r.Seconds, len(r.Failures))
	}
	if len(r.Failures) > 0 {
		return fmt.Errorf("%d of %d seeds failed", len(r.Failures), r.Seeds)
	}
	return nil
}
