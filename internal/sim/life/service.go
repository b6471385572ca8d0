package life

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"

	"synod"
	"synod/internal/evidence"
	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/machine"
	"synod/internal/sealing"
	"synod/internal/secrets"
	"synod/internal/snapshot"
	"synod/internal/tables"
	"synod/receipt"
)

// chunkSize has chunks end after some entries.
const chunkSize = 6 << 10

// service is one life of the node's process.
type service struct {
	w       *world
	key     *ecdsa.PrivateKey // the service's
	cert    string            // its certificate, PEM
	signer  *evidence.Signer
	store   *kv.Store
	tree    *evidence.Tree
	chain   *secrets.Chain
	machine *machine.Machine
	log     *ledger.Log
	snaps   *snapshot.Dir
	view    synod.View
	starts  []synod.SeqNo // of views
	queue   [][]byte      // entries that are not on disk
	open    bool          // the service takes writes
}

// newService makes the parts of a process that do not depend on what is on disk.
func (w *world) newService() (*service, error) {
	s := &service{w: w, store: kv.New(), tree: evidence.NewTree(), chain: secrets.NewChain()}
	s.machine = machine.New(s.store, s.tree, s.chain, chunkSize)
	var err error
	s.snaps, err = snapshot.OpenDir(snapshot.Config{Main: snapshotDir, FS: w.fs()})
	return s, err
}

func (w *world) openLog(after synod.SeqNo) (*ledger.Log, error) {
	return ledger.Open(ledger.Config{Dir: ledgerDir, FS: w.fs(), After: after, Recover: w.promised > 0, Log: slog.New(slog.DiscardHandler)})
}

// become gives the process the service's key and a node key.
func (s *service) become(key, node *ecdsa.PrivateKey, cert string) error {
	if cert == "" {
		der, err := identity.SelfSigned(key, identity.SelfSignedRequest{Subject: "CN=CCF Service", NotBefore: now, Days: 1})
		if err != nil {
			return err
		}
		cert = identity.CertPEM(der)
	}
	parsed, err := identity.ParseCertPEM([]byte(cert))
	if err != nil {
		return err
	}
	csr, err := identity.NewCSR(node, "CN=CCF Node", nil)
	if err != nil {
		return err
	}
	endorsed, err := identity.Endorse(csr, key, parsed, now, 1)
	if err != nil {
		return err
	}
	s.key, s.cert = key, cert
	s.signer = &evidence.Signer{
		NodeID: identity.NodeIDOf(&node.PublicKey), NodeKey: node, NodeCert: func() string { return endorsed },
		ServiceKey: key, ServiceKID: identity.ServiceKID(&key.PublicKey), Now: nowFunc,
	}
	return nil
}

// order makes a transaction the next entry.
func (s *service) order(claims [32]byte, flags kv.Flag, run func(*kv.Tx) error) (synod.TxID, error) {
	id := synod.TxID{View: s.view, SeqNo: s.store.Tip().SeqNo + 1}
	tx := s.store.Begin()
	defer tx.Release()
	if err := run(tx); err != nil {
		return id, err
	}
	if flags != 0 {
		tx.SetFlag(flags)
	}
	raw, err := s.machine.Order(machine.Prepare(tx, claims), id)
	if err != nil {
		return id, err
	}
	s.enqueue(raw)
	return id, nil
}

func (s *service) enqueue(raw []byte) {
	s.queue = append(s.queue, bytes.Clone(raw))
	s.w.written = append(s.w.written, s.queue[len(s.queue)-1])
}

// commit signs, stores what waits, and commits it: it is promised from then on, if
// the service is one.
func (s *service) commit() (*evidence.Signature, error) {
	last := s.store.Tip().SeqNo
	serialised, err := s.tree.Serialise(last)
	if err != nil {
		return nil, err
	}
	sig, err := s.signer.Sign(synod.TxID{View: s.view, SeqNo: last + 1}, s.tree.Root(), serialised)
	if err != nil {
		return nil, err
	}
	raw, err := s.machine.OrderSignature(sig.WriteSet, sig.TxID)
	if err != nil {
		return nil, err
	}
	s.enqueue(raw)
	if s.w.cfg.Bug == CommitBeforeAppend && s.open {
		s.w.promise()
	}
	first := sig.TxID.SeqNo - synod.SeqNo(len(s.queue)) + 1
	if err := s.log.Append(first, s.queue); err != nil {
		return nil, err
	}
	s.queue = nil
	if s.open {
		s.w.promise()
	}
	s.machine.Commit(sig.TxID.SeqNo)
	return sig, s.log.Commit(sig.TxID.SeqNo)
}

// genesis makes a new service, which is one once it is open.
func (w *world) genesis() (*service, error) {
	s, err := w.newService()
	if err != nil {
		return nil, err
	}
	if s.log, err = w.openLog(0); err != nil {
		return nil, err
	}
	if err := s.become(keys[0], keys[4], ""); err != nil {
		return nil, err
	}
	secret := secretOf(w.rng.Uint64())
	s.chain.Set(1, secret)
	w.secrets = s.chain.All()
	w.certs = []string{s.cert}
	s.view, s.starts = 2, []synod.SeqNo{1, 1}
	if _, err := s.order([32]byte{}, 0, func(tx *kv.Tx) error {
		return s.create(tx, tables.ServiceInfo{Cert: s.cert, Status: tables.ServiceOpening, CurrentServiceCreateTxID: &synod.TxID{View: 2, SeqNo: 1}})
	}); err != nil {
		return nil, err
	}
	if _, err := s.commit(); err != nil {
		return nil, err
	}
	if _, err := s.order([32]byte{}, kv.FlagForceChunk, func(tx *kv.Tx) error {
		if err := tables.PutJSON(tx, tables.SealedResume, tables.UnitKey(), tables.SealedResumePolicy{Allowed: w.cfg.Seed%2 == 0}); err != nil {
			return err
		}
		return s.markOpen(tx)
	}); err != nil {
		return nil, err
	}
	s.open = true
	if _, err := s.commit(); err != nil {
		return nil, err
	}
	return s, s.seal()
}

// create writes the rows of a service's first transaction.
func (s *service) create(tx *kv.Tx, info tables.ServiceInfo) error {
	id := []byte(s.signer.NodeID)
	tx.Put(tables.NodeEndorsedCertificates, id, []byte(s.signer.NodeCert()))
	if err := tables.PutJSON(tx, tables.Nodes, id, tables.NodeInfo{Status: tables.NodeTrusted}); err != nil {
		return err
	}
	return tables.PutJSON(tx, tables.Service, tables.UnitKey(), info)
}

// markOpen writes the rows with which a service opens: its status, and the ledger
// secret before its present one.
func (s *service) markOpen(tx *kv.Tx) error {
	all := s.chain.All()
	latest := all[len(all)-1]
	link := tables.EncryptedPastSecret{NextVersion: new(uint64(latest.From))}
	if len(all) > 1 {
		before := all[len(all)-2]
		wrapped, err := latest.Secret.Wrap(before.Secret)
		if err != nil {
			return err
		}
		link.PreviousLedgerSecret = &tables.PreviousSecret{EncryptedData: wrapped, PreviousSecretStoredVersion: stored(tx), Version: before.From}
	}
	if err := tables.PutJSON(tx, tables.HistoricalLedgerSecret, tables.UnitKey(), link); err != nil {
		return err
	}
	info, _, err := tables.GetJSON[tables.ServiceInfo](tx, tables.Service, tables.UnitKey())
	if err != nil {
		return err
	}
	info.Status = tables.ServiceOpen
	return tables.PutJSON(tx, tables.Service, tables.UnitKey(), info)
}

func stored(tx *kv.Tx) *uint64 {
	if v, ok := tx.VersionOfPreviousWrite(tables.HistoricalLedgerSecret, tables.UnitKey()); ok {
		return new(uint64(v))
	}
	return nil
}

// goOn does some of what a service does.
func (s *service) goOn(steps int) error {
	for range steps {
		var err error
		switch r := s.w.rng.IntN(10); {
		case r < 5:
			err = s.write()
		case r < 7:
			_, err = s.commit()
		case r < 8:
			err = s.rekey()
		case r < 9:
			err = s.takeSnapshot()
		default:
			_, err = s.order([32]byte{}, kv.FlagForceChunk, func(tx *kv.Tx) error { tx.Put("public:chunk", []byte("k"), []byte("v")); return nil })
			if err == nil {
				_, err = s.commit()
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *service) write() error {
	k, v := []byte{byte(s.w.rng.IntN(8))}, make([]byte, s.w.rng.IntN(300))
	for i := range v {
		v[i] = byte(s.w.rng.Uint32())
	}
	_, err := s.order([32]byte{}, 0, func(tx *kv.Tx) error {
		tx.Put("private", k, v)
		tx.Put("public:records", k, v[:len(v)/2])
		return nil
	})
	return err
}

// rekey makes a new ledger secret for the entries to come.
func (s *service) rekey() error {
	from, old := s.chain.Latest()
	next := secretOf(s.w.rng.Uint64())
	id, err := s.order([32]byte{}, 0, func(tx *kv.Tx) error {
		wrapped, err := next.Wrap(old)
		if err != nil {
			return err
		}
		return tables.PutJSON(tx, tables.HistoricalLedgerSecret, tables.UnitKey(), tables.EncryptedPastSecret{
			PreviousLedgerSecret: &tables.PreviousSecret{EncryptedData: wrapped, PreviousSecretStoredVersion: stored(tx), Version: from},
		})
	})
	if err != nil {
		return err
	}
	s.chain.Add(secrets.Entry{From: id.SeqNo + 1, Secret: next, StoredAt: id.SeqNo})
	s.w.secrets = s.chain.All()
	if _, err := s.commit(); err != nil {
		return err
	}
	return s.seal()
}

// seal seals the service, if members allow it.
func (s *service) seal() error {
	tx := s.store.Begin()
	defer tx.Release()
	at, err := sealing.Allowed(tx)
	if err != nil || at == 0 {
		return err
	}
	from, _ := s.chain.Latest()
	if s.w.cfg.Bug != KeepOldSecret || s.w.sealed == nil {
		if _, err := s.w.sealedDir().Write(&sealing.Service{
			Key: s.key, Certificate: s.cert, Secrets: s.chain.All(), PolicyAt: at,
			Committed: synod.TxID{View: s.view, SeqNo: s.store.Compacted().SeqNo},
		}); err != nil {
			return err
		}
	}
	s.w.sealed = &sealedState{from, at}
	return nil
}

// takeSnapshot writes the state after a signature, records it and completes it.
func (s *service) takeSnapshot() error {
	if _, err := s.commit(); err != nil {
		return err
	}
	at := s.store.Tip().SeqNo
	leaf, err := s.tree.Leaf(at)
	if err != nil {
		return err
	}
	tx, err := s.store.BeginAt(at)
	if err != nil {
		return err
	}
	defer tx.Release()
	p, err := s.snaps.Write(context.Background(), snapshot.State{Tx: tx, Leaf: leaf, ViewStarts: s.starts, Secrets: s.chain})
	if err != nil {
		return err
	}
	ws, err := p.Record()
	if err != nil {
		return err
	}
	id, err := s.order(p.Digest, 0, func(tx *kv.Tx) error {
		row := ws.Maps[0].Writes[0]
		tx.Put(ws.Maps[0].Name, row.Key, row.Value)
		return nil
	})
	if err != nil {
		return err
	}
	if err := p.Recorded(id.SeqNo); err != nil {
		return err
	}
	sig, err := s.commit()
	if err != nil {
		return err
	}
	text, err := s.receipt(id, p.Digest, sig)
	if err != nil {
		return err
	}
	if _, err := p.Complete(text); err != nil {
		return err
	}
	s.w.snapshot = at
	return nil
}

func (s *service) receipt(id synod.TxID, claims [32]byte, sig *evidence.Signature) ([]byte, error) {
	secret, err := s.chain.At(id.SeqNo)
	if err != nil {
		return nil, err
	}
	raw, err := s.log.Read(id.SeqNo, id.SeqNo, 0)
	if err != nil {
		return nil, err
	}
	path, err := s.tree.Path(id.SeqNo, sig.TxID.SeqNo-1)
	if err != nil {
		return nil, err
	}
	return json.Marshal(receipt.New(receipt.Signature{Sig: sig.Record.Sig, Cert: sig.Record.Cert, NodeID: sig.Record.Node}, receipt.LeafComponents{
		CommitEvidence: string(secret.CommitEvidence(nil, id)), ClaimsDigest: claims, WriteSetDigest: sha256.Sum256(raw[0]),
	}, path))
}

func (s *service) close() error {
	if _, err := s.commit(); err != nil {
		return err
	}
	return s.log.Close()
}

func secretOf(n uint64) *secrets.Secret {
	raw := [secrets.Size]byte{1}
	for i := range 8 {
		raw[i+1] = byte(n >> (8 * i))
	}
	return secrets.SecretFrom(raw)
}

// viewsTo extends where views start to a new one at an entry.
func viewsTo(starts []synod.SeqNo, view synod.View, at synod.SeqNo) []synod.SeqNo {
	starts = slices.Clone(starts)
	for synod.View(len(starts)) < view {
		starts = append(starts, at)
	}
	return starts
}

func broken(format string, a ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errLost}, a...)...)
}
