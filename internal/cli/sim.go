package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"synod/internal/sim"
	"synod/internal/sim/life"
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
	Lives     *life.Result `json:"lives,omitempty"`
	// Changed is what became of the files of a small service.
	Changed  map[string]life.Changed `json:"changed,omitempty"`
	Failures []simFailure            `json:"failures"`
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
	if o.Lives != nil {
		if r.Lives == nil {
			r.Lives = &life.Result{}
		}
		r.Lives.Add(*o.Lives)
	}
	if o.Changed != nil {
		r.Changed = o.Changed
	}
}

// simOptions are the flags of synod sim.
type simOptions struct {
	first, seeds  uint64
	steps, nodes  int
	signed, trace bool
	life          bool
	bytes         int
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
With --life each seed is the life of one node from its service's first transaction
on, through snapshots, rekeys and recoveries, which is killed at a step of its
disk, again and again: it comes back to the last committed signature or says why not.
Exit code 1 means that a seed failed.`,
		Example: "  synod sim --seeds 1000 --steps 2000\n  synod sim --life --seeds 10000",
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
	f.BoolVar(&o.life, "life", false, "kill a service of one node at the steps of its disk, and have it come back")
	f.IntVar(&o.bytes, "bytes", 0, "with --life: change each Nth byte of a small ledger and a small snapshot, too; 1 is all, which takes a minute")
	f.BoolVar(&o.trace, "trace", false, "show what happens; for one seed")
	f.IntVar(&o.workers, "workers", runtime.NumCPU(), "processes that share the seeds")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		const nodesMax = 9
		if o.nodes < 0 || o.nodes > nodesMax || o.steps < 0 || o.seeds == 0 || o.workers < 1 {
			return usagef(cmd, "--nodes is 0 to %d, --steps, --seeds and --workers are positive", nodesMax)
		}
		if o.bytes < 0 || o.bytes > 0 && !o.life {
			return usagef(cmd, "--bytes is positive, and goes with --life")
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
		if o.bytes > 0 {
			o.change(r)
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
	if o.life {
		o.live(ctx, p, r)
		return
	}
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

// live is run for lives of one node.
func (o *simOptions) live(ctx context.Context, p *printer, r *simResult) {
	for seed := o.first; seed < o.first+o.seeds && ctx.Err() == nil; seed++ {
		cfg := life.Config{Seed: seed}
		if o.trace {
			cfg.Trace = func(format string, a ...any) { fmt.Fprintf(p.out, format+"\n", a...) }
		}
		one, err := life.Run(cfg)
		result := &simResult{Seeds: 1, Entries: uint64(one.Entries), Nodes: 1, Lives: &one} //nolint:gosec // positive
		if err != nil {
			result.Failures = []simFailure{{seed, 1, err.Error()}}
		}
		r.add(result)
	}
}

// change changes bytes of a small service's files.
func (o *simOptions) change(r *simResult) {
	r.Changed = map[string]life.Changed{}
	for name, change := range map[string]func(int) (life.Changed, error){"ledger": life.ChangeLedger, "snapshot": life.ChangeSnapshot} {
		c, err := change(o.bytes)
		r.Changed[name] = c
		if err != nil {
			r.Failures = append(r.Failures, simFailure{0, 1, err.Error()})
		}
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
		"--steps", strconv.Itoa(o.steps), "--nodes", strconv.Itoa(o.nodes), "--signed="+strconv.FormatBool(o.signed), "--life="+strconv.FormatBool(o.life))
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
		if l := r.Lives; l != nil {
			fmt.Fprintf(p.out, "%d lives in %.1f s, %d failed\n", r.Seeds, r.Seconds, len(r.Failures))
			fmt.Fprintf(p.out, "killed %d times; came back by shares %d times, from what was sealed %d times, %d times with a snapshot; said why not %d times\n",
				l.Kills, l.Recovered, l.Resumed, l.Snapshots, l.Refused)
			for _, name := range slices.Sorted(maps.Keys(r.Changed)) {
				c := r.Changed[name]
				fmt.Fprintf(p.out, "%s: %d changes, %d detected, %d harmless, %d left a shorter one\n", name, c.Tried, c.Detected, c.Harmless, c.Shorter)
			}
			return r.failed()
		}
		fmt.Fprintf(p.out, "%d seeds of %d steps in %.1f s, %d failed\n", r.Seeds, r.Steps, r.Seconds, len(r.Failures))
		fmt.Fprintf(p.out, "%d entries committed; %d nodes took part, %d of them from a snapshot; %d writes and %d reads confirmed, %d writes lost before\n",
			r.Entries, r.Nodes, r.Snapshot, r.Writes, r.Reads, r.Lost)
		fmt.Fprintf(p.out, "%d times a node that was left behind went on after a snapshot\n", r.Overtaken)
	}
	return r.failed()
}

func (r *simResult) failed() error {
	if len(r.Failures) > 0 {
		return fmt.Errorf("%d of %d seeds failed", len(r.Failures), r.Seeds)
	}
	return nil
}
