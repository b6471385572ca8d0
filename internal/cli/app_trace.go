package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"synod/internal/sourcemap"
)

// traceMax bounds the text of a trace, in bytes: a service's error is far
// smaller.
const traceMax = 1 << 20

func newAppTrace(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "trace DIR [FILE|-]",
		Short: "Show a script's stack trace in lines of its sources",
		Long: `Reads a stack trace, or an error that a service answered with one, from FILE or
standard input, and prints it with the lines of the sources in DIR instead of
those of the bundle. The sources must be those that were deployed: see
synod app diff.`,
		Example: "  curl … | synod app trace examples/logging-ts",
		Args:    args(cobra.RangeArgs(1, 2)),
		RunE: func(_ *cobra.Command, a []string) error {
			_, res, err := buildApp(env.Stderr, a[0])
			if err != nil {
				return err
			}
			m, err := sourcemap.New(res.Bundle.Texts(), res.SourceMaps)
			if err != nil {
				return err
			}
			in := env.Stdin
			if len(a) == 2 && a[1] != "-" {
				f, err := os.Open(a[1])
				if err != nil {
					return fmt.Errorf("read trace: %w", err)
				}
				defer f.Close()
				in = f
			}
			text, err := io.ReadAll(io.LimitReader(in, traceMax))
			if err != nil {
				return fmt.Errorf("read trace: %w", err)
			}
			_, err = fmt.Fprint(env.Stdout, m.Trace(tracesOf(text)))
			return err
		},
	}
}

// tracesOf is the text to map: what an error body says of exceptions, or all
// of it.
func tracesOf(text []byte) string {
	var body struct {
		Error struct {
			Details []struct{ Message, Trace string } `json:"details"`
		} `json:"error"`
	}
	if json.Unmarshal(text, &body) != nil {
		return string(text)
	}
	traces := ""
	for _, d := range body.Error.Details {
		traces += d.Message + "\n" + d.Trace
	}
	if traces == "" {
		return string(text)
	}
	return traces
}
