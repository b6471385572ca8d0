package receipt

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"synod"
	"synod/internal/cose"
	"synod/internal/merkle"
)

// COSEReceipt is a receipt in COSE: the service's signature over the root,
// with proofs that transactions are under it.
type COSEReceipt struct {
	SignatureTxID synod.TxID // of the signature transaction
	KID           string     // hex SHA-256 of the signing key's DER
	IssuedAt      time.Time  // by the service's clock, to the second
	Issuer        string
	Subject       string
	Proofs        []COSEProof // at least one; usually one

	message *cose.Message
}

// COSEProof is one transaction's proof.
type COSEProof struct {
	LeafComponents
	Path []Step // from leaf to root
}

// ParseCOSE reads a COSE receipt. It is strict (package cose says how); errors
// wrap ErrMalformed.
func ParseCOSE(b []byte) (*COSEReceipt, error) {
	if len(b) > sizeMax {
		return nil, malformed("%d bytes, more than %d", len(b), sizeMax)
	}
	sig, m, err := cose.ParseLedgerSignature(b)
	if err != nil {
		return nil, malformed("%w", err)
	}
	proofs, err := m.InclusionProofs()
	if err != nil {
		return nil, malformed("%w", err)
	}
	if len(m.Unprotected) != 1 {
		return nil, malformed("unknown unprotected headers")
	}
	r := &COSEReceipt{
		SignatureTxID: sig.TxID, KID: sig.KID, IssuedAt: time.Unix(sig.IssuedAt, 0).UTC(),
		Issuer: sig.Issuer, Subject: sig.Subject, message: m,
	}
	for _, p := range proofs {
		leaf := LeafComponents{WriteSetDigest: p.WriteSetDigest, CommitEvidence: p.CommitEvidence, ClaimsDigest: p.ClaimsDigest}
		if _, err := leaf.TxID(); err != nil {
			return nil, err
		}
		r.Proofs = append(r.Proofs, COSEProof{LeafComponents: leaf, Path: p.Path})
	}
	return r, nil
}

// Verify checks the receipt: that every proof leads to the root that was
// signed, that the signing key is the trusted service's or, by
// o.Endorsements, that of an older identity of it in whose time the
// transaction falls, and what o expects. The Result is the first proof's.
func (r *COSEReceipt) Verify(o Options) (Result, error) {
	key, epochs, err := r.signer(o)
	if err != nil {
		return Result{}, err
	}
	for i := range r.Proofs {
		root := r.root(i)
		if err := r.message.Verify(key, root[:]); err != nil {
			return Result{}, fmt.Errorf("%w: %w", ErrBadSignature, err)
		}
	}
	res := Result{
		Root: r.root(0), SignatureTxID: r.SignatureTxID,
		IssuedAt: r.IssuedAt, Issuer: r.Issuer, Subject: r.Subject,
	}
	for _, p := range r.Proofs {
		id, err := p.TxID()
		if err != nil {
			return Result{}, err
		}
		if epochs != nil && !epochs.contains(id) {
			return Result{}, fmt.Errorf("%w: %s is not of the endorsed key's time", ErrWrongService, id)
		}
		if o.Claims != nil && !equal(*o.Claims, p.ClaimsDigest) {
			return Result{}, ErrClaimsMismatch
		}
	}
	first := r.Proofs[0]
	res.TxID, _ = first.TxID()
	res.WriteSetDigest, res.ClaimsDigest = first.WriteSetDigest, first.ClaimsDigest
	return res, o.check(res)
}

func (r *COSEReceipt) root(i int) [32]byte {
	return merkle.Path(r.Proofs[i].Path).Root(r.Proofs[i].Digest())
}

// epoch is the time of one service identity, in transactions, both ends
// included.
type epoch struct{ start, end synod.TxID }

func (e *epoch) contains(id synod.TxID) bool {
	return id.SeqNo >= e.start.SeqNo && id.SeqNo <= e.end.SeqNo &&
		id.View >= e.start.View && id.View <= e.end.View
}

// signer follows the endorsements from the trusted key to the one that must
// have signed the receipt. Without any the epoch is nil: the present one.
func (r *COSEReceipt) signer(o Options) (*ecdsa.PublicKey, *epoch, error) {
	cert, err := o.trusted()
	if err != nil {
		return nil, nil, err
	}
	key := cert.PublicKey.(*ecdsa.PublicKey) // trusted has checked
	spki := cert.RawSubjectPublicKeyInfo
	var last *epoch
	for i, b := range o.Endorsements {
		e, m, err := cose.ParseEndorsement(b)
		if err != nil {
			return nil, nil, malformed("endorsement %d: %w", i, err)
		}
		if err := m.Verify(key, nil); err != nil {
			return nil, nil, fmt.Errorf("%w: endorsement %d: %w", ErrWrongService, i, err)
		}
		if e.EpochEnd.IsZero() {
			return nil, nil, fmt.Errorf("%w: endorsement %d is of the service by itself", ErrWrongService, i)
		}
		// A recovery begins two views and one seqno after the end of the
		// service before it.
		if last != nil && (last.start.View-2 != e.EpochEnd.View || last.start.SeqNo-1 != e.EpochEnd.SeqNo) {
			return nil, nil, fmt.Errorf("%w: a gap before endorsement %d", ErrWrongService, i)
		}
		last = &epoch{e.EpochStart, e.EpochEnd}
		spki = e.EndorsedKey
		if key, err = parseKey(spki); err != nil {
			return nil, nil, malformed("endorsement %d: %w", i, err)
		}
	}
	kid := sha256.Sum256(spki)
	if hex.EncodeToString(kid[:]) != r.KID {
		return nil, nil, fmt.Errorf("%w: signed with key %.8q…, not %.4x…", ErrWrongService, r.KID, kid)
	}
	return key, last, nil
}

func parseKey(spki []byte) (*ecdsa.PublicKey, error) {
	pub, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, err
	}
	key, ok := pub.(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("not an ECDSA key")
	}
	return key, nil
}
