package cli

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"synod"
	"synod/internal/audit"
	"synod/internal/govaudit"
	"synod/internal/identity"
	"synod/internal/verdict"
)

func newLedger(env *Env) *cobra.Command {
	return newGroup("ledger", "Look at ledger files, and verify them",
		newLedgerLs(env), newLedgerShow(env), newLedgerTail(env), newLedgerVerify(env), newLedgerPrune(env),
		newLedgerDownload(env), newLedgerExport(env))
}

func newLedgerLs(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "ls DIR...",
		Short:   "List the files of a ledger",
		Long:    "Lists the files of a ledger by what their names say. Nothing is verified.",
		Example: "  synod ledger ls workspace/0.ledger",
		Args:    args(cobra.MinimumNArgs(1)),
	}
	p := newPrinter(env, c)
	c.RunE = func(_ *cobra.Command, dirs []string) error {
		chunks, skipped, err := audit.List(dirs...)
		if err != nil {
			return err
		}
		if chunks == nil {
			chunks = []audit.Chunk{}
		}
		rows := make([][]string, len(chunks))
		for i, ch := range chunks {
			last := "…"
			if ch.Last != 0 {
				last = strconv.FormatUint(uint64(ch.Last), 10)
			}
			rows[i] = []string{ch.File, strconv.FormatUint(uint64(ch.First), 10), last, strconv.FormatInt(ch.SizeBytes, 10), chunkState(ch)}
		}
		if err := p.table(chunks, []string{"file", "first", "last", "bytes", "state"}, rows); err != nil {
			return err
		}
		for _, s := range skipped {
			fmt.Fprintf(env.Stderr, "not part of the ledger: %s\n", s)
		}
		return nil
	}
	return c
}

func chunkState(ch audit.Chunk) string {
	state := "open"
	if ch.Committed {
		state = "committed"
	}
	if ch.Recovery {
		state += ", recovery"
	}
	return state
}

func newLedgerVerify(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "verify DIR...",
		Short: "Verify a ledger: every entry, root and signature",
		Long: `Replays the public part of a ledger from its first entry, rebuilds the Merkle
tree and checks every signature of nodes and service, and says where a recovery
from these files would continue. Name read-only ledger folders as well.

A last entry that was not written to its end, as a crash leaves it, is
reported and no failure. Exit code 3 means that the files were damaged or
changed; the message names file and offset.

Files alone cannot tell that whole entries were taken off their end, nor whose
service they are of: say with --contains what must be there, and with
--service-cert which service.

With --governance the history of governance is replayed as well: every signed
request of a member is verified and run again by the constitution in force, and
every write to a table of governance must follow from one, or be one that nodes
make by themselves. See docs/audit.md.`,
		Example: "  synod ledger verify workspace/0.ledger --service-cert service_cert.pem\n  synod ledger verify workspace/0.ledger --governance -o json",
		Args:    args(cobra.MinimumNArgs(1)),
	}
	p := newPrinter(env, c)
	cert := c.Flags().String("service-cert", env.Getenv("SYNOD_SERVICE_CERT"), "certificate that the ledger's service must have now, PEM (SYNOD_SERVICE_CERT)")
	contains := c.Flags().String("contains", "", "transaction that the ledger must reach, <view>.<seqno>, for instance that of a receipt")
	governance := c.Flags().Bool("governance", false, "also replay the history of governance")
	c.RunE = func(cmd *cobra.Command, dirs []string) error {
		var least synod.TxID
		if *contains != "" {
			var err error
			if least, err = synod.ParseTxID(*contains); err != nil {
				return usagef(cmd, "--contains: %w", err)
			}
		}
		var want []byte
		if *cert != "" {
			var err error
			if want, err = serviceCertificate(*cert); err != nil {
				return err
			}
		}
		report, history, err := verifyLedger(cmd.Context(), *governance, dirs)
		if report == nil {
			return err
		}
		if err == nil && want != nil {
			err = verdict.SameService(report, want)
		}
		if err == nil {
			err = verdict.Reaches(report, least)
		}
		if err == nil {
			err = governanceError(history)
		}
		if perr := printReport(p, report, history, err); perr != nil {
			return perr
		}
		if err == nil && *contains != "" && p.format != formatJSON {
			fmt.Fprintf(p.out, "contains  %s\n", least)
		}
		return ledgerError(err)
	}
	return c
}

// ledgerError gives damage its exit code and its hint.
func ledgerError(err error) error {
	if hint, ok := verdict.LedgerHint(err); ok {
		return withHint(&unverified{err}, hint)
	}
	return err
}

// serviceCertificate reads a certificate that a ledger is compared with.
func serviceCertificate(file string) ([]byte, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read service certificate: %w", err)
	}
	if _, err := identity.ParseCertPEM(b); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return b, nil
}

func printReport(p *printer, r *audit.Report, history *govaudit.Report, err error) error {
	if p.format == formatJSON {
		return p.json(struct {
			Verified bool `json:"verified"`
			*audit.Report
			Governance *govaudit.Report `json:"governance,omitempty"`
		}{err == nil, r, history})
	}
	w := p.out
	if history != nil {
		printHistory(w, history)
	}
	if err == nil {
		fmt.Fprintf(w, "verified: %s in %s, %d bytes, %s (%d by the service)\n",
			counted(r.Entries, "entry"), counted(len(r.Chunks), "file"), r.SizeBytes, counted(r.Signatures, "signature"), r.COSESignatures)
	} else {
		fmt.Fprintf(w, "NOT verified: read %s in %s\n", counted(r.Entries, "entry"), counted(len(r.Chunks), "file"))
	}
	for _, s := range r.Services {
		fmt.Fprintf(w, "service   from %-8s %s, key %s\n", s.Since, s.Status, short(s.KeyID))
	}
	if r.Cut == nil {
		fmt.Fprintln(w, "good      nothing: no signature verified")
	} else {
		fmt.Fprintf(w, "good      up to %s, the last signature that verified and that the service stands behind\n", r.Good)
		if r.Cut.Dropped == 0 && r.Torn == nil {
			fmt.Fprintf(w, "recovery  nothing to cut: would go on after %s\n", r.Good)
		} else {
			fmt.Fprintf(w, "recovery  would cut %s at offset %d, dropping %s after %s\n", r.Cut.File, r.Cut.Offset, counted(r.Cut.Dropped, "entry"), r.Good)
		}
	}
	if r.Torn != nil {
		fmt.Fprintf(w, "torn      %s at offset %d: %d bytes of an entry that was not written to its end\n", r.Torn.File, r.Torn.Offset, r.Torn.SizeBytes)
	}
	return nil
}

func newLedgerShow(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "show DIR TRANSACTION|SEQNO",
		Short: "Show one entry: its header and what it wrote to public tables",
		Long: `Shows one entry of a ledger. Private tables are encrypted; only the size of
their part is shown. Nothing is verified.`,
		Example: "  synod ledger show workspace/0.ledger 2.17\n  synod ledger show workspace/0.ledger 17 -o json",
		Args:    args(cobra.ExactArgs(2)),
	}
	p := newPrinter(env, c)
	raw := c.Flags().String("raw", "", "also write the entry's bytes to this file, for synod receipt verify --entry")
	c.RunE = func(cmd *cobra.Command, a []string) error {
		seqno, want, err := seqnoOf(a[1])
		if err != nil {
			return usagef(cmd, "%w", err)
		}
		e, file, offset, err := verdict.FindEntry(cmd.Context(), a[0], seqno)
		if errors.Is(err, verdict.ErrNoEntry) {
			return withHint(err, "list the files with synod ledger ls "+a[0])
		}
		if err != nil {
			return ledgerError(err)
		}
		if !want.IsZero() && e.TxID != want {
			return fmt.Errorf("entry %d of this ledger is transaction %s, not %s", seqno, e.TxID, want)
		}
		if *raw != "" {
			if err := writeFile(*raw, e.Raw); err != nil {
				return err
			}
		}
		out, err := verdict.ShowEntry(e, file, offset)
		if err != nil {
			return ledgerError(err)
		}
		return printEntry(p, out)
	}
	return c
}

func seqnoOf(s string) (synod.SeqNo, synod.TxID, error) {
	if strings.Contains(s, ".") {
		id, err := synod.ParseTxID(s)
		return id.SeqNo, id, err
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 {
		return 0, synod.TxID{}, fmt.Errorf("%q: want a transaction like 2.17, or its number", s)
	}
	return synod.SeqNo(n), synod.TxID{}, nil
}

func printEntry(p *printer, out *verdict.Entry) error {
	if p.format == formatJSON {
		return p.json(out)
	}
	w := p.out
	fmt.Fprintf(w, "transaction %s at %s offset %d, %d bytes (%d private), flags %d, type %d\n", out.TransactionID, out.File, out.Offset,
		out.SizeBytes, out.PrivateBytes, out.Flags, out.Type)
	fmt.Fprintf(w, "leaf        %s\nwrite set   %s\nclaims      %s\n", out.Leaf, out.WriteSet, out.ClaimsDigest)
	for _, m := range out.Tables {
		fmt.Fprintln(w, m.Name)
		for _, wr := range m.Writes {
			fmt.Fprintf(w, "  %s = %s\n", wr.Key, oneLine(wr.Text()))
		}
		for _, k := range m.Removes {
			fmt.Fprintf(w, "  %s removed\n", k)
		}
	}
	return nil
}

// oneLine cuts long values of a table for the screen; -o json shows them whole.
func oneLine(s string) string {
	const shownMax = 160 // runes
	s = strings.NewReplacer("\r", `\r`, "\n", `\n`).Replace(s)
	if r := []rune(s); len(r) > shownMax {
		return string(r[:shownMax]) + "…"
	}
	return s
}
