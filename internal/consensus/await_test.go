package consensus

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"synod"
	"synod/internal/evidence"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/machine"
	"synod/internal/secrets"
)

// TestSubmitAndWait has many write at once and wait: all are told of commit, each of
// its own transaction, and have a proof if they asked.
func TestSubmitAndWait(t *testing.T) {
	g := newRig(t, nil)
	var mu sync.Mutex
	seen := map[synod.TxID]bool{}
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for n := range 20 {
				tx := g.store.Begin()
				tx.Put("public:records", []byte(fmt.Sprint(i)), []byte("v"))
				id, status, proof, err := g.SubmitAndWait(t.Context(), machine.Prepare(tx, [32]byte{}), n%2 == 0)
				tx.Release()
				if err != nil || status != synod.TxCommitted || g.Committed().SeqNo < id.SeqNo {
					t.Errorf("%s is %s, %v", id, status, err)
					return
				}
				if n%2 == 0 && (proof == nil || fmt.Sprintf("%x", proof.Path.Root(g.entry(t, id.SeqNo).Leaf())) != proof.Signature.Record.Root) {
					t.Errorf("%s has no proof that fits", id)
				}
				mu.Lock()
				if seen[id] {
					t.Errorf("two transactions are %s", id)
				}
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// TestSubmitAndWaitEnds: who gives up learns where the transaction is, or why it is
// nowhere.
func TestSubmitAndWaitEnds(t *testing.T) {
	g := newRig(t, func(c *Config) {
		c.Signer = failing{}
		c.SignatureDelay, c.Quiet = time.Hour, time.Hour
	})
	put := func() *machine.Prepared {
		tx := g.store.Begin()
		t.Cleanup(tx.Release)
		tx.Put("public:records", []byte("k"), []byte("v"))
		return machine.Prepare(tx, [32]byte{})
	}
	for _, limit := range []time.Duration{0, 20 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		id, status, _, err := g.SubmitAndWait(ctx, put(), false)
		cancel()
		if err != nil || status != synod.TxPending || id.SeqNo == 0 {
			t.Errorf("given up after %s: %s is %s, %v", limit, id, status, err)
		}
	}
	if n := g.waiters.count.Load(); n != 0 {
		t.Errorf("%d still wait", n)
	}
	late := g.store.Begin()
	defer late.Release()
	late.Get("public:records", []byte("k"))
	late.Put("public:records", []byte("k"), []byte("late"))
	g.write(t, "k", "2")
	if _, _, _, err := g.SubmitAndWait(t.Context(), machine.Prepare(late, [32]byte{}), false); !errors.Is(err, kv.ErrConflict) {
		t.Errorf("got %v, want a conflict", err)
	}
	done := make(chan synod.TxStatus, 1)
	go func() {
		_, status, _, _ := g.SubmitAndWait(context.Background(), put(), false)
		done <- status
	}()
	for g.waiters.count.Load() == 0 {
		runtime.Gosched()
	}
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}
	if status := <-done; status != synod.TxPending {
		t.Errorf("%s after the end", status)
	}
	if _, _, _, err := g.SubmitAndWait(t.Context(), put(), false); !errors.Is(err, ErrStopped) {
		t.Errorf("after the end: %v", err)
	}
}

// failing is a signer that cannot sign but the first transaction's signature.
type failing struct{}

func (failing) Sign(id synod.TxID, root [32]byte, tree []byte) (*evidence.Signature, error) {
	if id.SeqNo > 2 {
		return nil, errors.New("no key")
	}
	return empty{}.Sign(id, root, tree)
}
func (failing) Quick() bool           { return true }
func (failing) Prepare() (int, error) { return 0, nil }

// TestSignatureGoesAlong: what waits for commit leaves with its signature, in one
// append and one message for each node.
func TestSignatureGoesAlong(t *testing.T) {
	var store *kv.Store
	d := newDriven(t, 1, func(c *Config) {
		store = kv.New()
		chain := secrets.NewChain()
		chain.Set(1, secrets.SecretFrom([secrets.Size]byte{1}))
		c.Machine = machine.New(store, evidence.NewTree(), chain, 64<<10)
		c.Create = func() (*machine.Prepared, error) { return write(store, nil), nil }
		c.Signer = empty{}
		c.SignatureDelay, c.Quiet = time.Hour, time.Hour
	})
	d.Sync(d.Appends())
	id, err := d.Order(write(store, []byte("v")), true)
	if err != nil {
		t.Fatal(err)
	}
	if n := d.Appends(); n != 1 {
		t.Fatalf("%d appends, want 1", n)
	}
	entries := d.Entries(1)
	if len(entries) != 2 {
		t.Fatalf("%d entries, want the transaction and its signature", len(entries))
	}
	if e, err := ledger.ParseEntry(entries[1].GetData()); err != nil || !e.IsSignature() {
		t.Errorf("the second is no signature: %v", err)
	}
	if d.Committed().SeqNo >= id.SeqNo {
		t.Error("committed before it is on disk")
	}
	d.Sync(1)
	if got := d.Committed().SeqNo; got != id.SeqNo+1 {
		t.Errorf("committed is %d, want the signature at %d", got, id.SeqNo+1)
	}
	if _, err := d.Order(write(store, []byte("v")), false); err != nil {
		t.Fatal(err)
	}
	if n := len(d.Entries(1)); n != 1 {
		t.Errorf("%d entries, but nobody waits", n)
	}
}

// TestHold: a message that tells of commit alone goes with the next entries, or
// after a while.
func TestHold(t *testing.T) {
	now := time.Unix(1000, 0)
	var sent []*pb.Message
	r := &Replica{held: map[uint64]*pb.Message{}, cfg: Config{
		Hold: time.Millisecond, Now: func() time.Time { return now }, Send: func(m *pb.Message) { sent = append(sent, m) },
	}}
	commit := func(to, index uint64) *pb.Message {
		return &pb.Message{Type: pb.MsgApp.Enum(), To: new(to), Commit: new(index)}
	}
	entries := func(to uint64) *pb.Message {
		m := commit(to, 9)
		m.Entries = []*pb.Entry{{}}
		return m
	}
	r.send(commit(2, 7))
	r.send(commit(3, 7))
	if len(sent) != 0 || r.release(now) != time.Millisecond {
		t.Errorf("sent %v, next look in %s", sent, r.release(now))
	}
	r.send(entries(2))
	now = now.Add(time.Millisecond / 2)
	r.send(commit(3, 8))
	now = now.Add(time.Millisecond / 2)
	if wait := r.release(now); wait != never {
		t.Errorf("next look in %s", wait)
	}
	if got := fmt.Sprint(len(sent), sent[0].GetTo(), len(sent[0].GetEntries()), sent[1].GetTo(), sent[1].GetCommit()); got != "2 2 1 3 8" {
		t.Errorf("sent %v", sent)
	}
	r.send(&pb.Message{Type: pb.MsgHeartbeat.Enum(), To: new(uint64(2))})
	if len(sent) != 3 {
		t.Error("a heartbeat is held back")
	}
}

// empty makes signature transactions whose signatures are empty.
type empty struct{}

func (empty) Sign(id synod.TxID, root [32]byte, tree []byte) (*evidence.Signature, error) {
	sig := &evidence.Signature{TxID: id, WriteSet: &kv.WriteSet{}}
	sig.Record.View, sig.Record.Seqno, sig.Record.Root = id.View, id.SeqNo, fmt.Sprintf("%x", root)
	for _, name := range []string{"public:ccf.internal.cose_signatures", "public:ccf.internal.signatures", "public:ccf.internal.tree"} {
		sig.WriteSet.Maps = append(sig.WriteSet.Maps, kv.MapWrites{Name: name, Writes: []kv.Write{{Key: make([]byte, 8), Value: tree}}})
	}
	return sig, nil
}
func (empty) Quick() bool           { return true }
func (empty) Prepare() (int, error) { return 0, nil }
