package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"synod/internal/bench"
)

func newBench(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure a node on this machine",
		Long: `Starts services of one node from the binaries that make build leaves, loads them
over mutual TLS, and prints throughput, latency, processor time for each request
and commit latency beside the goals. Nothing is judged: client and node share
the machine, so compare processor time, not requests per second.`,
		Example: "  synod bench --duration 3s",
		Args:    args(cobra.NoArgs),
	}
	f := c.Flags()
	bin := f.String("bin", "", "directory of the binaries logging and synod-node (default: where this binary is)")
	duration := f.Duration("duration", 3*time.Second, "how long each load runs, 100ms to 10m")
	c.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if *duration < 100*time.Millisecond || *duration > 10*time.Minute {
			return usagef(cmd, "--duration %s: want 100ms to 10m", *duration)
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
		s := &bench.Suite{Out: env.Stdout, Bin: *bin, Duration: *duration, Scratch: scratch}
		return s.Run(cmd.Context())
	}
	return c
}
