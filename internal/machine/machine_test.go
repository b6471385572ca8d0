package machine

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"

	"synod"
	"synod/internal/evidence"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/secrets"
)

// fixture is a machine whose secret is the one of the worked examples: bytes
// 0 to 31.
type fixture struct {
	*Machine
	store *kv.Store
}

func newFixture() fixture {
	var raw [32]byte
	for i := range raw {
		raw[i] = byte(i)
	}
	chain := secrets.NewChain()
	chain.Set(1, secrets.SecretFrom(raw))
	store := kv.New()
	return fixture{New(store, evidence.NewTree(), chain, 1<<20), store}
}

// order runs fn in a transaction and orders it at 2.<next>.
func (f fixture) order(t *testing.T, fn func(*kv.Tx)) []byte {
	t.Helper()
	tx := f.store.Begin()
	defer tx.Release()
	fn(tx)
	entry, err := f.Order(Prepare(tx, [32]byte{}), synod.TxID{View: 2, SeqNo: f.store.Tip().SeqNo + 1})
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

func put(name, key, value string) func(*kv.Tx) {
	return func(tx *kv.Tx) { tx.Put(name, []byte(key), []byte(value)) }
}

// TestOrderMatchesCCF orders the transaction of a worked example, whose bytes,
// digests and leaf an independent implementation computed.
func TestOrderMatchesCCF(t *testing.T) {
	f := newFixture()
	f.order(t, put("public:x", "1", "1"))
	f.order(t, put("public:x", "2", "2"))
	entry := f.order(t, func(tx *kv.Tx) {
		tx.Put("p", []byte("a"), []byte("1"))
		tx.Put("public:t", []byte("k"), []byte(`"v"`))
	})
	const want = "0100f400000000002036d8160a8850e65eab2cff867df7780300000000000000020000009500000000000000" +
		"040300000000000000" + "0000000000000000000000000000000000000000000000000000000000000000" +
		"0fc2361aca552970e7ca6efee03c5b9c9de019b67f281898813fe709a11872bd" + "0000000000000000" +
		"08000000000000007075626c69633a74" + "00000000000000000000000000000000" + "0100000000000000" +
		"01000000000000006b0300000000000000227622" + "0000000000000000" +
		"0cd89f10e22a306107e892509125a1c7ec23231d6954989a37fdedbba1d4e00e07dab12177ede5d8e98eb7bcccb0bd76000b3a7900393e5e7809bf"
	if got := hex.EncodeToString(entry); got != want {
		t.Errorf("entry\n got %s\nwant %s", got, want)
	}
	digest := sha256.Sum256(entry)
	if got, want := hex.EncodeToString(digest[:]), "b352ce4df2e6f4dba9414597c0a3670e78975b20b27502cb5be75fd1aa28ea20"; got != want {
		t.Errorf("write set digest %s, want %s", got, want)
	}
	e, err := ledger.ParseEntry(entry)
	if err != nil {
		t.Fatal(err)
	}
	got := e.Leaf()
	if got, want := hex.EncodeToString(got[:]), "57832afde3e59e115568ef0f7e87b215f5d68c623098a4d6982df3ec8d18c34f"; got != want {
		t.Errorf("leaf %s, want %s", got, want)
	}
}

func TestOrderRefusesConflict(t *testing.T) {
	f := newFixture()
	f.order(t, put("public:t", "k", "1"))
	late := f.store.Begin()
	defer late.Release()
	late.Get("public:t", []byte("k"))
	late.Put("public:t", []byte("k"), []byte("late"))
	f.order(t, put("public:t", "k", "2"))
	root := f.Tree.Root()
	_, err := f.Order(Prepare(late, [32]byte{}), synod.TxID{View: 2, SeqNo: 3})
	if !errors.Is(err, kv.ErrConflict) {
		t.Fatalf("got %v, want a conflict", err)
	}
	if f.Tree.Root() != root || f.store.Tip().SeqNo != 2 {
		t.Error("a refused transaction changed the state")
	}
}

func TestUndoRestoresStateAndBytes(t *testing.T) {
	f := newFixture()
	f.order(t, put("public:t", "k", "1"))
	root := f.Tree.Root()
	first := f.order(t, put("q", "k", "2"))
	f.Undo(synod.TxID{View: 2, SeqNo: 1})
	if f.Tree.Root() != root || f.store.Tip() != (synod.TxID{View: 2, SeqNo: 1}) {
		t.Fatal("undo left something behind")
	}
	again := f.order(t, put("q", "k", "2"))
	if string(first) != string(again) {
		t.Error("the same transaction at the same place made other bytes")
	}
}

func TestChunksEndAtSignatures(t *testing.T) {
	f := newFixture()
	f.chunks.threshold = 500
	sign := func() bool {
		ws := &kv.WriteSet{Maps: []kv.MapWrites{{Name: "public:ccf.internal.signatures", Writes: []kv.Write{{Key: make([]byte, 8), Value: []byte("{}")}}}}}
		entry, err := f.OrderSignature(ws, synod.TxID{View: 2, SeqNo: f.store.Tip().SeqNo + 1})
		if err != nil {
			t.Fatal(err)
		}
		return entry[1]&ledger.FlagForceChunkAfter != 0
	}
	f.order(t, put("public:t", "k", "1"))
	if sign() {
		t.Error("a chunk ended below the threshold")
	}
	f.order(t, put("public:t", "k", "2"))
	f.order(t, put("public:t", "k", "3"))
	if !sign() {
		t.Error("no chunk end above the threshold")
	}
	if sign() {
		t.Error("a chunk ended right after another")
	}
	f.order(t, func(tx *kv.Tx) {
		tx.Put("public:t", []byte("k"), []byte("4"))
		tx.SetFlag(kv.FlagForceChunk)
	})
	if !sign() {
		t.Error("a request to end the chunk was forgotten")
	}
	if got := fmt.Sprint(f.Commit(f.store.Tip().SeqNo), f.Commit(f.store.Tip().SeqNo)); got != "true false" {
		t.Errorf("chunk ends told: %s, want once", got)
	}
}

func BenchmarkOrder(b *testing.B) {
	f := newFixture()
	value := []byte("0123456789abcdef0123456789abcdef")
	id := synod.TxID{View: 2}
	for b.Loop() {
		b.StopTimer()
		tx := f.store.Begin()
		tx.Put("records", fmt.Append(nil, id.SeqNo%1000), value)
		p := Prepare(tx, [32]byte{})
		id.SeqNo++
		b.StartTimer()
		if _, err := f.Order(p, id); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		tx.Release()
		if id.SeqNo%1000 == 0 {
			f.Commit(id.SeqNo)
		}
		b.StartTimer()
	}
}

// TestTakeOpensAgain: entries that are opened ahead of one that changes the secret are
// opened with the secret that it brought.
func TestTakeOpensAgain(t *testing.T) {
	var raw [32]byte
	next := secrets.SecretFrom(raw)
	leader, follower := newFixture(), newFixture()
	first := leader.order(t, put("p", "a", "1"))
	leader.secrets.Set(2, next)
	second := leader.order(t, put("p", "b", "2"))

	opened := []*Opened{follower.Open(first), follower.Open(second)}
	if opened[1].err == nil {
		t.Fatal("an entry is opened with another secret than its own")
	}
	if _, err := follower.Take(opened[0]); err != nil {
		t.Fatal(err)
	}
	follower.secrets.Set(2, next)
	rec, err := follower.Take(opened[1])
	if err != nil {
		t.Fatal(err)
	}
	if got := string(rec.WriteSet.Maps[0].Writes[0].Value); got != "2" || follower.Tree.Root() != leader.Tree.Root() {
		t.Errorf("it writes %q; root %x, want %x", got, follower.Tree.Root(), leader.Tree.Root())
	}
}
