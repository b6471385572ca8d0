package cli

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"synod/internal/unittest"
)

func newAppTest(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "test [DIR]",
		Short: "Run an application's unit tests",
		Long: `Runs src/**/*.test.ts, src/**/*.test.js and what is in test/, in this process, on
the engine and the key-value store of a node. A test declares itself with
describe and test, calls the application's endpoints with app.get, app.post, …
and compares with expect; ccf.kv is the test's own store. Each test begins with
an empty one. Exit code 1 means that a test failed.`,
		Example: "  synod app test examples/logging-ts --filter record",
		Args:    args(cobra.MaximumNArgs(1)),
	}
	p := newPrinter(env, c)
	filter := c.Flags().String("filter", "", "regular expression of the tests to run")
	c.RunE = func(cmd *cobra.Command, a []string) error {
		dir := "."
		if len(a) == 1 {
			dir = a[0]
		}
		opts := unittest.Options{Log: slog.New(&scriptPrinter{env: env})}
		if *filter != "" {
			var err error
			if opts.Filter, err = regexp.Compile(*filter); err != nil {
				return usagef(cmd, "--filter: %w", err)
			}
		}
		if p.format == formatTable {
			opts.Done = func(r unittest.Result) { printTest(p, r) }
		}
		began := time.Now()
		results, err := unittest.Run(cmd.Context(), dir, opts)
		if err != nil {
			return err
		}
		return summary(p, results, time.Since(began))
	}
	return c
}

func printTest(p *printer, r unittest.Result) {
	word := "ok  "
	if r.Failure != "" {
		word = "FAIL"
	}
	fmt.Fprintf(p.out, "%s %s: %s (%d ms)\n", word, r.File, r.Name, r.Took.Milliseconds())
	if r.Failure != "" {
		fmt.Fprintf(p.out, "     %s\n%s", r.Failure, r.Trace)
	}
}

func summary(p *printer, results []unittest.Result, took time.Duration) error {
	failed := 0
	for _, r := range results {
		if r.Failure != "" {
			failed++
		}
	}
	if p.format == formatJSON {
		if results == nil {
			results = []unittest.Result{}
		}
		if err := p.json(results); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(p.out, "%d passed, %d failed (%d ms)\n", len(results)-failed, failed, took.Milliseconds())
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d tests failed", failed, len(results))
	}
	return nil
}

// scriptPrinter is a log that shows only what scripts print.
type scriptPrinter struct{ env *Env }

// Enabled takes everything.
func (*scriptPrinter) Enabled(context.Context, slog.Level) bool { return true }

// Handle prints the record's text.
func (h *scriptPrinter) Handle(_ context.Context, r slog.Record) error {
	_, err := fmt.Fprintf(h.env.Stderr, "console: %s\n", strings.TrimRight(r.Message, "\n"))
	return err
}

// WithAttrs drops the attributes.
func (h *scriptPrinter) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup drops the group.
func (h *scriptPrinter) WithGroup(string) slog.Handler { return h }
