package machine

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"synod"
	"synod/internal/evidence"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/secrets"
	"synod/internal/tables"
)

// Received is an entry that another node ordered, or that was read back from
// disk: checked, opened and in the tree, but not in the store.
type Received struct {
	ID       synod.TxID
	WriteSet *kv.WriteSet
	Size     int // bytes of the entry
	// Signature is set for a signature transaction. Its root is the tree's; the
	// two signatures are not verified yet.
	Signature *evidence.Signature
}

// Receive takes the next entry of the log into tree and bookkeeping: it opens
// it with the secret for its place and checks tag, commit evidence and, of a
// signature, the root. The store is as before; Install follows once the entry
// is committed. After an error nothing has changed.
func (m *Machine) Receive(raw []byte) (*Received, error) {
	e, err := ledger.ParseEntry(raw)
	if err != nil {
		return nil, err
	}
	rec, evidenceDigest, err := m.open(e)
	if err != nil {
		return nil, fmt.Errorf("entry %s: %w", e.TxID, err)
	}
	if rec.Signature, err = evidence.Read(rec.ID, rec.WriteSet, m.Tree.Root()); err != nil {
		return nil, fmt.Errorf("entry %s: %w", e.TxID, err)
	}
	if err := m.takeSecrets(rec.ID, rec.WriteSet); err != nil {
		return nil, fmt.Errorf("entry %s: %w", e.TxID, err)
	}
	m.Tree.Append(leaf(sha256.Sum256(raw), evidenceDigest, e.Claims))
	if rec.Signature != nil {
		m.snapshots.signed(rec.ID.SeqNo)
	}
	m.chunks.added(rec.ID.SeqNo, len(raw), e.Flags&ledger.FlagForceChunkBefore != 0, e.Flags&ledger.FlagForceChunkAfter != 0, false)
	return rec, nil
}

// open decrypts an entry and decodes what it writes.
func (m *Machine) open(e *ledger.Entry) (*Received, [32]byte, error) {
	var digest [32]byte
	if e.Type != ledger.TypeWriteSetWithCommitEvidenceAndClaims {
		return nil, digest, fmt.Errorf("entry type %d is not written any more", e.Type)
	}
	secret, err := m.secrets.At(e.TxID.SeqNo)
	if err != nil {
		return nil, digest, err
	}
	m.text = secret.CommitEvidence(m.text[:0], e.TxID)
	if digest = sha256.Sum256(m.text); digest != e.Evidence {
		return nil, digest, errors.New("the commit evidence is not this service's")
	}
	private, err := secret.Open(secrets.IV(e.TxID, false), e.Tag, e.Cipher, e.Public)
	if err != nil {
		return nil, digest, err
	}
	maps, err := kv.DecodeDomain(e.PublicMaps, true)
	if err != nil {
		return nil, digest, fmt.Errorf("public domain: %w", err)
	}
	hidden, err := kv.DecodeDomain(private, false)
	if err != nil {
		return nil, digest, fmt.Errorf("private domain: %w", err)
	}
	maps = append(maps, hidden...)
	slices.SortFunc(maps, func(a, b kv.MapWrites) int {
		if a.Name < b.Name {
			return -1
		}
		return 1 // names differ
	})
	return &Received{ID: e.TxID, WriteSet: &kv.WriteSet{Maps: maps}, Size: len(e.Raw)}, digest, nil
}

// Install puts a received entry into the store, whose tip is the entry before.
func (m *Machine) Install(id synod.TxID, ws *kv.WriteSet) {
	if err := m.store.Commit(ws, id); err != nil {
		panic(fmt.Sprintf("machine: install %s: %s", id, err))
	}
}

// Uninstall takes every transaction above id out of the store, and leaves
// their entries in the tree: the log still has them.
func (m *Machine) Uninstall(id synod.TxID) {
	if m.store.Tip().SeqNo > id.SeqNo {
		m.store.Rollback(id)
	}
}

// Installed is the newest transaction in the store.
func (m *Machine) Installed() synod.TxID { return m.store.Tip() }

// takeSecrets passes on new ledger secrets, which seal the entries from the
// next one on.
func (m *Machine) takeSecrets(id synod.TxID, ws *kv.WriteSet) error {
	if m.OnSecrets == nil {
		return nil
	}
	for _, w := range ws.Maps {
		if w.Name == tables.EncryptedLedgerSecrets {
			return m.OnSecrets(id, w)
		}
	}
	return nil
}
