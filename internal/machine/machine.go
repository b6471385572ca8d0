package machine

import (
	"crypto/sha256"
	"fmt"

	"synod"
	"synod/internal/evidence"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/secrets"
)

// Machine is the state that entries act on: the store, the tree, the secrets
// that seal them and the bookkeeping of chunks.
type Machine struct {
	Tree *evidence.Tree
	// OnSecrets is told of each write to the broadcast of ledger secrets, as
	// soon as its entry has its place: the next entry may need them. An error
	// refuses the entry. It may be told twice of one entry.
	OnSecrets func(synod.TxID, kv.MapWrites) error

	store     *kv.Store
	secrets   *secrets.Chain
	chunks    chunker
	snapshots schedule
	text      []byte // scratch for commit evidence

	origin synod.SeqNo // entries before it are of services before this one
	hidden bool        // the store holds public maps alone
	latest []placed    // while hidden: what is in the store and not committed, oldest first
}

// placed is a write set in the store.
type placed struct {
	id synod.TxID
	ws *kv.WriteSet
}

// New makes a machine over an empty store and tree. chunkSize is the size in
// bytes after which a signature ends the ledger chunk; 2 GiB at most.
func New(store *kv.Store, tree *evidence.Tree, chain *secrets.Chain, chunkSize uint64) *Machine {
	return &Machine{Tree: tree, store: store, secrets: chain, chunks: chunker{threshold: min(chunkSize, thresholdMax)}}
}

// Order gives a prepared transaction its place: it checks what the transaction
// read, seals and hashes the entry, and installs it in store and tree. The
// bytes are the machine's until raft has taken them. The error is
// kv.ErrConflict, and then nothing has changed.
func (m *Machine) Order(p *Prepared, id synod.TxID) ([]byte, error) {
	if err := m.store.Check(p.tx); err != nil {
		return nil, err
	}
	flags := p.tx.Flags()
	var header byte
	if flags&kv.FlagChunkBefore != 0 {
		header |= ledger.FlagForceChunkBefore
	}
	entry, err := m.install(&p.frame, p.ws, p.claims, id, header, flags&(kv.FlagForceChunk|kv.FlagSnapshot) != 0)
	if err == nil && flags&kv.FlagSnapshot != 0 {
		m.snapshots.asked = id.SeqNo
	}
	return entry, err
}

// OrderSignature is Order for a signature transaction, which reads nothing
// and decides whether its chunk ends with it.
func (m *Machine) OrderSignature(ws *kv.WriteSet, id synod.TxID) ([]byte, error) {
	f := layOut(ws, [32]byte{})
	var header byte
	if snapshot := m.snapshots.signed(id.SeqNo); snapshot || m.chunks.due() {
		header = ledger.FlagForceChunkAfter
	}
	return m.install(&f, ws, [32]byte{}, id, header, false)
}

func (m *Machine) install(f *frame, ws *kv.WriteSet, claims [32]byte, id synod.TxID, header byte, forceChunk bool) ([]byte, error) {
	secret, err := m.secrets.At(id.SeqNo)
	if err != nil {
		return nil, fmt.Errorf("order %s: %w", id, err)
	}
	m.text = secret.CommitEvidence(m.text[:0], id)
	evidenceDigest := sha256.Sum256(m.text)
	f.place(id, header, evidenceDigest)
	entry := f.seal(secret, id)

	if err := m.takeSecrets(id, ws); err != nil {
		return nil, fmt.Errorf("order %s: %w", id, err)
	}
	digest := sha256.Sum256(entry)
	m.Tree.Append(leaf(digest, evidenceDigest, claims))
	m.Install(id, ws)
	m.chunks.added(id.SeqNo, len(entry), header&ledger.FlagForceChunkBefore != 0, header&ledger.FlagForceChunkAfter != 0, forceChunk)
	return entry, nil
}

// leaf is the Merkle leaf of an entry (CCF: src/node/rpc/claims.h). The entry
// holds claims before evidence, the leaf the other way round.
func leaf(writeSet, evidence, claims [32]byte) [32]byte {
	var b [96]byte
	copy(b[:32], writeSet[:])
	copy(b[32:64], evidence[:])
	copy(b[64:], claims[:])
	return sha256.Sum256(b[:])
}

// Undo takes back every entry above id, the newest that stays. None of them
// may be committed.
func (m *Machine) Undo(id synod.TxID) {
	m.secrets.Truncate(id.SeqNo)
	m.Uninstall(id)
	if err := m.Tree.Retract(id.SeqNo); err != nil {
		panic(fmt.Sprintf("machine: undo to %s: %s", id, err))
	}
	m.chunks.rollback(id.SeqNo)
	m.snapshots.rollback(id.SeqNo)
}

// Commit makes the entries up to a signature final: hooks run and their undo
// is forgotten. It says whether a ledger chunk ends at or below it that has
// not been reported yet.
func (m *Machine) Commit(seqno synod.SeqNo) (chunkEnded bool) {
	m.store.Compact(seqno)
	m.forgetPlaced(seqno)
	m.Tree.Flush(seqno)
	m.snapshots.committed(seqno)
	return m.chunks.commit(seqno)
}
