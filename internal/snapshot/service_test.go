package snapshot

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"synod"
	"synod/internal/evidence"
	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/secrets"
	"synod/internal/tables"
	"synod/receipt"
)

// A service orders transactions as a service of one node does, without a disk.
type service struct {
	t       testing.TB
	store   *kv.Store
	tree    *evidence.Tree
	chain   *secrets.Chain
	signer  *evidence.Signer
	cert    []byte // PEM of the service
	view    synod.View
	views   []synod.SeqNo
	entries map[synod.SeqNo][]byte
	sig     *evidence.Signature // the last
}

func newService(t testing.TB, view synod.View) *service {
	t.Helper()
	serviceKey, nodeKey := newKey(t), newKey(t)
	now := time.Unix(1_700_000_000, 0)
	der, err := identity.SelfSigned(serviceKey, identity.SelfSignedRequest{Subject: "CN=CCF Service", NotBefore: now, Days: 1})
	must(t, err)
	pem := identity.CertPEM(der)
	cert, err := identity.ParseCertPEM([]byte(pem))
	must(t, err)
	csr, err := identity.NewCSR(nodeKey, "CN=CCF Node", nil)
	must(t, err)
	endorsed, err := identity.Endorse(csr, serviceKey, cert, now, 1)
	must(t, err)
	s := &service{
		t: t, store: kv.New(), tree: evidence.NewTree(), chain: secrets.NewChain(), cert: []byte(pem), view: view,
		entries: map[synod.SeqNo][]byte{},
		signer: &evidence.Signer{
			NodeID: identity.NodeIDOf(&nodeKey.PublicKey), NodeKey: nodeKey, NodeCert: func() string { return endorsed },
			ServiceKey: serviceKey, ServiceKID: identity.ServiceKID(&serviceKey.PublicKey),
			Issuer: "issuer", Subject: "subject", Now: func() time.Time { return now },
		},
	}
	s.views = slices.Repeat([]synod.SeqNo{1}, int(view))
	s.chain.Set(1, secrets.SecretFrom([32]byte{1, 2, 3}))
	s.set(tables.Service, tables.UnitKey(), must1(json.Marshal(tables.ServiceInfo{Cert: pem, Status: tables.ServiceOpen}))(t))
	return s
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	return must1(identity.NewKey(identity.Secp256r1))(t)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must1[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T { t.Helper(); must(t, err); return v }
}

// set commits a transaction with one write.
func (s *service) set(mapName string, key, value []byte) {
	s.commit(&kv.WriteSet{Maps: []kv.MapWrites{{Name: mapName, Writes: []kv.Write{{Key: key, Value: value}}}}}, [32]byte{})
}

// commit orders a transaction; its entry holds the public part alone.
func (s *service) commit(ws *kv.WriteSet, claims [32]byte) receipt.LeafComponents {
	s.t.Helper()
	id := synod.TxID{View: s.view, SeqNo: s.store.Tip().SeqNo + 1}
	secret, err := s.chain.At(id.SeqNo)
	must(s.t, err)
	leaf := receipt.LeafComponents{CommitEvidence: string(secret.CommitEvidence(nil, id)), ClaimsDigest: claims}
	public := ledger.AppendPublicHeader(nil, id.SeqNo, claims, sha256.Sum256([]byte(leaf.CommitEvidence)))
	public = kv.AppendDomain(public, ws, true)
	iv, tag, err := s.chain.Seal(id, false, make([]byte, 0, secrets.TagSize), public)
	must(s.t, err)
	entry := ledger.Build(0, tag, iv, public, nil)
	leaf.WriteSetDigest = sha256.Sum256(entry)
	s.entries[id.SeqNo] = entry
	must(s.t, s.store.Commit(ws, id))
	s.tree.Append(leaf.Digest())
	return leaf
}

// sign orders a signature and returns its leaf.
func (s *service) sign() [32]byte {
	s.t.Helper()
	last := s.store.Tip().SeqNo
	serialised, err := s.tree.Serialise(last)
	must(s.t, err)
	s.sig, err = s.signer.Sign(synod.TxID{View: s.view, SeqNo: last + 1}, s.tree.Root(), serialised)
	must(s.t, err)
	leaf := s.commit(s.sig.WriteSet, [32]byte{}).Digest()
	s.tree.Flush(last + 1)
	return leaf
}

// state pins the state after a new signature.
func (s *service) state() State {
	s.t.Helper()
	leaf := s.sign()
	tx := s.store.Begin()
	s.t.Cleanup(tx.Release)
	return State{Tx: tx, Leaf: leaf, ViewStarts: s.views, Secrets: s.chain}
}

// record orders the evidence of a snapshot and a signature, and returns the
// receipt.
func (s *service) record(e Entry) (synod.SeqNo, *receipt.Receipt) {
	s.t.Helper()
	ws, err := e.Record()
	must(s.t, err)
	leaf := s.commit(ws, e.Digest)
	at := s.store.Tip().SeqNo
	return at, s.receipt(at, leaf)
}

// receipt signs and makes the receipt of the transaction before.
func (s *service) receipt(at synod.SeqNo, leaf receipt.LeafComponents) *receipt.Receipt {
	s.t.Helper()
	s.sign()
	path, err := s.tree.Path(at, s.sig.TxID.SeqNo-1)
	must(s.t, err)
	return receipt.New(receipt.Signature{Sig: s.sig.Record.Sig, Cert: s.sig.Record.Cert, NodeID: s.sig.Record.Node}, leaf, path)
}

// snapshot makes a whole file of the present state.
func (s *service) snapshot() ([]byte, Trust) {
	s.t.Helper()
	st := s.state()
	f := newMemory()
	e, err := write(context.Background(), f, st)
	must(s.t, err)
	at, rec := s.record(e)
	text := must1(json.Marshal(rec))(s.t)
	return append(f.b, text...), Trust{
		Service: s.cert, Name: ledger.SnapshotName{SeqNo: e.SeqNo, Evidence: at, Committed: true},
		Evidence: func(seqno synod.SeqNo) ([]byte, error) { return s.entries[seqno], nil },
	}
}

// random commits transactions with random writes and removals.
func (s *service) random(rng *rand.Rand, transactions int) {
	for range transactions {
		ws := &kv.WriteSet{}
		for _, name := range []string{"a", "b", "public:a", "public:b", "public", "private:x", "ä"} {
			m := kv.MapWrites{Name: name}
			seen := map[string]bool{}
			for range rng.IntN(4) {
				key := make([]byte, rng.IntN(3))
				for i := range key {
					key[i] = byte(rng.IntN(12))
				}
				switch {
				case seen[string(key)]:
				case rng.IntN(4) == 0:
					m.Removes = append(m.Removes, key)
				default:
					m.Writes = append(m.Writes, kv.Write{Key: key, Value: bytes.Repeat([]byte{byte(rng.Uint32())}, rng.IntN(40))})
				}
				seen[string(key)] = true
			}
			if len(m.Writes)+len(m.Removes) > 0 {
				ws.Maps = append(ws.Maps, m)
			}
		}
		s.commit(ws, [32]byte{})
	}
}

// TestRoundTrip loads what was written of random states.
func TestRoundTrip(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			s := newService(t, synod.View(2+rng.IntN(3)))
			s.random(rng, rng.IntN(200))
			file, trust := s.snapshot()
			at := trust.Name.SeqNo
			then, err := s.store.BeginAt(at)
			must(t, err)
			defer then.Release()

			store := kv.New()
			got, err := Load(bytes.NewReader(file), int64(len(file)), trust, s.chain, store)
			must(t, err)
			want := dumpTx(then)
			if have := dump(store); !mapsEqual(want, have) {
				t.Errorf("loaded %v, want %v", have, want)
			}
			if (got.TxID != synod.TxID{View: s.view, SeqNo: at}) || !slices.Equal(got.ViewStarts, s.views) {
				t.Errorf("loaded at %s with views from %v", got.TxID, got.ViewStarts)
			}
			root, err := s.tree.RootAt(at)
			must(t, err)
			if got.Tree.Root() != root {
				t.Error("another tree")
			}
			// What is loaded goes on like what it was made from.
			must(t, store.Commit(nil, synod.TxID{View: s.view, SeqNo: at + 1}))
			store.Rollback(synod.TxID{View: s.view, SeqNo: at})
			store.Compact(at)
		})
	}
}

func mapsEqual(a, b map[string]string) bool {
	for name := range a {
		if a[name] != b[name] {
			return false
		}
	}
	return len(a) == len(b)
}
