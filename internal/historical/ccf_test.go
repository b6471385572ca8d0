package historical

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"synod"
	"synod/app"
	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/secrets"
	"synod/internal/secrets/secretstest"
	"synod/receipt"
)

// past is a History of a ledger that CCF wrote: one service, two recoveries.
type past struct {
	*History
	entries map[synod.SeqNo][]byte
	views   map[synod.SeqNo]synod.View
	last    synod.TxID // the last signature
	key     *ecdsa.PrivateKey
	cert    *x509.Certificate
}

func readFile(t testing.TB, path ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// latestSecret is that of the third life.
func latestSecret(t testing.TB) secrets.Entry {
	t.Helper()
	latest, stored := secretstest.CCF(t, "../secrets/testdata")
	last := stored[len(stored)-1]
	return secrets.Entry{From: synod.SeqNo(*last.Row.NextVersion), Secret: latest, StoredAt: last.At}
}

// ccfPast is the past as a fourth life of the service would read it, which knows
// the newest ledger secret and no other.
func ccfPast(t testing.TB) *past {
	t.Helper()
	p := &past{entries: map[synod.SeqNo][]byte{}, views: map[synod.SeqNo]synod.View{}}
	store := kv.New()
	err := ledger.Walk("../ledger/testdata/ledger", ledger.WalkOptions{Uncommitted: true}, func(_ ledger.Place, e *ledger.Entry) error {
		p.entries[e.TxID.SeqNo], p.views[e.TxID.SeqNo] = bytes.Clone(e.Raw), e.TxID.View
		maps, err := kv.DecodeDomain(e.PublicMaps, true)
		if err != nil {
			return err
		}
		if e.IsSignature() {
			p.last = e.TxID
		}
		return store.Commit(&kv.WriteSet{Maps: maps}, e.TxID)
	})
	if err != nil {
		t.Fatal(err)
	}
	if p.key, err = identity.NewKey(identity.Secp384r1); err != nil {
		t.Fatal(err)
	}
	der, err := identity.SelfSigned(p.key, identity.SelfSignedRequest{Subject: "CN=CCF Service", NotBefore: time.Now(), Days: 1})
	if err != nil {
		t.Fatal(err)
	}
	if p.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	chain := secrets.NewChain()
	chain.Add(latestSecret(t))
	p.History = New(Config{
		Entries: func(from, to synod.SeqNo, most int) ([][]byte, error) {
			var out [][]byte
			for s := from; s <= to && p.entries[s] != nil && (len(out) == 0 || most > 0); s++ {
				out, most = append(out, p.entries[s]), most-len(p.entries[s])
			}
			if out == nil {
				return nil, ledger.ErrNotFound
			}
			return out, nil
		},
		SignatureAfter: func(synod.SeqNo) (synod.SeqNo, bool) { return 0, false },
		ViewOf:         func(s synod.SeqNo) (synod.View, bool) { v, ok := p.views[s]; return v, ok },
		Status:         func(id synod.TxID) synod.TxStatus { return synod.StatusOf(id, p.views[id.SeqNo], p.last) },
		Committed:      func() synod.TxID { return p.last },
		Moved:          func() <-chan struct{} { return nil },
		Store:          store, Secrets: chain,
		Service: func() (*ecdsa.PrivateKey, *x509.Certificate) { return p.key, p.cert },
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return p
}

func txID(t testing.TB, s string) synod.TxID {
	t.Helper()
	id, err := synod.ParseTxID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (p *past) state(t testing.TB, id string) *app.State {
	t.Helper()
	for {
		s, err := p.State(txID(t, id))
		if errors.Is(err, app.ErrNotYet) {
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		return s
	}
}

func TestCCFStates(t *testing.T) {
	p := ccfPast(t)
	records := app.MapWith("records", app.JSONCodec[uint64](), app.JSONCodec[string]())
	for _, tc := range []struct {
		id  string
		key uint64
		msg string
	}{
		{"2.23", 100, "private record 0"}, // sealed with the first of four secrets
		{"6.148", 200, ""},
	} {
		s := p.state(t, tc.id)
		n := 0
		if err := records.ForEach(s, func(key uint64, msg string) bool {
			n++
			if tc.msg != "" && (key != tc.key || msg != tc.msg) {
				t.Errorf("%s: %d: %s", tc.id, key, msg)
			}
			return true
		}); err != nil || n != 1 || records.Len(s) != 1 {
			t.Errorf("%s: %d records, %v", tc.id, n, err)
		}
		if s.ID() != txID(t, tc.id) {
			t.Errorf("%s calls itself %s", tc.id, s.ID())
		}
	}
	// The whole ledger in one request.
	for {
		all, err := p.StateRange(1, 1, p.last.SeqNo, time.Minute)
		if errors.Is(err, app.ErrNotYet) {
			continue
		}
		if err != nil || len(all) != int(p.last.SeqNo) {
			t.Fatalf("%d of %s: %v", len(all), p.last, err)
		}
		break
	}
	if u := p.Usage(); u.States != int(p.last.SeqNo) || u.Requests != 3 || u.Bytes > u.Limit {
		t.Errorf("%+v", u)
	}
}

// TestCCFReceipts compares what we make of CCF's ledger with what CCF made.
func TestCCFReceipts(t *testing.T) {
	p := ccfPast(t)
	trusted := []byte(identity.CertPEM(p.cert.Raw))
	const dir = "../../receipt/testdata"
	names, err := filepath.Glob(dir + "/*.recovered2.*")
	if err != nil || len(names) < 20 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		base := filepath.Base(name)
		kind, rest, _ := strings.Cut(base, "-")
		id, _, ok := strings.Cut(rest, ".recovered2")
		if !ok {
			continue
		}
		proof, err := p.state(t, id).Proof()
		if err != nil && strings.HasPrefix(id, "6.") {
			continue // of the life whose key the test does not have
		}
		if err != nil {
			t.Fatalf("%s: %v", base, err)
		}
		want := readFile(t, name)
		switch kind {
		case "receipt":
			compareReceipts(t, base, txID(t, id), proof.Receipt, want, trusted)
		case "cose_receipt":
			if !bytes.Equal(proof.COSEReceipt, want) {
				t.Errorf("%s: %x, want %x", base, proof.COSEReceipt, want)
			}
		case "cose_endorsements":
			var list struct{ Endorsements [][]byte }
			if err := json.Unmarshal(want, &list); err != nil {
				t.Fatal(err)
			}
			if fmt.Sprintf("%x", proof.COSEEndorsements) != fmt.Sprintf("%x", list.Endorsements) {
				t.Errorf("%s: %d endorsements, want %d", base, len(proof.COSEEndorsements), len(list.Endorsements))
			}
		}
	}
}

// compareReceipts wants the same receipt but for the last endorsement, which a
// service makes anew, and wants it to verify.
func compareReceipts(t *testing.T, name string, id synod.TxID, got, want, trusted []byte) {
	t.Helper()
	ours, err := receipt.Parse(got)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	theirs, err := receipt.Parse(want)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if len(ours.ServiceEndorsements) != 1 || len(theirs.ServiceEndorsements) != 1 {
		t.Errorf("%s: %d endorsements, CCF has %d", name, len(ours.ServiceEndorsements), len(theirs.ServiceEndorsements))
	}
	o := receipt.Options{ServiceCert: trusted}
	if !ours.IsSignature() {
		o.TxID = id
	}
	if _, err := ours.Verify(o); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	ours.ServiceEndorsements, theirs.ServiceEndorsements = nil, nil
	a, _ := json.Marshal(ours)
	b, _ := json.Marshal(theirs)
	if !bytes.Equal(a, b) {
		t.Errorf("%s:\n%s\nCCF has\n%s", name, a, b)
	}
}

// TestChangedLedger changes each byte of a transaction and of the signature that
// covers it: every change is noticed.
func TestChangedLedger(t *testing.T) {
	p := ccfPast(t)
	for _, seqno := range []synod.SeqNo{23, 25} {
		clean := p.entries[seqno]
		for at := range clean {
			if seqno == 25 && at == 1 {
				continue // a signature's own flags: the next signature covers them, and nothing here depends on them
			}
			p.signatures = newSignatureCache()
			p.entries[seqno] = bytes.Clone(clean)
			p.entries[seqno][at] ^= 1 << (at % 8)
			if _, err := p.one(23); !errors.Is(err, ErrNotBelieved) {
				t.Fatalf("entry %d, byte %d changed: %v", seqno, at, err)
			}
		}
		p.entries[seqno] = clean
	}
	if _, err := p.one(23); err != nil {
		t.Fatal(err)
	}
}
