package conlint

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteText writes the report for people: who can pass what, what was found,
// and what was never reached.
func (r *Report) WriteText(w io.Writer) error {
	if len(r.Actions) > 0 {
		r.writeActions(w)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%s %s %s\n  %s\n  do: %s\n", f.Severity, f.ID, f.text(), f.What, f.Do)
	}
	if len(r.Findings) > 0 {
		fmt.Fprintln(w)
	}
	if len(r.Unreached) > 0 {
		fmt.Fprintf(w, "never reached, of %d functions and branches:\n", r.Branches)
		for _, u := range r.Unreached {
			fmt.Fprintf(w, "  %s: %s\n", u.text(), u.What)
		}
		fmt.Fprintln(w)
	}
	_, err := fmt.Fprintf(w, "%d actions; errors: %d, warnings: %d, notes: %d\n", len(r.Actions), r.Count(Error), r.Count(Warning), r.Count(Note))
	return err
}

// writeActions writes the table of who can pass what.
func (r *Report) writeActions(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ACTION\tVOTES OF 1, 3, 5\tALONE\tDECIDES")
	for _, a := range r.Actions {
		var votes []string
		for _, v := range a.Votes {
			if v.Needed == nil {
				votes = append(votes, "-")
			} else {
				votes = append(votes, fmt.Sprint(*v.Needed))
			}
		}
		needed := strings.Join(votes, " ")
		if a.Veto {
			needed += ", veto"
		}
		alone := strings.Join(a.Alone, ", ")
		if len(a.Alone) == len(r.Kinds) {
			alone = "anybody"
		}
		decides := orDash(strings.Join(a.Powers, ", "))
		if !a.Valid {
			decides = "(refused)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", a.label(), needed, orDash(alone), decides)
	}
	t.Flush()
	fmt.Fprintf(w, "\nproposers tried: %s\n\n", strings.Join(r.Kinds, "; "))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
