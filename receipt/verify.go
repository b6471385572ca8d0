package receipt

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"time"

	"synod"
)

// Options say what is trusted and what is expected. Only ServiceCert is
// needed; what else is set must match.
type Options struct {
	// ServiceCert is the PEM certificate of the service that is trusted, the
	// present one. Its validity in time is not checked.
	ServiceCert []byte

	// NodeCert is the PEM certificate of the signing node, for JSON receipts
	// that do not hold it.
	NodeCert []byte

	// Endorsements lead from ServiceCert back to the identity that signed a
	// COSE receipt before a recovery: COSE_Sign1, newest first. JSON receipts
	// hold their own.
	Endorsements [][]byte

	// Entry is the transaction's ledger entry, whole; WriteSetDigest its
	// SHA-256 if that is all that is known.
	Entry          []byte
	WriteSetDigest *[32]byte

	Claims *[32]byte  // digest of the claims that the application made
	TxID   synod.TxID // not checked if zero
}

// Result is what a receipt proves.
type Result struct {
	TxID synod.TxID // of the transaction; zero if the receipt does not say
	Root [32]byte   // Merkle root that was signed

	WriteSetDigest [32]byte // zero for signature transactions
	ClaimsDigest   [32]byte // zero without claims
	IsSignature    bool     // of a signature transaction: only Root is proved

	// JSON receipts:
	NodeID synod.NodeID // that signed

	// COSE receipts:
	SignatureTxID synod.TxID // of the signature transaction that covers TxID
	IssuedAt      time.Time  // when it was signed, by the service's clock
	Issuer        string
	Subject       string
}

// Verify checks the whole receipt: the signature over the root that its leaf
// and proof lead to, the node's certificate, the chain to the trusted service,
// and what o expects.
func (r *Receipt) Verify(o Options) (Result, error) {
	res, err := r.result()
	if err != nil {
		return Result{}, err
	}
	trusted, err := o.trusted()
	if err != nil {
		return Result{}, err
	}
	chain, err := r.chain(o)
	if err != nil {
		return Result{}, err
	}
	node := chain[0]
	key, ok := node.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return Result{}, malformed("the node's key is not an elliptic curve key")
	}
	if !ecdsa.VerifyASN1(key, res.Root[:], r.Signature) {
		return Result{}, ErrBadSignature
	}
	id := sha256.Sum256(node.RawSubjectPublicKeyInfo)
	if hex.EncodeToString(id[:]) != string(r.NodeID) {
		return Result{}, ErrWrongNode
	}
	if err := checkChain(append(chain, trusted)); err != nil {
		return Result{}, err
	}
	return res, o.check(res)
}

// result is what the receipt says before anything is checked.
func (r *Receipt) result() (Result, error) {
	if (r.Leaf == nil) == (r.LeafComponents == nil) {
		return Result{}, malformed("want either a leaf or its components")
	}
	res := Result{Root: r.Root(), NodeID: r.NodeID, IsSignature: r.IsSignature()}
	if l := r.LeafComponents; l != nil {
		id, err := l.TxID()
		if err != nil {
			return Result{}, err
		}
		res.TxID, res.WriteSetDigest, res.ClaimsDigest = id, l.WriteSetDigest, l.ClaimsDigest
	} else if !res.IsSignature {
		res.WriteSetDigest = *r.Leaf
	}
	return res, nil
}

// check compares what a receipt proves with what is expected.
func (o Options) check(res Result) error {
	if o.WriteSetDigest != nil && !equal(*o.WriteSetDigest, res.WriteSetDigest) {
		return ErrWriteSetMismatch
	}
	if o.Entry != nil && !equal(sha256.Sum256(o.Entry), res.WriteSetDigest) {
		return ErrWriteSetMismatch
	}
	if o.Claims != nil && !equal(*o.Claims, res.ClaimsDigest) {
		return ErrClaimsMismatch
	}
	if !o.TxID.IsZero() && o.TxID != res.TxID {
		return ErrTxIDMismatch
	}
	return nil
}

func equal(a, b [32]byte) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }
