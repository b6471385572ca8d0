package cli

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"synod"
	"synod/internal/audit"
	"synod/internal/govaudit"
	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/ledger"
)

func newLedger(env *Env) *cobra.Command {
	return newGroup("ledger", "Look at ledger files, and verify them",
		newLedgerLs(env), newLedgerShow(env), newLedgerTail(env), newLedgerVerify(env), newLedgerPrune(env))
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
		var want string
		if *cert != "" {
			var err error
			if want, err = serviceKeyID(*cert); err != nil {
				return err
			}
		}
		report, history, err := verifyLedger(cmd.Context(), *governance, dirs)
		if report == nil {
			return err
		}
		if err == nil && want != "" {
			err = sameService(report, want)
		}
		if err == nil && report.Good.SeqNo < least.SeqNo {
			err = withHint(&unverified{fmt.Errorf("the ledger is signed up to %s only, before %s", report.Good, least)},
				"entries at its end were taken away, or this is an older copy")
		}
		if err == nil {
			err = governanceError(history)
		}
		if perr := printReport(p, report, history, err); perr != nil {
			return perr
		}
		return ledgerError(err)
	}
	return c
}

// ledgerError gives damage its exit code and its hint.
func ledgerError(err error) error {
	var bytesError *ledger.CorruptError
	var entryError *audit.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &bytesError):
		return withHint(&unverified{err}, bytesError.Hint)
	case errors.As(err, &entryError):
		return withHint(&unverified{err}, entryError.Hint())
	}
	return err
}

func serviceKeyID(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read service certificate: %w", err)
	}
	cert, err := identity.ParseCertPEM(b)
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	return identity.ServiceKID(cert.PublicKey), nil
}

func sameService(r *audit.Report, keyID string) error {
	for i, s := range r.Services {
		if s.KeyID != keyID {
			continue
		}
		if i == len(r.Services)-1 {
			return nil
		}
		return withHint(&unverified{fmt.Errorf("the certificate is that of an earlier service, from %s to %s", s.Since, r.Services[i+1].Since)},
			"the service was recovered since: use the present certificate")
	}
	return withHint(&unverified{errors.New("the certificate is not of this ledger's service")}, "this is another service's ledger or certificate")
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
		fmt.Fprintf(w, "verified: %d entries in %d files, %d bytes, %d signatures (%d by the service)\n",
			r.Entries, len(r.Chunks), r.SizeBytes, r.Signatures, r.COSESignatures)
	} else {
		fmt.Fprintf(w, "NOT verified: read %d entries in %d files\n", r.Entries, len(r.Chunks))
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
			fmt.Fprintf(w, "recovery  would cut %s at offset %d, dropping %d entries after %s\n", r.Cut.File, r.Cut.Offset, r.Cut.Dropped, r.Good)
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
		e, file, offset, err := findEntry(cmd.Context(), a[0], seqno)
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
		maps, err := kv.DecodeDomain(e.PublicMaps, true)
		if err != nil {
			return ledgerError(&ledger.CorruptError{File: file, Offset: offset, SeqNo: seqno, Reason: err.Error()})
		}
		return printEntry(p, e, maps, file, offset)
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

// findEntry reads one entry, walking the chunk that it is in.
func findEntry(ctx context.Context, dir string, seqno synod.SeqNo) (*ledger.Entry, string, int64, error) {
	chunks, _, err := audit.List(dir)
	if err != nil {
		return nil, "", 0, err
	}
	for i := len(chunks) - 1; i >= 0; i-- {
		c := chunks[i]
		if c.First > seqno || c.Last != 0 && c.Last < seqno {
			continue
		}
		f, err := os.Open(c.File)
		if err != nil {
			return nil, "", 0, fmt.Errorf("open chunk: %w", err)
		}
		defer f.Close()
		s, err := ledger.NewScanner(f, c.SizeBytes, c.First)
		for err == nil && ctx.Err() == nil {
			at := s.Offset()
			var e *ledger.Entry
			if e, err = s.Next(); err == nil && e.TxID.SeqNo == seqno {
				return e, c.File, at, nil
			}
		}
		var bad *ledger.CorruptError
		if errors.As(err, &bad) && bad.File == "" {
			bad.File = c.File
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, "", 0, err
		}
		break
	}
	return nil, "", 0, withHint(fmt.Errorf("no entry %d in %s", seqno, dir), "list the files with synod ledger ls "+dir)
}

// shownEntry is an entry as show prints it.
type shownEntry struct {
	TransactionID string     `json:"transaction_id"`
	File          string     `json:"file"`
	Offset        int64      `json:"offset"`
	SizeBytes     int        `json:"size_bytes"`
	Flags         byte       `json:"flags"`
	Type          byte       `json:"type"`
	Signature     bool       `json:"signature"`
	PrivateBytes  int        `json:"private_bytes"`
	ClaimsDigest  string     `json:"claims_digest"`
	WriteSet      string     `json:"write_set_digest"`
	Leaf          string     `json:"leaf"`
	Tables        []shownMap `json:"tables"`
}

type shownMap struct {
	Name    string       `json:"name"`
	Writes  []shownWrite `json:"writes"`
	Removes []string     `json:"removes"`
}

type shownWrite struct {
	Key   string `json:"key"`
	Value any    `json:"value"` // the JSON that it is, else text, else hex:…
}

func printEntry(p *printer, e *ledger.Entry, maps []kv.MapWrites, file string, offset int64) error {
	digest, leaf := e.WriteSetDigest(), e.Leaf()
	out := shownEntry{
		TransactionID: e.TxID.String(), File: file, Offset: offset, SizeBytes: len(e.Raw), Flags: e.Flags,
		Type: byte(e.Type), Signature: e.IsSignature(), PrivateBytes: len(e.Cipher),
		ClaimsDigest: hex.EncodeToString(e.Claims[:]), WriteSet: hex.EncodeToString(digest[:]), Leaf: hex.EncodeToString(leaf[:]),
		Tables: []shownMap{},
	}
	for _, m := range maps {
		shown := shownMap{Name: m.Name, Writes: []shownWrite{}, Removes: []string{}}
		for _, w := range m.Writes {
			shown.Writes = append(shown.Writes, shownWrite{printable(w.Key), value(w.Value)})
		}
		for _, k := range m.Removes {
			shown.Removes = append(shown.Removes, printable(k))
		}
		out.Tables = append(out.Tables, shown)
	}
	if p.format == formatJSON {
		return p.json(out)
	}
	w := p.out
	fmt.Fprintf(w, "transaction %s at %s offset %d, %d bytes (%d private), flags %d, type %d\n", out.TransactionID, file, offset,
		out.SizeBytes, out.PrivateBytes, out.Flags, out.Type)
	fmt.Fprintf(w, "leaf        %s\nwrite set   %s\nclaims      %s\n", out.Leaf, out.WriteSet, out.ClaimsDigest)
	for _, m := range maps {
		fmt.Fprintln(w, m.Name)
		for _, wr := range m.Writes {
			fmt.Fprintf(w, "  %s = %s\n", printable(wr.Key), oneLine(printable(wr.Value)))
		}
		for _, k := range m.Removes {
			fmt.Fprintf(w, "  %s removed\n", printable(k))
		}
	}
	return nil
}

// printable is text as it is, anything else as hex:….
func printable(b []byte) string {
	if !utf8.Valid(b) {
		return "hex:" + hex.EncodeToString(b)
	}
	for _, r := range string(b) {
		if r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0x7f {
			return "hex:" + hex.EncodeToString(b)
		}
	}
	return string(b)
}

func value(b []byte) any {
	if json.Valid(b) {
		return json.RawMessage(b)
	}
	return printable(b)
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
