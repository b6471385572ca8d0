package snapshot

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"synod"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/secrets"
	"synod/internal/secrets/secretstest"
	"synod/internal/tables"
	"synod/receipt"
)

// A vector is a snapshot that CCF made.
type vector struct {
	name    ledger.SnapshotName
	file    []byte
	service []byte // PEM of the service then
}

func readFile(t testing.TB, path ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func vectors(t testing.TB) []vector {
	t.Helper()
	paths, err := filepath.Glob("../ledger/testdata/snapshots/*")
	if err != nil || len(paths) != 7 {
		t.Fatalf("%d snapshots, %v", len(paths), err)
	}
	var all []vector
	for _, path := range paths {
		name, ok := ledger.ParseSnapshotName(filepath.Base(path))
		if !ok {
			t.Fatal(path)
		}
		life := "1"
		switch {
		case name.SeqNo >= 135:
			life = "3"
		case name.SeqNo >= 115:
			life = "2"
		}
		all = append(all, vector{name, readFile(t, path), readFile(t, "testdata", "service-"+life+"_cert.pem")})
	}
	return all
}

// ccfSecrets rebuilds the ledger secrets of all three lives from a member's
// share in the newest recovery_shares.
func ccfSecrets(t testing.TB) *secrets.Chain {
	t.Helper()
	latest, past := secretstest.CCF(t, "../secrets/testdata")
	chain, err := secrets.Restore(latest, past[len(past)-1], func(seqno synod.SeqNo) (tables.EncryptedPastSecret, bool, error) {
		for _, w := range past {
			if w.At == seqno {
				return w.Row, true, nil
			}
		}
		return tables.EncryptedPastSecret{}, false, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// evidenceIn finds an entry in CCF's ledger.
func evidenceIn(t testing.TB) func(synod.SeqNo) ([]byte, error) {
	t.Helper()
	entries := map[synod.SeqNo][]byte{}
	err := ledger.Walk("../ledger/testdata/ledger", ledger.WalkOptions{Uncommitted: true}, func(_ ledger.Place, e *ledger.Entry) error {
		entries[e.TxID.SeqNo] = bytes.Clone(e.Raw)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return func(seqno synod.SeqNo) ([]byte, error) { return entries[seqno], nil }
}

// TestCCFSnapshots loads what CCF wrote, writes it again and finds every byte
// of the entry the same: order, padding, versions, ciphertext, tag.
func TestCCFSnapshots(t *testing.T) {
	chain, evidence := ccfSecrets(t), evidenceIn(t)
	for _, v := range vectors(t) {
		t.Run(v.name.String(), func(t *testing.T) {
			trust := Trust{Service: v.service, Name: v.name, Evidence: evidence}
			proof, err := Verify(bytes.NewReader(v.file), int64(len(v.file)), trust)
			if err != nil {
				t.Fatal(err)
			}
			store := kv.New()
			got, err := Load(bytes.NewReader(v.file), int64(len(v.file)), trust, chain, store)
			if err != nil {
				t.Fatal(err)
			}
			if got.Digest != proof.Digest || got.TxID.SeqNo != v.name.SeqNo || store.Tip() != got.TxID || store.Compacted() != got.TxID {
				t.Errorf("loaded as %s, store at %s", got.TxID, store.Tip())
			}
			sameTreeAsLater(t, got, evidence)

			f := newMemory()
			tx := store.Begin()
			defer tx.Release()
			again, err := write(context.Background(), f, State{tx, got.Leaf, got.ViewStarts, chain})
			if err != nil {
				t.Fatal(err)
			}
			if again != got.Entry {
				t.Errorf("written again as %+v, was %+v", again, got.Entry)
			}
			if !bytes.Equal(f.b, v.file[:again.Size]) {
				t.Error("written again, other bytes")
			}

			// Without the ledger, the evidence is made again from the secrets.
			trust.Evidence = nil
			if _, err := loadBytes(v.file, trust, chain); err != nil {
				t.Error(err)
			}
			public := kv.New()
			if _, err := Load(bytes.NewReader(v.file), int64(len(v.file)), trust, nil, public); err != nil {
				t.Fatal(err)
			}
			samePublic(t, store, public)
		})
	}
}

// sameTreeAsLater appends the entries up to the next signature to the tree and
// compares with the root in that.
func sameTreeAsLater(t *testing.T, l *Loaded, entry func(synod.SeqNo) ([]byte, error)) {
	t.Helper()
	for seqno := l.SeqNo + 1; ; seqno++ {
		raw, _ := entry(seqno)
		if raw == nil {
			return // the last one
		}
		e, err := ledger.ParseEntry(raw)
		if err != nil {
			t.Fatal(err)
		}
		if !e.IsSignature() {
			l.Tree.Append(e.Leaf())
			continue
		}
		maps, err := kv.DecodeDomain(e.PublicMaps, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range maps {
			var rec tables.SignatureRecord
			if m.Name != tables.Signatures {
				continue
			}
			if err := json.Unmarshal(m.Writes[0].Value, &rec); err != nil {
				t.Fatal(err)
			}
			if root := l.Tree.Root(); rec.Root != hex.EncodeToString(root[:]) {
				t.Errorf("the signature at %d has another root", seqno)
			}
		}
		return
	}
}

// samePublic checks that b holds a's public maps and nothing else.
func samePublic(t *testing.T, a, b *kv.Store) {
	t.Helper()
	all, part := dump(a), dump(b)
	for name, content := range all {
		if tables.PublicPrefix == name[:len(tables.PublicPrefix)] {
			if part[name] != content {
				t.Errorf("map %s differs", name)
			}
			delete(part, name)
		}
	}
	if len(part) != 0 {
		t.Errorf("%d maps more", len(part))
	}
}

// TestOtherTrust loads every snapshot under every service's certificate: only
// its own will do.
func TestOtherTrust(t *testing.T) {
	all := vectors(t)
	for _, v := range all {
		for _, other := range all {
			_, err := Load(bytes.NewReader(v.file), int64(len(v.file)), Trust{Service: other.service}, nil, kv.New())
			if same := bytes.Equal(v.service, other.service); same && err != nil || !same && !errors.Is(err, receipt.ErrWrongService) {
				t.Errorf("%s under the service of %s: %v", v.name, other.name, err)
			}
		}
	}
}

// memory is a ledger.File without a disk.
type memory struct{ b []byte }

func newMemory() *memory { return &memory{} }

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(m.b).ReadAt(p, off)
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if need := int(off) + len(p); need > len(m.b) {
		m.b = append(m.b, make([]byte, need-len(m.b))...)
	}
	return copy(m.b[off:], p), nil
}

func (m *memory) Truncate(size int64) error { m.b = m.b[:size]; return nil }
func (m *memory) Size() (int64, error)      { return int64(len(m.b)), nil }
func (m *memory) Sync() error               { return nil }
func (m *memory) Close() error              { return nil }

var _ io.ReaderAt = (*memory)(nil)

// dump is a store's content by map.
func dump(s *kv.Store) map[string]string {
	tx := s.Begin()
	defer tx.Release()
	return dumpTx(tx)
}

func dumpTx(tx *kv.Tx) map[string]string {
	all := map[string]string{}
	tx.EachMap(func(name string, version synod.SeqNo, keys int) bool {
		var b bytes.Buffer
		fmt.Fprint(&b, version)
		tx.EachKey(name, func(key, value []byte, version synod.SeqNo) bool {
			keys--
			fmt.Fprintf(&b, "\n%d %x %x", version, key, value)
			return true
		})
		if keys != 0 {
			b.WriteString(" the count is wrong")
		}
		all[name] = b.String()
		return true
	})
	return all
}
