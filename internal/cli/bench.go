package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"synod/internal/bench"
)

func newBench(env *Env) *cobra.Command {
	names, about := bench.Sections()
	long := `Starts services of one and three nodes from the binaries that make build leaves,
loads them over mutual TLS, and prints throughput, latency, processor time for
each request and commit latency beside the goals; with -o json, the figures alone,
the tables going to standard error. Nothing is judged: clients and
nodes share the machine, so compare processor time, not requests per second.
If etcd-bench, which tools/bench makes, is among the binaries, an etcd server
runs beside. Sections for --only:
`
	for i, name := range names {
		long += fmt.Sprintf("\n  %-9s %s", name, about[i])
	}
	c := &cobra.Command{
		Use:     "bench",
		Short:   "Measure services on this machine",
		Long:    long,
		Example: "  synod bench --duration 3s\n  synod bench --only three,durable\n  synod bench --only memory --transactions 10000000",
		Args:    args(cobra.NoArgs),
	}
	p := newPrinter(env, c)
	f := c.Flags()
	bin := f.String("bin", "", "directory of the binaries logging and synod-node (default: where this binary is)")
	duration := f.Duration("duration", 3*time.Second, "how long each load runs, 100ms to 10m")
	only := f.StringSlice("only", nil, "sections to run, separated by commas (default: all)")
	transactions := f.Int("transactions", bench.DefaultTransactions, "how many the section memory writes, 1000 to 100000000")
	c.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if *duration < 100*time.Millisecond || *duration > 10*time.Minute {
			return usagef(cmd, "--duration %s: want 100ms to 10m", *duration)
		}
		if *transactions < 1000 || *transactions > 100_000_000 {
			return usagef(cmd, "--transactions %d: want 1000 to 100000000", *transactions)
		}
		for _, name := range *only {
			if !slices.Contains(names, name) {
				return usagef(cmd, "--only %s: want one or more of %s", name, strings.Join(names, ", "))
			}
		}
		if *bin == "" {
			executable, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find the binaries: %w", err)
			}
			*bin = filepath.Dir(executable)
		}
		scratch, err := os.MkdirTemp("", "synod-bench")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
		s := &bench.Suite{Out: env.Stdout, Bin: *bin, Duration: *duration, Scratch: scratch, Only: *only, Transactions: *transactions}
		if p.format == formatTable {
			return s.Run(cmd.Context())
		}
		s.Out = env.Stderr
		if err := s.Run(cmd.Context()); err != nil {
			return err
		}
		return p.json(benchResult{duration.Seconds(), s.Figures})
	}
	return c
}

// benchResult is the JSON of synod bench.
type benchResult struct {
	Seconds float64        `json:"load_seconds"` // how long each load ran
	Figures []bench.Figure `json:"figures"`
}
