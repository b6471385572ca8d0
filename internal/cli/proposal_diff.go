package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"synod/internal/propdiff"
)

func newProposalDiff(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "diff PROPOSAL|FILE",
		Short: "Show which rows of the tables a proposal would change",
		Long: `Runs the constitution in force on a copy of the service's tables, here and
without telling anybody, and shows what the proposal would change: one that the
service has, or one in a file. The copy is made of what the service answers, or
with --ledger of the service's own ledger files, which is complete.

The outcome holds for the tables as they are now.`,
		Example: "  synod proposal diff 5f3c…\n  synod proposal diff proposal.json --ledger ledger",
		Args:    args(cobra.ExactArgs(1)),
	}
	p, n := newPrinter(env, c), newConn(env, c)
	dirs := c.Flags().StringArray("ledger", nil, "take the tables from this ledger directory; may be repeated")
	c.RunE = func(cmd *cobra.Command, a []string) error {
		body, state, err := n.proposalAndState(env, cmd, a[0], *dirs)
		if err != nil {
			return err
		}
		preview, err := state.Preview(cmd.Context(), body)
		if errors.Is(err, propdiff.ErrRefused) && state.Partial {
			err = withHint(err, "the copy of the tables lacks what the service does not show; --ledger makes a complete one")
		}
		if err != nil {
			return err
		}
		if p.format == formatJSON {
			return p.json(previewOf(preview, state.Partial))
		}
		if state.Partial {
			fmt.Fprintln(env.Stderr, "note: made from what the service shows of its tables; --ledger would be complete")
		}
		return printPreview(p.out, preview)
	}
	return c
}

// proposalAndState gets the proposal and a copy of the tables.
func (n *conn) proposalAndState(env *Env, cmd *cobra.Command, arg string, dirs []string) ([]byte, *propdiff.State, error) {
	isID := len(arg) == 64 && strings.Trim(arg, "0123456789abcdef") == ""
	var body []byte
	if !isID {
		var err error
		if body, err = readInput(env, arg); err != nil {
			return nil, nil, fmt.Errorf("read proposal: %w", err)
		}
		if err := checkProposal(body); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", arg, err)
		}
	}
	if !isID && len(dirs) > 0 {
		state, err := propdiff.FromLedger(cmd.Context(), dirs...)
		return body, state, err
	}
	ctx, cl, done, err := n.dial(cmd.Context())
	if err != nil {
		return nil, nil, err
	}
	defer done()
	if isID {
		if body, err = cl.ProposalActions(ctx, arg); err != nil {
			return nil, nil, err
		}
	}
	if len(dirs) > 0 {
		state, err := propdiff.FromLedger(ctx, dirs...)
		return body, state, err
	}
	state, err := propdiff.FromService(ctx, cl.Governance)
	return body, state, err
}

// printPreview prints texts as unified differences, other values whole.
func printPreview(w io.Writer, preview *propdiff.Preview) error {
	table := ""
	for _, c := range preview.Changes {
		if c.Table != table {
			table = c.Table
			fmt.Fprintf(w, "%s\n", table)
		}
		switch key := keyText([]byte(c.Key)); {
		case c.Old == nil:
			fmt.Fprintf(w, "  + %s\n", key)
		case c.New == nil:
			fmt.Fprintf(w, "  - %s\n", key)
		default:
			fmt.Fprintf(w, "  ~ %s\n", key)
		}
		text := diff.Diff("now", textOf(c.Old), "then", textOf(c.New))
		lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
		for _, line := range lines[min(3, len(lines)):] { // after the names of the two sides
			fmt.Fprintf(w, "      %s\n", line)
		}
	}
	for _, e := range preview.Effects {
		fmt.Fprintf(w, "besides: %s\n", e)
	}
	if len(preview.Changes)+len(preview.Effects) == 0 {
		_, err := fmt.Fprintln(w, "nothing would change")
		return err
	}
	_, err := fmt.Fprintf(w, "%s would change\n", counted(len(preview.Changes), "row"))
	return err
}

// keyText is a key as a line of text; the key of a single value is 8 zeros.
func keyText(key []byte) string {
	if string(key) == strings.Repeat("\x00", 8) {
		return "(the value)"
	}
	if utf8.Valid(key) {
		return strings.Trim(fmt.Sprintf("%q", key), `"`)
	}
	return fmt.Sprintf("0x%x", key)
}

// textOf lays a value out in lines: JSON indented, a JSON text as the text
// that it holds, bytes in hex.
func textOf(value []byte) []byte {
	if value == nil {
		return nil
	}
	var v any
	if json.Unmarshal(value, &v) == nil {
		if s, ok := v.(string); ok {
			return []byte(strings.TrimRight(s, "\n") + "\n")
		}
		if out, err := json.MarshalIndent(v, "", "  "); err == nil {
			return append(out, '\n')
		}
	}
	if utf8.Valid(value) {
		return []byte(strings.TrimRight(string(value), "\n") + "\n")
	}
	return fmt.Appendf(nil, "0x%x\n", value)
}

// previewOf is the JSON form of a preview.
func previewOf(preview *propdiff.Preview, partial bool) any {
	type change struct {
		Table string  `json:"table"`
		Key   string  `json:"key"`
		Old   *string `json:"old"`
		New   *string `json:"new"`
	}
	text := func(b []byte) *string {
		if b == nil {
			return nil
		}
		s := string(b)
		if !utf8.Valid(b) {
			s = fmt.Sprintf("0x%x", b)
		}
		return &s
	}
	out := struct {
		Partial bool     `json:"partial"`
		Changes []change `json:"changes"`
		Effects []string `json:"effects"`
	}{partial, []change{}, append([]string{}, preview.Effects...)}
	for _, c := range preview.Changes {
		out.Changes = append(out.Changes, change{c.Table, keyText([]byte(c.Key)), text(c.Old), text(c.New)})
	}
	return out
}
