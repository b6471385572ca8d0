package machine

import (
	"crypto/sha256"
	"encoding/json"
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
func (m *Machine) Receive(raw []byte) (*Received, error) { return m.Take(m.Open(raw)) }

// Opened is an entry that is parsed, decrypted and hashed, and not taken yet.
type Opened struct {
	Entry  *ledger.Entry   // nil if the bytes are none
	secret *secrets.Secret // that it was opened with; nil if there was none
	rec    *Received
	leaf   [32]byte
	err    error
}

// Open does of Receive what depends on no other entry, which is most of it. It may
// be called from several goroutines at once.
func (m *Machine) Open(raw []byte) *Opened {
	o := &Opened{}
	if o.Entry, o.err = ledger.ParseEntry(raw); o.err != nil {
		return o
	}
	if o.rec, o.secret, o.err = m.open(o.Entry); o.err != nil {
		o.err = fmt.Errorf("entry %s: %w", o.Entry.TxID, o.err)
		return o
	}
	o.leaf = o.Entry.Leaf()
	return o
}

// Take does the rest of Receive: the entry is the next of the log. If another secret
// has come for its place since it was opened, it is opened again.
func (m *Machine) Take(o *Opened) (*Received, error) {
	if o.Entry != nil {
		if secret, err := m.secrets.At(o.Entry.TxID.SeqNo); err == nil && secret != o.secret {
			o = m.Open(o.Entry.Raw)
		}
	}
	if o.err != nil {
		return nil, o.err
	}
	e, rec := o.Entry, o.rec
	if e.TxID.SeqNo >= m.origin {
		var err error
		if rec.Signature, err = evidence.Read(rec.ID, rec.WriteSet, m.Tree.Root); err == nil {
			err = m.takeSecrets(rec.ID, rec.WriteSet)
		}
		if err != nil {
			return nil, fmt.Errorf("entry %s: %w", e.TxID, err)
		}
	}
	m.Tree.Append(o.leaf)
	if rec.Signature != nil {
		m.snapshots.signed(rec.ID.SeqNo)
	}
	m.chunks.added(rec.ID.SeqNo, len(e.Raw), e.Flags&ledger.FlagForceChunkBefore != 0, e.Flags&ledger.FlagForceChunkAfter != 0, false)
	return rec, nil
}

// open decodes what an entry writes, and decrypts it if there is a secret for
// its place. Without one, only the public part is known.
func (m *Machine) open(e *ledger.Entry) (*Received, *secrets.Secret, error) {
	if e.TxID.SeqNo < m.origin {
		return m.openPast(e)
	}
	if e.Type != ledger.TypeWriteSetWithCommitEvidenceAndClaims {
		return nil, nil, fmt.Errorf("entry type %d is not written any more", e.Type)
	}
	secret, err := m.secrets.At(e.TxID.SeqNo)
	if err != nil {
		return nil, nil, err
	}
	var text [evidenceSize]byte
	if sha256.Sum256(secret.CommitEvidence(text[:0], e.TxID)) != e.Evidence {
		return nil, secret, errors.New("the commit evidence is not this service's")
	}
	maps, err := Open(e, secret)
	if err != nil {
		return nil, secret, err
	}
	return &Received{ID: e.TxID, WriteSet: maps, Size: len(e.Raw)}, secret, nil
}

// evidenceSize is more than a commit evidence has, in bytes.
const evidenceSize = 128

// openPast is open for an entry of a service before this one, which may be older
// in form. The signatures of this service cover it.
func (m *Machine) openPast(e *ledger.Entry) (*Received, *secrets.Secret, error) {
	rec := &Received{ID: e.TxID, Size: len(e.Raw)}
	secret, err := m.secrets.At(e.TxID.SeqNo)
	switch {
	case err == nil:
		rec.WriteSet, err = Open(e, secret)
	case errors.Is(err, secrets.ErrNoSecret):
		var public []kv.MapWrites
		public, err = kv.DecodeDomain(e.PublicMaps, true)
		if err != nil {
			err = fmt.Errorf("public domain: %w", err)
		}
		rec.WriteSet = &kv.WriteSet{Maps: public}
	}
	if err != nil {
		return nil, secret, err
	}
	if e.IsSignature() {
		rec.Signature = &evidence.Signature{TxID: e.TxID, WriteSet: rec.WriteSet}
	}
	return rec, secret, nil
}

// Open decrypts an entry with the secret for its place, and decodes what it
// writes, maps in ascending order.
func Open(e *ledger.Entry, secret *secrets.Secret) (*kv.WriteSet, error) {
	private, err := secret.Open(secrets.IV(e.TxID, false), e.Tag, e.Cipher, e.Public)
	if err != nil {
		return nil, err
	}
	maps, err := kv.DecodeDomain(e.PublicMaps, true)
	if err != nil {
		return nil, fmt.Errorf("public domain: %w", err)
	}
	hidden, err := kv.DecodeDomain(private, false)
	if err != nil {
		return nil, fmt.Errorf("private domain: %w", err)
	}
	maps = append(maps, hidden...)
	slices.SortFunc(maps, func(a, b kv.MapWrites) int {
		if a.Name < b.Name {
			return -1
		}
		return 1 // names differ
	})
	return &kv.WriteSet{Maps: maps}, nil
}

// StoredSecret finds what an entry's public maps write to
// historical_encrypted_ledger_secret: the ledger secret that it puts out of use. It
// says whether they do.
func StoredSecret(publicMaps []byte) (row tables.EncryptedPastSecret, found bool, err error) {
	maps, err := kv.DecodeDomain(publicMaps, true)
	if err != nil {
		return row, false, err
	}
	for _, m := range maps {
		if m.Name == tables.HistoricalLedgerSecret && len(m.Writes) == 1 {
			return row, true, json.Unmarshal(m.Writes[0].Value, &row)
		}
	}
	return row, false, nil
}

// Install puts an entry into the store, whose tip is the entry before.
func (m *Machine) Install(id synod.TxID, ws *kv.WriteSet) {
	if m.hidden {
		m.latest = append(m.latest, placed{id, ws})
		ws = ws.Public()
	}
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
	for n := len(m.latest); n > 0 && m.latest[n-1].id.SeqNo > id.SeqNo; n = len(m.latest) {
		m.latest = m.latest[:n-1]
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

// Overtake brings store and tree to a state that was loaded elsewhere: that right
// after a committed signature beyond what is installed. What of the log is above the
// installed part goes with the tree, and its secrets with it.
func (m *Machine) Overtake(loaded *kv.Store, tree *evidence.Tree) {
	at := loaded.Tip().SeqNo
	m.store.Advance(loaded)
	m.Tree.Adopt(tree)
	m.latest = nil
	m.chunks = chunker{threshold: m.chunks.threshold, lastEnd: at, forced: at, reported: at}
	m.snapshots = schedule{off: m.snapshots.off, every: m.snapshots.every, last: at}
}
