package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"synod"
	"synod/internal/ledger"
	"synod/internal/verdict"
)

func newLedgerExport(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "export DIR...",
		Short: "Write the entries of a ledger as JSON, one on each line",
		Long: `Writes the entries of a ledger as synod ledger show -o json has them, one on each
line: what each wrote to public tables, its digests, and the size of its private
part, which is encrypted. Name read-only ledger folders as well. Nothing is verified:
run synod ledger verify on the same folders.`,
		Example: "  synod ledger export workspace/0.ledger --table public:records --out records.jsonl",
		Args:    args(cobra.MinimumNArgs(1)),
	}
	from := c.Flags().Uint64("from", 1, "begin with this entry")
	to := c.Flags().Uint64("to", 0, "end with this entry; 0 for the last")
	named := c.Flags().StringArray("table", nil, "only what was written to this table; may be repeated")
	out := c.Flags().String("out", "", "write to this file instead of standard output")
	c.RunE = func(cmd *cobra.Command, dirs []string) error {
		e := exporter{from: synod.SeqNo(*from), to: synod.SeqNo(*to), tables: *named}
		if *out == "" {
			return ledgerError(e.run(cmd, dirs, env.Stdout))
		}
		f, err := os.OpenFile(*out, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		return ledgerError(errors.Join(e.run(cmd, dirs, f), f.Close()))
	}
	return c
}

// exporter says what is exported.
type exporter struct {
	from, to synod.SeqNo // 0: to the last
	tables   []string    // all if empty
}

// errEnough ends a walk.
var errEnough = errors.New("enough")

func (x *exporter) run(cmd *cobra.Command, dirs []string, out io.Writer) error {
	w := bufio.NewWriter(out)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	opts := ledger.WalkOptions{ReadOnlyDirs: dirs[1:], Uncommitted: true, Start: x.from}
	err := ledger.Walk(dirs[0], opts, func(at ledger.Place, e *ledger.Entry) error {
		if x.to != 0 && e.TxID.SeqNo > x.to {
			return errEnough
		}
		shown, err := verdict.ShowEntry(e, at.File, at.Offset)
		if err != nil {
			return err
		}
		if len(x.tables) > 0 {
			shown.Tables = slices.DeleteFunc(shown.Tables, func(m verdict.Map) bool { return !slices.Contains(x.tables, m.Name) })
			if len(shown.Tables) == 0 {
				return cmd.Context().Err()
			}
		}
		if err := encoder.Encode(shown); err != nil {
			return err
		}
		return cmd.Context().Err()
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	var bad *ledger.CorruptError
	if errors.As(err, &bad) && bad.Tail {
		err = nil // an entry that was not written to its end, as a crash leaves it
	}
	return errors.Join(err, w.Flush())
}
