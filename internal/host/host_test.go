package host_test

import (
	"fmt"
	"testing"

	"synod"
	"synod/app"
	"synod/app/apptest"
	"synod/internal/host"
	"synod/internal/kv"
)

// node runs f as a handler, to reach the node of a real replica.
func node(t *testing.T) (*apptest.Service, app.Node) {
	t.Helper()
	var found app.Node
	a := app.New("x")
	a.Get("/x", func(c *app.Context) error { found = c.Node(); return nil }).ReadOnly()
	svc := apptest.New(t, a, apptest.WithSignatures("i", "s"))
	svc.Anybody().Get("/x").Expect(204)
	return svc, found
}

func TestProofs(t *testing.T) {
	svc, n := node(t)
	for id, want := range map[string]string{
		"2.99": "TransactionPendingOrUnknown: Only committed transactions can be queried. Transaction 2.99 is Unknown",
		"1.1":  "TransactionInvalid: Only committed transactions can be queried. Transaction 1.1 is Invalid",
	} {
		parsed, err := synod.ParseTxID(id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.Proof(parsed); err == nil || err.Error() != want {
			t.Errorf("%s: %v", id, err)
		}
	}
	id := svc.Write(func(tx app.Tx) { tx.Put("m", []byte("k"), []byte("v")) })
	svc.Verify(id) // both receipts
	signature, err := n.Proof(n.Committed())
	if err != nil || signature.MerkleProof != nil || signature.COSEReceipt != nil || signature.COSESignature == nil || signature.Receipt == nil {
		t.Errorf("proof of a signature: %+v, %v", signature, err)
	}
	if issuer, subject := n.SignedAs(); issuer != "i" || subject != "s" {
		t.Errorf("signed as %s, %s", issuer, subject)
	}
}

func TestIndexes(t *testing.T) {
	svc, n := node(t)
	told := make(chan string, 10)
	ix := app.Index{Name: "ix", Map: "m", Apply: func(id synod.TxID, writes []app.Write) {
		for _, w := range writes {
			told <- fmt.Sprintf("%s %s=%s %t", id, w.Key, w.Value, w.Deleted)
		}
	}}
	if err := n.InstallIndex(ix); err != nil {
		t.Fatal(err)
	}
	if n.InstallIndex(ix) == nil {
		t.Error("installed twice")
	}
	first := svc.Write(func(tx app.Tx) { tx.Put("m", []byte("k"), []byte("v")); tx.Put("other", []byte("k"), nil) })
	second := svc.Write(func(tx app.Tx) { tx.Delete("m", []byte("k")) })
	svc.Proof(second)
	for _, want := range []string{first.String() + " k=v false", second.String() + " k= true"} {
		if got := <-told; got != want {
			t.Errorf("told %s, want %s", got, want)
		}
	}
	if !n.UninstallIndex("ix") || n.UninstallIndex("ix") {
		t.Error("uninstalling says the wrong thing")
	}
	svc.Proof(svc.Write(func(tx app.Tx) { tx.Put("m", []byte("k"), []byte("w")) }))
	if len(told) != 0 {
		t.Errorf("told after it was uninstalled: %s", <-told)
	}
}

func TestIndexesAreBounded(t *testing.T) {
	h := &host.Host{Store: kv.New()}
	var err error
	n := 0
	for ; err == nil; n++ {
		err = h.InstallIndex(app.Index{Name: fmt.Sprint(n), Map: "m"})
	}
	if n != 65 || len(h.Indexes()) != 64 {
		t.Errorf("%d installed", len(h.Indexes()))
	}
}
