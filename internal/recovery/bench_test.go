package recovery_test

import (
	"encoding/json"
	"fmt"
	"syscall"
	"testing"
	"time"

	"synod"
	"synod/internal/evidence"
	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/machine"
	"synod/internal/merkle"
	"synod/internal/recovery"
	"synod/internal/secrets"
	"synod/internal/tables"
)

// generated is a ledger of a service of one node, a signature after each hundred
// private writes of 32 bytes.
type generated struct {
	dir   string
	chain *secrets.Chain
	last  synod.SeqNo
	bytes int64
}

func generate(t testing.TB, entries int, public bool) *generated {
	t.Helper()
	g := &generated{dir: t.TempDir(), chain: secrets.NewChain()}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	serviceKey, err := identity.NewKey(identity.Secp384r1)
	must(err)
	nodeKey, err := identity.NewKey(identity.Secp384r1)
	must(err)
	now := time.Unix(1_700_000_000, 0)
	der, err := identity.SelfSigned(serviceKey, identity.SelfSignedRequest{Subject: "CN=CCF Service", NotBefore: now, Days: 1})
	must(err)
	cert, err := identity.ParseCertPEM([]byte(identity.CertPEM(der)))
	must(err)
	csr, err := identity.NewCSR(nodeKey, "CN=CCF Node", nil)
	must(err)
	endorsed, err := identity.Endorse(csr, serviceKey, cert, now, 1)
	must(err)
	node := identity.NodeIDOf(&nodeKey.PublicKey)
	signer := &evidence.Signer{
		NodeID: node, NodeKey: nodeKey, NodeCert: func() string { return endorsed },
		ServiceKey: serviceKey, ServiceKID: identity.ServiceKID(&serviceKey.PublicKey),
		Issuer: "issuer", Subject: "subject", Now: func() time.Time { return now },
	}
	g.chain.Set(1, secrets.SecretFrom([32]byte{1, 2, 3}))
	store, tree := kv.New(), evidence.NewTree()
	m := machine.New(store, tree, g.chain, 5<<20)
	log, err := ledger.Open(ledger.Config{Dir: g.dir})
	must(err)
	defer log.Close()
	next := func() synod.TxID { return synod.TxID{View: 2, SeqNo: store.Tip().SeqNo + 1} }
	var batch [][]byte
	order := func(fn func(*kv.Tx)) {
		t.Helper()
		tx := store.Begin()
		defer tx.Release()
		fn(tx)
		raw, err := m.Order(machine.Prepare(tx, [32]byte{}), next())
		must(err)
		batch = append(batch, raw)
	}
	order(func(tx *kv.Tx) {
		tx.Put(tables.NodeEndorsedCertificates, []byte(node), []byte(endorsed))
		tx.Put(tables.Nodes, []byte(node), []byte(`{"status":"Trusted"}`))
		info, err := json.Marshal(tables.ServiceInfo{Cert: identity.CertPEM(der), Status: tables.ServiceOpening})
		must(err)
		tx.Put(tables.Service, tables.UnitKey(), info)
	})
	name := "records"
	if public {
		name = "public:records"
	}
	for i := range entries {
		order(func(tx *kv.Tx) {
			tx.Put(name, fmt.Appendf(nil, "%08d", i*7919%100_000), []byte("0123456789abcdef0123456789abcdef"))
		})
		if i%100 != 99 && i != entries-1 {
			continue
		}
		id := next()
		serialised, err := tree.Serialise(id.SeqNo - 1)
		must(err)
		sig, err := signer.Sign(id, tree.Root(), serialised)
		must(err)
		raw, err := m.OrderSignature(sig.WriteSet, id)
		must(err)
		batch = append(batch, raw)
		must(log.Append(id.SeqNo+1-synod.SeqNo(len(batch)), batch))
		batch = batch[:0]
		m.Commit(id.SeqNo)
		must(log.Commit(id.SeqNo))
		g.last = id.SeqNo
	}
	must(ledger.Walk(g.dir, ledger.WalkOptions{Uncommitted: true}, func(_ ledger.Place, e *ledger.Entry) error {
		g.bytes += int64(len(e.Raw))
		return nil
	}))
	return g
}

// BenchmarkReplay is how fast a recovery reads a ledger of one-key transactions:
// first the public part, then, with the secrets, the private one.
func BenchmarkReplay(b *testing.B) {
	const entries = 200_000
	for _, kind := range []string{"private", "public"} {
		g := generate(b, entries, kind == "public")
		open := func() *ledger.Log {
			log, err := ledger.Open(ledger.Config{Dir: g.dir, Recover: true})
			if err != nil {
				b.Fatal(err)
			}
			return log
		}
		run := func(b *testing.B, replay func(*ledger.Log)) {
			b.SetBytes(g.bytes)
			began := processor(b)
			for b.Loop() {
				log := open()
				replay(log)
				if err := log.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(g.last)*float64(b.N)/b.Elapsed().Seconds(), "tx/s")
			// What a machine with nothing else to do would show lies between this and
			// its number of cores times this.
			b.ReportMetric(float64(g.bytes)*float64(b.N)/1e6/(processor(b)-began).Seconds(), "MB/core-s")
		}
		b.Run(kind+"/public", func(b *testing.B) {
			run(b, func(log *ledger.Log) {
				out, err := recovery.Public(b.Context(), log, kv.New(), recovery.Begin{}, func(synod.TxID) {})
				if err != nil || out.Last.SeqNo != g.last {
					b.Fatal(out, err)
				}
			})
		})
		b.Run(kind+"/private", func(b *testing.B) {
			run(b, func(log *ledger.Log) {
				p := recovery.NewPrivate(log, g.chain, kv.NewBase(), merkle.New(), 0)
				if err := p.Run(b.Context(), g.last); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// processor is the processor time that the process has spent.
func processor(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
