package recovery_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"synod"
	"synod/internal/audit"
	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/recovery"
	"synod/internal/tables"
)

// ledgerOfCCF opens a copy of CCF's ledger; read recovers it as it then is.
func ledgerOfCCF(t *testing.T) (dir string, log *ledger.Log, read func() *recovery.Outcome) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../ledger/testdata/ledger")); err != nil {
		t.Fatal(err)
	}
	log, err := ledger.Open(ledger.Config{Dir: dir, Recover: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	read = func() *recovery.Outcome {
		t.Helper()
		out, err := recovery.Public(t.Context(), log, kv.New(), recovery.Begin{}, func(synod.TxID) {})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	return dir, log, read
}

// TestForgedNode reads a ledger to which whoever has its files added a node of
// their own, and a signature by that: without the service's key nothing of it is
// believed.
func TestForgedNode(t *testing.T) {
	dir, log, read := ledgerOfCCF(t)
	want := read()
	key, err := identity.NewKey(identity.Secp384r1)
	if err != nil {
		t.Fatal(err)
	}
	der, err := identity.SelfSigned(key, identity.SelfSignedRequest{Subject: "CN=node", NotBefore: time.Now(), Days: 1})
	if err != nil {
		t.Fatal(err)
	}
	node, tree, at := identity.NodeIDOf(&key.PublicKey), want.Tree, want.Last
	add := func(maps ...kv.MapWrites) {
		t.Helper()
		at.SeqNo++
		public := ledger.AppendPublicHeader(nil, at.SeqNo, [32]byte{}, [32]byte{})
		public = kv.AppendDomain(public, &kv.WriteSet{Maps: maps}, true)
		raw := ledger.Build(0, [16]byte{}, ledger.IV(at), public, nil)
		if err := log.Append(at.SeqNo, [][]byte{raw}); err != nil {
			t.Fatal(err)
		}
		e, err := ledger.ParseEntry(raw)
		if err != nil {
			t.Fatal(err)
		}
		tree.Append(e.Leaf())
	}
	row := func(table string, key, value []byte) kv.MapWrites {
		return kv.MapWrites{Name: table, Writes: []kv.Write{{Key: key, Value: value}}}
	}
	add(row(tables.NodeEndorsedCertificates, []byte(node), []byte(identity.CertPEM(der))), row(tables.Nodes, []byte(node), []byte(`{"status":"Trusted"}`)))
	root := tree.Root()
	sig, err := identity.SignDigest(key, root)
	if err != nil {
		t.Fatal(err)
	}
	record, err := json.Marshal(tables.SignatureRecord{
		Cert: identity.CertPEM(der), Node: node, Root: hex.EncodeToString(root[:]), Seqno: at.SeqNo + 1, Sig: sig, View: at.View,
	})
	if err != nil {
		t.Fatal(err)
	}
	serialised, err := tree.Serialise(tree.MinIndex(), uint64(at.SeqNo))
	if err != nil {
		t.Fatal(err)
	}
	add(row(tables.Signatures, tables.UnitKey(), record), row(tables.Tree, tables.UnitKey(), serialised))

	got := read()
	if got.Last != want.Last || got.Read != at.SeqNo || got.Reason != "no signature covers them that the service's key vouches for" {
		t.Errorf("believed up to %s, read up to %d of %d: %s; want up to %s", got.Last, got.Read, at.SeqNo, got.Reason, want.Last)
	}
	report, err := audit.Directory(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if report.Good != want.Last || report.Last != (synod.TxID{View: at.View, SeqNo: at.SeqNo}) {
		t.Errorf("an auditor believes up to %s of %s, want %s", report.Good, report.Last, want.Last)
	}
}

// TestUnsignedView reads a ledger whose last entry, which no signature covers,
// claims a view that nobody has reached: it is dropped and costs nothing.
func TestUnsignedView(t *testing.T) {
	_, log, read := ledgerOfCCF(t)
	want := read()
	next := log.Last() + 1
	entries, err := log.Read(next-2, next-2, 0) // the last is a signature
	if err != nil {
		t.Fatal(err)
	}
	forged := entries[0]
	binary.LittleEndian.PutUint64(forged[ledger.IVAt:], uint64(next))
	binary.LittleEndian.PutUint64(forged[ledger.PublicAt+1:], uint64(next))
	binary.LittleEndian.PutUint32(forged[ledger.IVAt+8:], 1<<24)
	if err := log.Append(next, [][]byte{forged}); err != nil {
		t.Fatal(err)
	}
	got := read()
	if got.Last != want.Last || got.Present != next || !slices.Equal(got.ViewStarts, want.ViewStarts) {
		t.Errorf("believed up to %s of %d, views begin at %d; want up to %s, views at %d", got.Last, got.Present, got.ViewStarts, want.Last, want.ViewStarts)
	}
	if len(want.ViewStarts) != int(want.Last.View) {
		t.Errorf("%d views up to %s", len(want.ViewStarts), want.Last)
	}
	if cap(got.ViewStarts) > 1000 {
		t.Errorf("room for %d views", cap(got.ViewStarts))
	}
}

// TestBadSignature changes a signature that nothing covers: the ledger ends with
// the one before it, whatever else is looked at together with it.
func TestBadSignature(t *testing.T) {
	_, log, read := ledgerOfCCF(t)
	want := read()
	last := want.Signatures[len(want.Signatures)-1]
	entries, err := log.Read(last, last, 0)
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(entries[0])
	at := bytes.Index(bad, []byte(`"sig":"`)) + len(`"sig":"`) + 40 // within r or s
	if bad[at] == 'A' {
		bad[at] = 'B'
	} else {
		bad[at] = 'A'
	}
	if err := log.Truncate(last - 1); err != nil {
		t.Fatal(err)
	}
	if err := log.Append(last, [][]byte{bad}); err != nil {
		t.Fatal(err)
	}
	got := read()
	before := want.Signatures[len(want.Signatures)-2]
	if got.Last.SeqNo != before || got.Read != last || !strings.Contains(got.Reason, "signature does not verify") || !slices.Equal(got.Signatures, want.Signatures[:len(want.Signatures)-1]) {
		t.Errorf("believed up to %s, read up to %d: %q; want up to %d", got.Last, got.Read, got.Reason, before)
	}
}
