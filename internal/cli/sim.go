package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"synod/internal/sim"
)

// simResult is what a simulation of many seeds found.
type simResult struct {
	Seeds     uint64       `json:"seeds"`
	Steps     int          `json:"steps"`
	Seconds   float64      `json:"seconds"`
	Entries   uint64       `json:"entries"`   // committed
	Nodes     int          `json:"nodes"`     // that took part
	Snapshot  int          `json:"snapshots"` // of them, began with a snapshot
	Writes    int          `json:"writes"`
	Lost      int          `json:"lost"` // writes that were lost before they were committed
	Reads     int          `json:"reads"`
	Overtaken int          `json:"overtaken"` // times that a node went on after a snapshot
	Failures  []simFailure `json:"failures"`
}

type simFailure struct {
	Seed  uint64 `json:"seed"`
	Nodes int    `json:"nodes"`
	Error string `json:"error"`
}

// add takes in what another run found.
func (r *simResult) add(o *simResult) {
	r.Seeds += o.Seeds
	r.Entries += o.Entries
	r.Nodes += o.Nodes
	r.Snapshot += o.Snapshot
	r.Writes += o.Writes
	r.Lost += o.Lost
	r.Reads += o.Reads
	r.Overtaken += o.Overtaken
	r.Failures = append(r.Failures, o.Failures...)
}

// simOptions are the flags of synod sim.
type simOptions struct {
	first, seeds  uint64
	steps, nodes  int
	signed, trace bool
	workers       int
}

// simSizes are the sizes of services that seeds take in turn.
var simSizes = []int{1, 3, 5, 3}

// simShare is how many seeds a worker process runs, at most.
const simShare = 2000

func newSim(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "sim",
		Short: "Simulate services of several nodes with faults, and check what must hold",
		Long: `Runs the real consensus, store and ledger of several nodes on a clock, a network
and disks that are simulated, one service for each seed: messages are lost,
repeated and reordered, nodes are cut off, held up, crash in the middle of a
write, join by the log or a snapshot, and retire. After each step it checks that
one node leads a view, that all commit the same, that a majority has it on disk,
and more; at the end that the service comes back, that nothing that was
confirmed is lost and that reads were linearizable. What happens follows from the
seed alone: --seed N --seeds 1 --trace shows it again.
Exit code 1 means that a seed failed.`,
		Example: "  synod sim --seeds 1000 --steps 2000",
		Args:    args(cobra.NoArgs),
	}
	p := newPrinter(env, c)
	var o simOptions
	f := c.Flags()
	f.Uint64Var(&o.first, "seed", 0, "the first seed")
	f.Uint64Var(&o.seeds, "seeds", 200, "how many")
	f.IntVar(&o.steps, "steps", 2000, "steps of each")
	f.IntVar(&o.nodes, "nodes", 0, "nodes at the start, 1 to 9; 0: 1, 3 and 5 in turn")
	f.BoolVar(&o.signed, "signed", false, "make and verify real signatures")
	f.BoolVar(&o.trace, "trace", false, "show what happens; for one seed")
	f.IntVar(&o.workers, "workers", runtime.NumCPU(), "processes that share the seeds")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		const nodesMax = 9
		if o.nodes < 0 || o.nodes > nodesMax || o.steps < 0 || o.seeds == 0 || o.workers < 1 {
			return usagef(cmd, "--nodes is 0 to %d, --steps, --seeds and --workers are positive", nodesMax)
		}
		if o.trace {
			o.seeds, o.workers = 1, 1
		}
		began := time.Now()
		r := &simResult{Steps: o.steps, Failures: []simFailure{}}
		var err error
		if o.workers == 1 {
			o.run(cmd.Context(), p, r)
		} else {
			err = o.share(cmd.Context(), r)
		}
		slices.SortFunc(r.Failures, func(a, b simFailure) int { return int(int64(a.Seed) - int64(b.Seed)) }) //nolint:gosec // order only
		r.Seconds = time.Since(began).Seconds()
		return errors.Join(err, p.simulated(r))
	}
	return c
}

// run simulates the seeds one after the other, which is how one process can:
// all its randomness is the seed's.
func (o *simOptions) run(ctx context.Context, p *printer, r *simResult) {
	for seed := o.first; seed < o.first+o.seeds && ctx.Err() == nil; seed++ {
		cfg := sim.Config{Seed: seed, Steps: o.steps, Nodes: o.nodes, Signed: o.signed}
		if o.nodes == 0 {
			cfg.Nodes = simSizes[seed%uint64(len(simSizes))]
		}
		if o.trace {
			cfg.Trace = func(format string, a ...any) { fmt.Fprintf(p.out, format+"\n", a...) }
		}
		one, err := sim.Run(cfg)
		result := &simResult{
			Seeds: 1, Entries: uint64(one.Committed), Nodes: one.Nodes, Snapshot: one.Snapshots,
			Writes: one.Writes, Lost: one.Lost, Reads: one.Reads, Overtaken: one.Overtaken,
		}
		if err != nil {
			result.Failures = []simFailure{{seed, cfg.Nodes, err.Error()}}
		}
		r.add(result)
	}
}

// share has worker processes simulate the seeds.
func (o *simOptions) share(ctx context.Context, r *simResult) error {
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	share := min(simShare, (o.seeds+uint64(o.workers)-1)/uint64(o.workers)) //nolint:gosec // positive
	var mu sync.Mutex
	var workers sync.WaitGroup
	var errs []error
	next := o.first
	for range o.workers {
		workers.Go(func() {
			for {
				mu.Lock()
				part := *o
				part.first, part.seeds = next, min(share, o.first+o.seeds-next)
				next += part.seeds
				mu.Unlock()
				if part.seeds == 0 || ctx.Err() != nil {
					return
				}
				found, err := part.worker(ctx, executable)
				mu.Lock()
				if err != nil {
					errs = append(errs, err)
				} else {
					r.add(found)
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	return errors.Join(errs...)
}

// worker runs the seeds in a process of their own.
func (o *simOptions) worker(ctx context.Context, executable string) (*simResult, error) {
	cmd := exec.CommandContext(ctx, executable, "sim", "--output", "json", "--workers", "1",
		"--seed", strconv.FormatUint(o.first, 10), "--seeds", strconv.FormatUint(o.seeds, 10),
		"--steps", strconv.Itoa(o.steps), "--nodes", strconv.Itoa(o.nodes), "--signed="+strconv.FormatBool(o.signed))
	cmd.Args[0] = "synod"
	var out, diagnostics bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diagnostics
	runErr := cmd.Run() // failed seeds are its exit code 1
	found := &simResult{}
	if err := json.Unmarshal(out.Bytes(), found); err != nil {
		return nil, fmt.Errorf("seeds %d to %d: %w: %s", o.first, o.first+o.seeds-1, errors.Join(runErr, err), diagnostics.Bytes())
	}
	return found, nil
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
		fmt.Fprintf(p.out, "%d entries committed; %d nodes took part, %d of them from a snapshot; %d writes and %d reads confirmed, %d writes lost before\n",
			r.Entries, r.Nodes, r.Snapshot, r.Writes, r.Reads, r.Lost)
		fmt.Fprintf(p.out, "%d times a node that was left behind went on after a snapshot\n", r.Overtaken)
	}
	if len(r.Failures) > 0 {
		return fmt.Errorf("%d of %d seeds failed", len(r.Failures), r.Seeds)
	}
	return nil
}
