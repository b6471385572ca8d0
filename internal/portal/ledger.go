package portal

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"synod"
	"synod/internal/arm"
	"synod/internal/audit"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/verdict"
)

// ledgerRowsMax is how many entries of a ledger are answered at once.
const ledgerRowsMax = 200

// ledgerRow is one entry in a list of them.
type ledgerRow struct {
	TxID      synod.TxID `json:"tx"`
	SizeBytes int        `json:"size"`
	Private   int        `json:"private"` // bytes that only the service can read
	Signature bool       `json:"sig"`
	Tables    []string   `json:"tables"`
}

// ledgerDir is where a node of the network keeps its ledger on this machine:
// the primary's if it has one.
func (p *Portal) ledgerDir(n arm.Network) (string, error) {
	best := ""
	for _, s := range n.Status.Nodes {
		if p.c.Ledger == nil || best != "" && s.Role != arm.RolePrimary {
			continue
		}
		dir := p.c.Ledger(n.ID.Name, s.Ordinal)
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			best = dir
		}
	}
	if best == "" {
		return "", &problem{http.StatusNotFound, "NoLedger", "No ledger of this network is on the control plane's machine."}
	}
	return best, nil
}

// ledger lists entries, newest first, before a sequence number, and the chunks
// that there are. It judges nothing: verification is the browser's.
func (p *Portal) ledger(w http.ResponseWriter, r *http.Request) error {
	n, err := p.named(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	dir, err := p.ledgerDir(n)
	if err != nil {
		return err
	}
	chunks, _, err := audit.List(dir)
	if err != nil {
		return err
	}
	before, _ := strconv.ParseUint(r.URL.Query().Get("before"), 10, 63) // 0 is the end
	rows := []ledgerRow{}
	for i := len(chunks) - 1; i >= 0 && len(rows) < ledgerRowsMax; i-- {
		if c := chunks[i]; before == 0 || uint64(c.First) < before {
			rows = append(rows, rowsOf(c, before, ledgerRowsMax-len(rows))...)
		}
	}
	for i := range chunks {
		chunks[i].File = filepath.Base(chunks[i].File)
	}
	return answer(w, map[string]any{"rows": rows, "chunks": chunks})
}

// rowsOf are the last entries of a chunk before a sequence number, newest
// first. What is torn or being written ends the list.
func rowsOf(c audit.Chunk, before uint64, most int) []ledgerRow {
	f, err := os.Open(c.File)
	if err != nil {
		return nil // renamed in between
	}
	defer f.Close()
	s, err := ledger.NewScanner(f, c.SizeBytes, c.First)
	if err != nil {
		return nil
	}
	var rows []ledgerRow
	for {
		e, err := s.Next()
		if err != nil || before > 0 && uint64(e.TxID.SeqNo) >= before {
			break
		}
		row := ledgerRow{TxID: e.TxID, SizeBytes: len(e.Raw), Private: len(e.Cipher), Signature: e.IsSignature(), Tables: []string{}}
		if maps, err := kv.DecodeDomain(e.PublicMaps, true); err == nil {
			for _, m := range maps {
				row.Tables = append(row.Tables, m.Name)
			}
		}
		if rows = append(rows, row); len(rows) > most {
			rows = rows[1:]
		}
	}
	for i, j := 0, len(rows)-1; i < j; i, j = i+1, j-1 {
		rows[i], rows[j] = rows[j], rows[i]
	}
	return rows
}

// ledgerEntry shows one entry as `synod ledger show -o json` does.
func (p *Portal) ledgerEntry(w http.ResponseWriter, r *http.Request) error {
	n, err := p.named(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	dir, err := p.ledgerDir(n)
	if err != nil {
		return err
	}
	seqno, err := strconv.ParseUint(r.PathValue("seqno"), 10, 63)
	if err != nil || seqno == 0 {
		return &problem{http.StatusBadRequest, "InvalidInput", "Name an entry by its number, from 1."}
	}
	e, file, offset, err := verdict.FindEntry(r.Context(), dir, synod.SeqNo(seqno))
	if errors.Is(err, verdict.ErrNoEntry) {
		return &problem{http.StatusNotFound, "NoEntry", "The ledger on this machine has no such entry."}
	}
	if err != nil {
		return err
	}
	shown, err := verdict.ShowEntry(e, filepath.Base(file), offset)
	if err != nil {
		return err
	}
	return answer(w, shown)
}

// chunk is a ledger file as it is, for verification in the browser.
func (p *Portal) chunk(w http.ResponseWriter, r *http.Request) error {
	n, err := p.named(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	dir, err := p.ledgerDir(n)
	if err != nil {
		return err
	}
	name := r.PathValue("file")
	if parsed, ok := ledger.ParseName(name); !ok || parsed.Ignored || filepath.Base(name) != name {
		return errNoSuchPage
	}
	f, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, os.ErrNotExist) {
		return errNoSuchPage
	}
	if err != nil {
		return err
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = io.Copy(w, f)
	return nil
}
