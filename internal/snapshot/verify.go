package snapshot

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"synod"
	"synod/internal/ledger"
	"synod/internal/secrets"
	"synod/receipt"
)

// What can be wrong with a snapshot beside ErrMalformed, ledger.ErrMalformed
// and the errors of package receipt.
var (
	// ErrNoReceipt: nobody vouches for the file; it was never committed, or
	// was written by CCF 1.x.
	ErrNoReceipt = errors.New("the snapshot has no receipt")
	// ErrCOSEReceipt: its receipt is of the newer form that is not read.
	ErrCOSEReceipt = errors.New("the snapshot has a COSE receipt, which is not supported: take one with a JSON receipt")
	// ErrSignatureReceipt: its receipt is that of a signature transaction,
	// which claims nothing.
	ErrSignatureReceipt = errors.New("the snapshot's receipt is of a signature transaction, it proves no snapshot")
	// ErrDigest: what the receipt vouches for is another snapshot.
	ErrDigest = errors.New("the snapshot's digest is not what its receipt claims")
	// ErrEvidence: the transaction that the receipt is of is no evidence of
	// this snapshot.
	ErrEvidence = errors.New("the snapshot's evidence is wrong")
	// ErrInconsistent: its tables contradict its head.
	ErrInconsistent = errors.New("the snapshot contradicts itself")
)

// receiptMax bounds a receipt, in bytes.
const receiptMax = 1 << 20

// Trust is what a snapshot is checked against.
type Trust struct {
	// Service is the PEM certificate of the service that must have endorsed
	// the node that signed: at a join the service's, at a recovery the
	// previous one. Its validity in time does not matter.
	Service []byte
	// Name is the file's; the receipt must be of the evidence that it names.
	// The zero Name is not checked.
	Name ledger.SnapshotName
	// Evidence, if set, returns the ledger entry of the evidence transaction,
	// which must be the one of the receipt and record this snapshot. If it is
	// nil, Load with ledger secrets checks the same without the ledger (see
	// rebuilt). Without either, the receipt may be of a transaction of an
	// application that lets its users choose claims.
	Evidence func(synod.SeqNo) ([]byte, error)
}

// Proof is what a verified snapshot proves about itself.
type Proof struct {
	Entry
	Leaf       [32]byte      // as in State
	ViewStarts []synod.SeqNo // as in State
	Evidence   synod.TxID    // the transaction that recorded the digest
	Signer     synod.NodeID  // the node whose signature vouches for it
}

// Verify checks everything about a snapshot file that can be checked without
// ledger secrets and without loading it. Its memory is constant.
func Verify(file io.ReaderAt, size int64, trust Trust) (*Proof, error) {
	r, err := open(file, size, trust)
	if err != nil {
		return nil, err
	}
	if err := r.source(r.head.MapsAt, r.head.ReceiptAt, func([]byte) {}).drain(); err != nil {
		return nil, err
	}
	if err := r.check(nil); err != nil {
		return nil, err
	}
	return &r.proof, nil
}

// A reader is a file whose receipt has been verified, but not yet what the
// receipt is of.
type reader struct {
	file   io.ReaderAt
	head   *ledger.SnapshotHead
	trust  Trust
	digest hash.Hash // over the entry so far
	public []byte    // the head of the public domain
	claims receipt.Result
	proof  Proof
	buf    []byte
	fault  error // of the file
}

// open reads the head and verifies the receipt: who signed it, and that it is
// of a transaction with claims.
func open(file io.ReaderAt, size int64, trust Trust) (*reader, error) {
	head, err := ledger.ReadSnapshotHead(file, size)
	if err != nil {
		return nil, err
	}
	r := &reader{file: file, head: head, trust: trust, digest: sha256.New(), buf: make([]byte, readBuffer)}
	if err := r.verifyReceipt(size); err != nil {
		return nil, err
	}
	r.proof = Proof{
		Entry: Entry{SeqNo: head.SeqNo, Size: head.ReceiptAt, Digest: r.claims.ClaimsDigest},
		Leaf:  head.Hash, ViewStarts: head.ViewStarts, Evidence: r.claims.TxID, Signer: r.claims.NodeID,
	}
	// The digest is over what was parsed, not over what the disk says the
	// second time.
	fixed := make([]byte, ledger.PublicAt)
	ledger.PutHeader(fixed, 0, int(head.ReceiptAt-ledger.HeaderSize))
	iv := ledger.SnapshotIV(head.SeqNo)
	copy(fixed[ledger.TagAt:], head.Tag[:])
	copy(fixed[ledger.IVAt:], iv[:])
	binary.LittleEndian.PutUint64(fixed[ledger.LengthAt:], uint64(head.CipherAt-ledger.PublicAt))
	r.public = ledger.AppendSnapshotHeader(nil, head.SeqNo, head.Hash, head.ViewStarts)
	binary.LittleEndian.PutUint64(r.public[1+8:], head.MaxConflict)
	r.digest.Write(fixed)
	r.digest.Write(r.public)
	return r, nil
}

func (r *reader) verifyReceipt(size int64) error {
	n := size - r.head.ReceiptAt
	switch {
	case n == 0:
		return ErrNoReceipt
	case n > receiptMax:
		return fmt.Errorf("%w: a receipt of %d bytes", ErrMalformed, n)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(io.NewSectionReader(r.file, r.head.ReceiptAt, n), text); err != nil {
		return err
	}
	if text[0] == coseSign1 {
		return ErrCOSEReceipt
	}
	rec, err := receipt.Parse(text)
	if err != nil {
		return err
	}
	if rec.LeafComponents == nil {
		return ErrSignatureReceipt
	}
	if rec.LeafComponents.WithoutClaims {
		return fmt.Errorf("%w: its receipt claims nothing", ErrEvidence)
	}
	if r.claims, err = rec.Verify(receipt.Options{ServiceCert: r.trust.Service}); err != nil {
		return err
	}
	if at := r.claims.TxID.SeqNo; at <= r.head.SeqNo {
		return fmt.Errorf("%w: transaction %s is not after the snapshot at %d", ErrEvidence, r.claims.TxID, r.head.SeqNo)
	}
	if name := r.trust.Name; name != (ledger.SnapshotName{}) &&
		(name.SeqNo != r.head.SeqNo || name.Evidence != r.claims.TxID.SeqNo) {
		return fmt.Errorf("%w: the file is named %s, but is of %d with evidence at %d",
			ErrEvidence, name, r.head.SeqNo, r.claims.TxID.SeqNo)
	}
	return nil
}

// coseSign1 is the first byte of a COSE_Sign1 with its tag.
const coseSign1 = 0xd2

// source reads a stretch of the entry into the digest.
func (r *reader) source(from, to int64, open func([]byte)) *source {
	return &source{file: r.file, at: from, end: to, digest: r.digest, open: open, fault: &r.fault, buf: r.buf}
}

// check says, once the whole entry was read, whether it is what the receipt
// vouches for. chain may be nil.
func (r *reader) check(chain *secrets.Chain) error {
	if [32]byte(r.digest.Sum(nil)) != r.claims.ClaimsDigest {
		return ErrDigest
	}
	switch {
	case r.trust.Evidence != nil:
		raw, err := r.trust.Evidence(r.claims.TxID.SeqNo)
		if err != nil {
			return fmt.Errorf("evidence of the snapshot: %w", err)
		}
		if err := evident(raw, r.claims, r.head.SeqNo); err != nil {
			return fmt.Errorf("%w: %w", ErrEvidence, err)
		}
	case chain != nil:
		if err := rebuilt(chain, r.claims, r.proof.Entry); err != nil {
			return fmt.Errorf("%w: %w", ErrEvidence, err)
		}
	}
	return nil
}
