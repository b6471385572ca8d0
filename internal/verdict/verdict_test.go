package verdict_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"synod"
	"synod/internal/audit"
	"synod/internal/verdict"
	"synod/receipt"
)

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "cli", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Each forgery fails at the step that is about it; the steps after it are not
// reached.
func TestTheStepThatFailed(t *testing.T) {
	body, cert := read(t, "receipt-2.40.json"), read(t, "service-1_cert.pem")
	edit := func(from, to string) []byte {
		out := bytes.Replace(body, []byte(from), []byte(to), 1)
		if bytes.Equal(out, body) {
			t.Fatalf("the receipt has no %s", from)
		}
		return out
	}
	var parts struct {
		NodeID         string `json:"node_id"`
		LeafComponents struct {
			WriteSet string `json:"write_set_digest"`
		} `json:"leaf_components"`
	}
	if err := json.Unmarshal(body, &parts); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		body []byte
		opts receipt.Options
		step string // "" verifies
	}{
		{"good", body, receipt.Options{ServiceCert: cert}, ""},
		{"COSE", read(t, "cose_receipt-2.40.cbor"), receipt.Options{ServiceCert: cert}, ""},
		{"no JSON", []byte("{"), receipt.Options{ServiceCert: cert}, "the receipt can be read"},
		{"another write set", edit(parts.LeafComponents.WriteSet, "00"+parts.LeafComponents.WriteSet[2:]), receipt.Options{ServiceCert: cert}, "signature over the root"},
		{"another node", edit(parts.NodeID, "00"+parts.NodeID[2:]), receipt.Options{ServiceCert: cert}, "node ID is the hash of the signing key"},
		{"another service", body, receipt.Options{ServiceCert: read(t, "service-3_cert.pem")}, "the signer is endorsed by the service"},
		{"another transaction", body, receipt.Options{ServiceCert: cert, TxID: synod.TxID{View: 2, SeqNo: 41}}, "it is of what was expected"},
		{"no certificate", body, receipt.Options{ServiceCert: []byte("x")}, "the signer is endorsed by the service"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := verdict.VerifyReceipt(c.body, c.opts)
			if v.Verified != (c.step == "") || (err == nil) != v.Verified {
				t.Fatalf("verified %v, error %v", v.Verified, err)
			}
			failed := ""
			for _, s := range v.Steps {
				switch {
				case s.Result == verdict.Failed && failed == "":
					failed = s.Name
				case s.Result != verdict.OK && failed == "", s.Result != verdict.NotReached && failed != "":
					t.Errorf("step %q is %s", s.Name, s.Result)
				}
			}
			if failed != c.step {
				t.Errorf("failed at %q, want %q", failed, c.step)
			}
		})
	}
}

func TestLedgerOfAnotherService(t *testing.T) {
	dir := filepath.Join("..", "audit", "testdata", "ledger")
	report, err := audit.Directory(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := verdict.SameService(report, read(t, "service-3_cert.pem")); err != nil {
		t.Error(err)
	}
	var m *verdict.Mismatch
	if err := verdict.SameService(report, read(t, "service-1_cert.pem")); !errors.As(err, &m) || m.Hint == "" {
		t.Errorf("an earlier service's certificate: %v", err)
	}
	if err := verdict.Reaches(report, synod.TxID{View: report.Good.View, SeqNo: report.Good.SeqNo + 1}); !errors.As(err, &m) {
		t.Errorf("a ledger that is too short: %v", err)
	}
	if _, _, _, err := verdict.FindEntry(t.Context(), dir, report.Last.SeqNo+1); !errors.Is(err, verdict.ErrNoEntry) {
		t.Errorf("an entry that is not there: %v", err)
	}
	e, file, offset, err := verdict.FindEntry(t.Context(), dir, 40)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := verdict.ShowEntry(e, file, offset); err != nil || out.TransactionID != "2.40" {
		t.Errorf("%+v, %v", out, err)
	}
}
