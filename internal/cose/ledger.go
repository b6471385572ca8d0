package cose

import (
	"crypto"
	"crypto/ecdsa"
	"fmt"

	"synod"
)

// vdsCCFLedger is the verifiable data structure "CCF ledger, SHA-256".
const vdsCCFLedger = 2

// Labels of CWT claims (RFC 8392).
const (
	claimIss = int64(1)
	claimSub = int64(2)
	claimIAT = int64(6)
)

const ccfTxID = "txid"

// LedgerSignature is what the service says when it signs the ledger's root
// (CCF: cddl/ccf-tree-signature.cddl, src/node/history.h).
type LedgerSignature struct {
	KID      string // hex SHA-256 of the service's DER public key
	IssuedAt int64  // seconds since 1970
	Issuer   string
	Subject  string
	TxID     synod.TxID // of the signature transaction; the root is over 0..SeqNo-1
}

// SignLedger signs a root with the service's key, an ECDSA one, the root being a
// detached payload.
func SignLedger(key crypto.Signer, s LedgerSignature, root [32]byte) ([]byte, error) {
	public, ok := key.Public().(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: the kind of the key", ErrAlgorithm)
	}
	a, err := algorithmOf(public)
	if err != nil {
		return nil, err
	}
	protected := s.encode(a.id)
	sig, err := a.sign(key, protected, root[:])
	if err != nil {
		return nil, err
	}
	return appendMessage(nil, protected, emptyMap(), nil, sig), nil
}

func (s LedgerSignature) encode(alg int64) []byte {
	b := appendMap(make([]byte, 0, 192), 5)
	b = appendInt(b, labelAlg)
	b = appendInt(b, alg)
	b = appendInt(b, labelKID)
	b = appendBytes(b, []byte(s.KID))
	b = appendInt(b, labelVDS)
	b = appendInt(b, vdsCCFLedger)
	b = appendInt(b, labelCWT)
	b = appendMap(b, 3)
	b = appendInt(b, claimIAT)
	b = appendInt(b, s.IssuedAt)
	b = appendInt(b, claimIss)
	b = appendText(b, s.Issuer)
	b = appendInt(b, claimSub)
	b = appendText(b, s.Subject)
	b = appendText(b, labelCCF)
	b = appendMap(b, 1)
	b = appendText(b, ccfTxID)
	return appendText(b, s.TxID.String())
}

// ParseLedgerSignature reads a signature over the ledger, or a receipt made of
// one. The signature is not verified: do that with the Message, the root being
// the detached payload. Errors wrap ErrMalformed.
func ParseLedgerSignature(b []byte) (*LedgerSignature, *Message, error) {
	m, err := Parse(b)
	if err != nil {
		return nil, nil, err
	}
	s, err := m.ledgerSignature()
	if err != nil {
		return nil, nil, err
	}
	return s, m, nil
}

func (m *Message) ledgerSignature() (*LedgerSignature, error) {
	if !m.Detached {
		return nil, malformed("the root must be a detached payload")
	}
	if _, err := need[int64](m.Header, labelAlg); err != nil {
		return nil, err
	}
	kid, err := need[[]byte](m.Header, labelKID)
	if err != nil {
		return nil, err
	}
	vds, err := need[int64](m.Header, labelVDS)
	if err != nil {
		return nil, err
	}
	if vds != vdsCCFLedger {
		return nil, malformed("verifiable data structure %d is not CCF's ledger", vds)
	}
	s := &LedgerSignature{KID: string(kid)}
	claims, err := need[map[any]any](m.Header, labelCWT)
	if err != nil {
		return nil, err
	}
	if s.IssuedAt, err = need[int64](claims, claimIAT); err != nil {
		return nil, err
	}
	if s.Issuer, err = need[string](claims, claimIss); err != nil {
		return nil, err
	}
	if s.Subject, err = need[string](claims, claimSub); err != nil {
		return nil, err
	}
	ccf, err := need[map[any]any](m.Header, labelCCF)
	if err != nil {
		return nil, err
	}
	id, _, err := txID(ccf, ccfTxID)
	if err != nil {
		return nil, err
	}
	if id.IsZero() {
		return nil, malformed("header %s has no %s", labelCCF, ccfTxID)
	}
	s.TxID = id
	return s, nil
}

// txID reads a transaction ID from a map of text, and says whether it is there.
func txID(m map[any]any, key string) (synod.TxID, bool, error) {
	text, ok, err := field[string](m, key)
	if err != nil || !ok {
		return synod.TxID{}, false, err
	}
	id, err := synod.ParseTxID(text)
	if err != nil {
		return synod.TxID{}, false, malformed("%s: %w", key, err)
	}
	return id, true, nil
}
