package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"synod/internal/audit"
	"synod/internal/govaudit"
	"synod/internal/verdict"
)

// verifyLedger is audit.Directory, with the history of governance if wanted.
func verifyLedger(ctx context.Context, governance bool, dirs []string) (*audit.Report, *govaudit.Report, error) {
	if governance {
		return govaudit.Directory(ctx, dirs...)
	}
	report, err := audit.Directory(ctx, dirs...)
	return report, nil, err
}

// governanceError is what the findings come to, nil without any.
func governanceError(r *govaudit.Report) error {
	if r == nil || len(r.Findings) == 0 {
		return nil
	}
	first := r.Findings[0]
	hint := "each finding is listed; synod ledger show prints a transaction; docs/audit.md says what the kinds mean"
	if r.Count(govaudit.Violation) == 0 {
		return withHint(&unverified{fmt.Errorf("governance: %s cannot be judged, the first is %s: %s",
			counted(len(r.Findings), "transaction"), first.TxID, first.Text)}, hint)
	}
	return withHint(&unverified{fmt.Errorf("governance: %s, the first finding is at %s: %s",
		counted(r.Count(govaudit.Violation), "violation"), first.TxID, first.Text)}, hint)
}

// printHistory prints one line for each event, the findings under the one that
// they are of, and a summary.
func printHistory(w io.Writer, r *govaudit.Report) {
	findings := r.Findings
	for i, e := range r.Events {
		fmt.Fprintln(w, eventLine(e))
		last := i == len(r.Events)-1
		for len(findings) > 0 && (last || findings[0].TxID.SeqNo < r.Events[i+1].TxID.SeqNo) {
			printFinding(w, findings[0])
			findings = findings[1:]
		}
	}
	for _, f := range findings {
		printFinding(w, f)
	}
	fmt.Fprintf(w, "governance %s: %s (%d accepted), %s, %s, %s, %s\n",
		counted(r.Transactions, "transaction"), counted(r.Proposals, "proposal"), r.Accepted, counted(r.Ballots, "ballot"),
		counted(r.Withdrawals, "withdrawal"), counted(r.Acks, "acknowledgement"), counted(r.Recoveries, "recovery"))
	fmt.Fprintf(w, "findings   %s, %d that cannot be re-executed, %d of older kinds\n",
		counted(r.Count(govaudit.Violation), "violation"), r.Count(govaudit.NotReexecuted), r.Count(govaudit.Legacy))
}

func printFinding(w io.Writer, f govaudit.Finding) {
	fmt.Fprintf(w, "  !! %s %s: %s\n", f.TxID, f.Kind, oneLine(verdict.Printable([]byte(f.Text))))
}

// eventLine says when, who, and what.
func eventLine(e govaudit.Event) string {
	at, who := "-", "the service's nodes"
	if e.CreatedAt != 0 {
		at = time.Unix(int64(min(e.CreatedAt, 1<<40)), 0).UTC().Format(time.RFC3339) //nolint:gosec // bounded
	}
	if e.Member != "" {
		who = "member " + verdict.Printable([]byte(short(string(e.Member))))
		if len(e.MemberData) > 0 {
			who += " " + oneLine(verdict.Printable(e.MemberData))
		}
	}
	s := fmt.Sprintf("%-8s %-20s %s %s", e.TxID, at, who, e.What)
	if e.Vote != "" {
		s += " " + e.Vote
	}
	if e.Proposal != "" {
		s += " " + verdict.Printable([]byte(short(e.Proposal)))
	}
	if len(e.Actions) > 0 {
		s += ": " + oneLine(verdict.Printable([]byte(strings.Join(e.Actions, ", "))))
	}
	if e.State != "" {
		s += ", " + string(e.State)
	}
	if len(e.Tables) > 0 {
		names := make([]string, len(e.Tables))
		for i, n := range e.Tables {
			names[i] = verdict.Printable([]byte(strings.TrimPrefix(n, "public:")))
		}
		s += " → " + strings.Join(names, " ")
	}
	return s
}
