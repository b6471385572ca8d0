package receipt

import (
	"crypto/sha256"
	"errors"
	"strings"

	"synod"
	"synod/internal/merkle"
)

// What can be wrong with a receipt. Every error of this package wraps exactly
// one of them.
var (
	ErrMalformed        = errors.New("receipt: malformed")
	ErrBadSignature     = errors.New("receipt: the signature does not match the root")
	ErrWrongNode        = errors.New("receipt: the certificate is not that of the node that signed")
	ErrWrongService     = errors.New("receipt: not signed on behalf of the trusted service")
	ErrNoCertificate    = errors.New("receipt: the signing node's certificate is unknown")
	ErrClaimsMismatch   = errors.New("receipt: other claims than expected")
	ErrWriteSetMismatch = errors.New("receipt: another transaction's content than expected")
	ErrTxIDMismatch     = errors.New("receipt: another transaction ID than expected")
	ErrTrust            = errors.New("receipt: unusable service certificate")
)

// Step is one step of a proof: a sibling's hash and its side.
type Step = merkle.Step

// LeafComponents are what an entry's leaf in the Merkle tree is hashed from.
type LeafComponents struct {
	WriteSetDigest [32]byte // SHA-256 of the ledger entry
	CommitEvidence string   // "ce:<view>.<seqno>:<hex>"
	ClaimsDigest   [32]byte // zeros if the application made no claim

	// WithoutClaims says that the receipt has no claims digest at all, as
	// those of old services: the leaf then is hashed without.
	WithoutClaims bool
}

// Digest returns the leaf.
func (l LeafComponents) Digest() [32]byte {
	evidence := sha256.Sum256([]byte(l.CommitEvidence))
	b := make([]byte, 0, 3*sha256.Size)
	b = append(b, l.WriteSetDigest[:]...)
	b = append(b, evidence[:]...)
	if !l.WithoutClaims {
		b = append(b, l.ClaimsDigest[:]...)
	}
	return sha256.Sum256(b)
}

// TxID reads the transaction's ID from the commit evidence. The error wraps
// ErrMalformed.
func (l LeafComponents) TxID() (synod.TxID, error) {
	rest, ok := strings.CutPrefix(l.CommitEvidence, "ce:")
	id, _, ok2 := strings.Cut(rest, ":")
	if !ok || !ok2 {
		return synod.TxID{}, malformed("commit evidence is not ce:<view>.<seqno>:<hex>")
	}
	parsed, err := synod.ParseTxID(id)
	if err != nil {
		return synod.TxID{}, malformed("commit evidence: %w", err)
	}
	return parsed, nil
}

// Receipt is a JSON receipt.
type Receipt struct {
	// Signature is a node's over the root: ECDSA in DER, the root being the
	// message digest.
	Signature []byte
	NodeID    synod.NodeID // of the node that signed
	Cert      string       // PEM of its certificate, "" if the receipt has none

	// Leaf is set instead of LeafComponents in two cases: for a signature
	// transaction it is the root that was signed, and Proof is empty; for
	// transactions of services before 2.0 it is the write set's digest.
	LeafComponents *LeafComponents
	Leaf           *[32]byte

	Proof []Step // from leaf to root

	// ServiceEndorsements lead from the service identity that endorsed Cert to
	// the present one after a recovery: PEM, each signed by the next.
	ServiceEndorsements []string
}

// Signature is the part of a receipt that comes from a signature transaction.
type Signature struct {
	Sig    []byte // DER
	Cert   string // PEM, may be ""
	NodeID synod.NodeID
	Root   [32]byte
}

// New makes the receipt of a transaction: its leaf, and the path to the root
// that sig signs.
func New(sig Signature, leaf LeafComponents, proof []Step) *Receipt {
	return &Receipt{Signature: sig.Sig, NodeID: sig.NodeID, Cert: sig.Cert, LeafComponents: &leaf, Proof: proof}
}

// NewForSignature makes the receipt of a signature transaction itself.
func NewForSignature(sig Signature) *Receipt {
	return &Receipt{Signature: sig.Sig, NodeID: sig.NodeID, Cert: sig.Cert, Leaf: &sig.Root}
}

// IsSignature says that the receipt is that of a signature transaction: what
// it proves is the root.
func (r *Receipt) IsSignature() bool { return r.Leaf != nil && len(r.Proof) == 0 }

// Root returns the root that the receipt's leaf and proof lead to.
func (r *Receipt) Root() [32]byte {
	var leaf [32]byte
	switch {
	case r.LeafComponents != nil:
		leaf = r.LeafComponents.Digest()
	case r.Leaf != nil:
		leaf = *r.Leaf
	}
	return merkle.Path(r.Proof).Root(leaf)
}
