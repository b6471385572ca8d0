package machine

import (
	"encoding/binary"
	"fmt"

	"synod"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/secrets"
)

// Prepared is an executed transaction with its ledger entry laid out in one
// buffer, so that ordering only fills in what depends on its place.
type Prepared struct {
	tx     *kv.Tx
	ws     *kv.WriteSet
	claims [32]byte
	frame  frame
}

// frame is an entry before it is sealed: header, tag, IV and public domain in
// their places, then the private domain in plain, then room for a tag.
type frame struct {
	buf     []byte
	private int // offset of the private domain
}

// Offsets in the public domain of an entry of type 4, from the entry's start
// (CCF: src/kv/serialised_entry_format.h).
const (
	seqnoAt    = ledger.PublicAt + 1
	claimsAt   = seqnoAt + 8
	evidenceAt = claimsAt + 32
	mapsAt     = evidenceAt + 32 + 8
)

// EntryMax bounds the ledger entry of one transaction, in bytes, as CCF's
// largest message does (CCF: memory.max_msg_size).
const EntryMax = 64 << 20

// ErrTooLarge says that a transaction writes more than one entry may hold.
var ErrTooLarge = fmt.Errorf("the transaction writes more than %d bytes, the most that one may write", EntryMax)

// Size is the size of the ledger entry in bytes, 0 if the transaction writes
// more than EntryMax and cannot be ordered.
func (p *Prepared) Size() int { return len(p.frame.buf) }

// Prepare lays out what a transaction wrote. The transaction must have written
// something; it may be released once the entry is ordered. Prepare runs on the
// goroutine that executed the transaction.
func Prepare(tx *kv.Tx, claims [32]byte) *Prepared {
	ws := tx.WriteSet()
	if ws.EncodedSize() > EntryMax-mapsAt-secrets.TagSize {
		return &Prepared{tx: tx}
	}
	return &Prepared{tx: tx, ws: ws, claims: claims, frame: layOut(ws, claims)}
}

// WriteSet is what the transaction wrote.
func (p *Prepared) WriteSet() *kv.WriteSet { return p.ws }

// Release releases the transaction, for those who have handed it over.
func (p *Prepared) Release() { p.tx.Release() }

func layOut(ws *kv.WriteSet, claims [32]byte) frame {
	buf := make([]byte, mapsAt, mapsAt+ws.EncodedSize()+secrets.TagSize)
	buf[ledger.PublicAt] = byte(ledger.TypeWriteSetWithCommitEvidenceAndClaims)
	copy(buf[claimsAt:], claims[:])
	buf = kv.AppendDomain(buf, ws, true)
	private := len(buf)
	binary.LittleEndian.PutUint64(buf[ledger.LengthAt:], uint64(private-ledger.PublicAt))
	if ws.HasPrivate() {
		buf = kv.AppendDomain(buf, ws, false)
	}
	ledger.PutHeader(buf, 0, len(buf)-ledger.HeaderSize)
	return frame{buf: buf, private: private}
}

// place fills in the entry's place and the digest of its commit evidence.
func (f *frame) place(id synod.TxID, flags byte, evidence [32]byte) {
	buf := f.buf
	ledger.PutHeader(buf, flags, len(buf)-ledger.HeaderSize)
	binary.LittleEndian.PutUint64(buf[seqnoAt:], uint64(id.SeqNo))
	copy(buf[evidenceAt:], evidence[:])
}

// seal encrypts the private domain where it stands and returns the entry.
func (f *frame) seal(secret *secrets.Secret, id synod.TxID) []byte {
	iv := secrets.IV(id, false)
	tag := secret.SealInPlace(iv, f.buf[f.private:], f.buf[ledger.PublicAt:f.private])
	copy(f.buf[ledger.TagAt:], tag[:])
	copy(f.buf[ledger.IVAt:], iv[:])
	return f.buf
}
