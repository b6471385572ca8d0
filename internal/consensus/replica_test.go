package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"synod"
	"synod/internal/evidence"
	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/machine"
	"synod/internal/secrets"
)

// rig is a replica of a new service over a real ledger directory.
type rig struct {
	*Replica
	store *kv.Store
	dir   string
	stop  func() error
}

func newRig(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ledger")
	log, err := ledger.Open(ledger.Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	nodeKey, err := identity.NewKey("Secp384R1")
	if err != nil {
		t.Fatal(err)
	}
	serviceKey, err := identity.NewKey("Secp384R1")
	if err != nil {
		t.Fatal(err)
	}
	secret, err := secrets.NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	chain := secrets.NewChain()
	chain.Set(1, secret)
	store := kv.New()
	cfg := Config{
		ID: 1, Log: log, Machine: machine.New(store, evidence.NewTree(), chain, 64<<10),
		Signer: &evidence.Signer{
			NodeID: identity.NodeIDOf(&nodeKey.PublicKey), NodeKey: nodeKey, NodeCert: func() string { return "" },
			ServiceKey: serviceKey, ServiceKID: identity.ServiceKID(&serviceKey.PublicKey), Now: time.Now,
		},
		Create: func() (*machine.Prepared, error) {
			tx := store.Begin()
			tx.Put("public:genesis", []byte("k"), []byte("v"))
			return machine.Prepare(tx, [32]byte{}), nil
		},
		Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop := sync.OnceValue(func() error {
		cancel()
		return errors.Join(<-done, log.Close())
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	g := &rig{r, store, dir, stop}
	g.wait(t, synod.TxID{View: 2, SeqNo: 1})
	return g
}

// write submits one transaction.
func (g *rig) write(t testing.TB, key, value string) synod.TxID {
	t.Helper()
	for {
		tx := g.store.Begin()
		tx.Put("public:records", []byte(key), []byte(value))
		id, err := g.Submit(machine.Prepare(tx, [32]byte{}))
		tx.Release()
		if err == nil {
			return id
		}
		if !errors.Is(err, ErrNotPrimary) {
			t.Fatal(err)
		}
	}
}

func (g *rig) wait(t testing.TB, id synod.TxID) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	status, _, err := g.WaitCommitted(ctx, id, false)
	if err != nil || status != synod.TxCommitted {
		t.Fatalf("%s: %s, %v", id, status, err)
	}
}

func TestFirstEntriesOfAService(t *testing.T) {
	g := newRig(t, nil)
	id := g.write(t, "k", "v")
	g.wait(t, id)
	if got, want := fmt.Sprint(g.ViewHistory(1)), "[1.1 2.1]"; got != want {
		t.Errorf("view history %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(g.ViewHistory(2)), "[2.1]"; got != want {
		t.Errorf("view history from 2 %s, want %s", got, want)
	}
	first := g.entry(t, 1)
	if first.IsSignature() || first.TxID != (synod.TxID{View: 2, SeqNo: 1}) {
		t.Errorf("entry 1 is %s, signature %t", first.TxID, first.IsSignature())
	}
	if second := g.entry(t, 2); !second.IsSignature() {
		t.Errorf("entry 2 is not a signature")
	}
}

func (g *rig) entry(t testing.TB, seqno synod.SeqNo) *ledger.Entry {
	t.Helper()
	raw, err := g.Entry(seqno)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ledger.ParseEntry(raw)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestStatuses(t *testing.T) {
	g := newRig(t, func(c *Config) { c.Quiet, c.SignatureDelay = time.Hour, time.Hour })
	id := g.write(t, "k", "v")
	for _, c := range []struct {
		id   synod.TxID
		want synod.TxStatus
	}{
		{id, synod.TxPending},
		{synod.TxID{View: 2, SeqNo: id.SeqNo + 5}, synod.TxUnknown},
		{synod.TxID{View: 3, SeqNo: id.SeqNo}, synod.TxUnknown},
		{synod.TxID{View: 1, SeqNo: 1}, synod.TxInvalid},
		{synod.TxID{View: 2, SeqNo: 1}, synod.TxCommitted},
	} {
		if got := g.Status(c.id); got != c.want {
			t.Errorf("%s is %s, want %s", c.id, got, c.want)
		}
	}
	g.wait(t, id) // waiting is what makes the signature
	if got := g.Status(id); got != synod.TxCommitted {
		t.Errorf("after waiting it is %s", got)
	}
}

// TestConcurrentWrites drives many writers and checks the order that came out:
// every seqno once, no two signatures side by side, everything on disk.
func TestConcurrentWrites(t *testing.T) {
	g := newRig(t, nil)
	const writers, each = 16, 100
	var mu sync.Mutex
	seen := map[synod.SeqNo]bool{}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				id := g.write(t, fmt.Sprintf("%d/%d", w, i), "v")
				mu.Lock()
				if seen[id.SeqNo] {
					t.Errorf("%s was given twice", id)
				}
				seen[id.SeqNo] = true
				mu.Unlock()
				if i%10 == 0 {
					g.wait(t, id)
				}
			}
		})
	}
	wg.Wait()
	last := g.write(t, "last", "v")
	seen[last.SeqNo] = true
	g.wait(t, last)
	signed := false
	for s := synod.SeqNo(1); s <= g.Committed().SeqNo; s++ {
		sig := g.entry(t, s).IsSignature()
		if sig && signed {
			t.Errorf("signatures at %d and %d", s-1, s)
		}
		if sig == seen[s] && s > 1 {
			t.Errorf("entry %d: signature %t, given to a writer %t", s, sig, seen[s])
		}
		signed = sig
	}
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}
	reopened, err := ledger.Open(ledger.Config{Dir: g.dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer reopened.Close()
	if reopened.Last() < g.Committed().SeqNo {
		t.Errorf("disk ends at %d, committed was %d", reopened.Last(), g.Committed().SeqNo)
	}
}

func TestConflictGoesBackToTheCaller(t *testing.T) {
	g := newRig(t, nil)
	g.write(t, "k", "1")
	late := g.store.Begin()
	defer late.Release()
	late.Get("public:records", []byte("k"))
	late.Put("public:records", []byte("k"), []byte("late"))
	g.write(t, "k", "2")
	if _, err := g.Submit(machine.Prepare(late, [32]byte{})); !errors.Is(err, kv.ErrConflict) {
		t.Errorf("got %v, want a conflict", err)
	}
}

// TestSigningKeepsToItsShare asks for a signature all the time, on a clock of
// its own: the cost of signing stays at its share, with a burst after a rest,
// whatever one signature costs.
func TestSigningKeepsToItsShare(t *testing.T) {
	for _, c := range []struct{ cost, share time.Duration }{
		{100 * time.Microsecond, signingShare}, {time.Millisecond, signingShare}, {20 * time.Millisecond, signingShare}, {time.Millisecond, awaitedShare},
	} {
		cost, share := c.cost, c.share
		var s signState
		now := time.Unix(0, 0)
		signFor := func(d time.Duration) (spent time.Duration) {
			for end := now.Add(d); now.Before(end); {
				if wait := s.affordable(now, share); wait > 0 {
					now = now.Add(wait)
					continue
				}
				now = now.Add(cost)
				s.spent(cost, now)
				spent += cost
			}
			return spent
		}
		const long = 10 * time.Second
		if spent, most := signFor(long), long/share+(signingBurst+2)*cost; spent > most || spent < long/share/2 {
			t.Errorf("signatures of %s took %s of %s, want about %s", cost, spent, long, long/share)
		}
		// Forced signatures make a debt, but not one that those who wait pay for long.
		for range 1000 {
			s.spent(cost, now)
		}
		if wait := s.affordable(now, share); wait > 3*share*cost {
			t.Errorf("after a thousand forced signatures of %s the next waits %s", cost, wait)
		}
	}
}

func TestProofComesWithCommit(t *testing.T) {
	g := newRig(t, nil)
	id := g.write(t, "k", "v")
	status, proof, err := g.WaitCommitted(t.Context(), id, true)
	if err != nil || status != synod.TxCommitted || proof == nil {
		t.Fatalf("%s, proof %v, %v", status, proof, err)
	}
	if got, want := fmt.Sprintf("%x", proof.Path.Root(g.entry(t, id.SeqNo).Leaf())), proof.Signature.Record.Root; got != want {
		t.Errorf("the path leads to %s, signed is %s", got, want)
	}
}

func TestStopAnswersWaiters(t *testing.T) {
	g := newRig(t, func(c *Config) { c.Quiet, c.SignatureDelay = time.Hour, time.Hour })
	done := make(chan error, 1)
	go func() {
		_, _, err := g.WaitCommitted(context.Background(), synod.TxID{View: 2, SeqNo: 1000}, false)
		done <- err
	}()
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, ErrStopped) {
		t.Errorf("got %v", err)
	}
	tx := g.store.Begin()
	defer tx.Release()
	tx.Put("public:records", []byte("k"), []byte("v"))
	if _, err := g.Submit(machine.Prepare(tx, [32]byte{})); !errors.Is(err, ErrStopped) {
		t.Errorf("submit after stop: %v", err)
	}
}

func BenchmarkSubmit(b *testing.B) {
	for _, clients := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("%d", clients), func(b *testing.B) {
			g := newRig(b, nil)
			b.SetParallelism(max(clients/2, 1))
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					g.write(b, "key", "0123456789abcdef0123456789abcdef")
				}
			})
		})
	}
}
