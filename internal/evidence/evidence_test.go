package evidence

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"synod"
	"synod/internal/cose"
	"synod/internal/identity"
	"synod/internal/merkle"
	"synod/internal/tables"
)

func grown(n int) *Tree {
	t := NewTree()
	for i := 1; i <= n; i++ {
		t.Append([32]byte{byte(i), byte(i >> 8), 1})
	}
	return t
}

// TestRootsOfThePast: a request that read the state before a commit may ask
// for the root of then, while signatures leave the leaves of then out.
func TestRootsOfThePast(t *testing.T) {
	tree := grown(20)
	want, err := tree.RootAt(5)
	if err != nil {
		t.Fatal(err)
	}
	tree.Flush(15)
	if got, err := tree.RootAt(5); err != nil || got != want {
		t.Errorf("the root over 0..5 changed with a commit at 15 (%v)", err)
	}
	b, err := tree.Serialise(20)
	if err != nil {
		t.Fatal(err)
	}
	back, err := merkle.Deserialise(b)
	if err != nil || back.MinIndex() != 15 || back.Root() != tree.Root() {
		t.Errorf("serialised from %d (%v)", back.MinIndex(), err)
	}
	if err := tree.Retract(14); err == nil {
		t.Error("retracted below the commit")
	}
	if err := tree.Retract(15); err != nil || tree.Last() != 15 {
		t.Errorf("retract to the commit: %v, last %d", err, tree.Last())
	}
}

func TestMemoryIsBounded(t *testing.T) {
	tree := grown(3 * kept)
	tree.Flush(3 * kept)
	if _, err := tree.RootAt(2*kept - 1); err == nil {
		t.Error("a leaf older than the bound is still there")
	}
	if _, err := tree.RootAt(2 * kept); err != nil {
		t.Errorf("a leaf within the bound: %v", err)
	}
}

func TestSignatureVerifies(t *testing.T) {
	nodeKey, err := identity.NewKey(identity.Secp384r1)
	if err != nil {
		t.Fatal(err)
	}
	serviceKey, err := identity.NewKey(identity.Secp384r1)
	if err != nil {
		t.Fatal(err)
	}
	s := &Signer{
		NodeID: identity.NodeIDOf(&nodeKey.PublicKey), NodeKey: nodeKey, NodeCert: func() string { return "PEM" },
		ServiceKey: serviceKey, ServiceKID: identity.ServiceKID(&serviceKey.PublicKey),
		Issuer: "issuer", Subject: "subject", Now: func() time.Time { return time.Unix(1234, 0) },
	}
	tree := grown(3)
	root := tree.Root()
	sig, err := s.Sign(synod.TxID{View: 2, SeqNo: 4}, root, []byte("tree"))
	if err != nil {
		t.Fatal(err)
	}
	if !identity.VerifyDigest(&nodeKey.PublicKey, root, sig.Record.Sig) {
		t.Error("the node's signature does not verify")
	}
	ls, msg, err := cose.ParseLedgerSignature(sig.COSE)
	if err != nil {
		t.Fatal(err)
	}
	if err := msg.Verify(&serviceKey.PublicKey, root[:]); err != nil {
		t.Errorf("the service's signature: %v", err)
	}
	if want := (cose.LedgerSignature{KID: s.ServiceKID, IssuedAt: 1234, Issuer: "issuer", Subject: "subject", TxID: sig.TxID}); *ls != want {
		t.Errorf("signed %+v, want %+v", *ls, want)
	}
	var names []string
	for _, m := range sig.WriteSet.Maps {
		names = append(names, m.Name)
	}
	if got, want := strings.Join(names, " "), strings.Join([]string{tables.COSESignatures, tables.Signatures, tables.Tree}, " "); got != want {
		t.Errorf("writes %s, want %s", got, want)
	}
	record := string(sig.WriteSet.Maps[1].Writes[0].Value)
	for _, part := range []string{`"cert":"PEM"`, `"commit_seqno":0`, `"root":"` + hex.EncodeToString(root[:]) + `"`, `"seqno":4`, `"view":2`} {
		if !strings.Contains(record, part) {
			t.Errorf("the record lacks %s: %s", part, record)
		}
	}
}
