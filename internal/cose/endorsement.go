package cose

import (
	"crypto/ecdsa"

	"synod"
)

const (
	epochStart = "epoch.start.txid"
	epochEnd   = "epoch.end.txid"
	epochRoot  = "epoch.end.merkle.root"
)

// Endorsement says that a service's key signs for an older one of the same
// service (CCF: cddl/ccf-cose-endorsement-service-identity.cddl). In the first
// of a service, which endorses its own key, EpochEnd is zero and EpochRoot nil.
type Endorsement struct {
	IssuedAt    int64      // seconds since 1970
	EpochStart  synod.TxID // first transaction of the endorsed key's epoch
	EpochEnd    synod.TxID // last one
	EpochRoot   []byte     // root that the last signature of the epoch covers, 32 bytes or nil
	EndorsedKey []byte     // DER public key
}

// SignEndorsement endorses a key with the service's present key. The endorsed
// key is the attached payload.
func SignEndorsement(key *ecdsa.PrivateKey, e Endorsement) ([]byte, error) {
	a, err := algorithmOf(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	protected := e.encode(a.id)
	sig, err := a.sign(key, protected, e.EndorsedKey)
	if err != nil {
		return nil, err
	}
	return appendMessage(nil, protected, emptyMap(), attached(e.EndorsedKey), sig), nil
}

func (e Endorsement) encode(alg int64) []byte {
	n := 1
	if !e.EpochEnd.IsZero() {
		n++
	}
	if e.EpochRoot != nil {
		n++
	}
	b := appendMap(make([]byte, 0, 192), 3)
	b = appendInt(b, labelAlg)
	b = appendInt(b, alg)
	b = appendInt(b, labelCWT)
	b = appendMap(b, 1)
	b = appendInt(b, claimIAT)
	b = appendInt(b, e.IssuedAt)
	b = appendText(b, labelCCF)
	b = appendMap(b, n)
	b = appendText(b, epochStart)
	b = appendText(b, e.EpochStart.String())
	if !e.EpochEnd.IsZero() {
		b = appendText(b, epochEnd)
		b = appendText(b, e.EpochEnd.String())
	}
	if e.EpochRoot != nil {
		b = appendText(b, epochRoot)
		b = appendBytes(b, e.EpochRoot)
	}
	return b
}

// ParseEndorsement reads an endorsement. Its signature is not verified: do
// that with the Message and the endorsing key. Errors wrap ErrMalformed.
func ParseEndorsement(b []byte) (*Endorsement, *Message, error) {
	m, err := Parse(b)
	if err != nil {
		return nil, nil, err
	}
	e, err := m.endorsement()
	if err != nil {
		return nil, nil, err
	}
	return e, m, nil
}

func (m *Message) endorsement() (*Endorsement, error) {
	if m.Detached || len(m.Payload) == 0 {
		return nil, malformed("an endorsement must hold the endorsed key")
	}
	if _, err := need[int64](m.Header, labelAlg); err != nil {
		return nil, err
	}
	e := &Endorsement{EndorsedKey: m.Payload}
	claims, err := need[map[any]any](m.Header, labelCWT)
	if err != nil {
		return nil, err
	}
	if e.IssuedAt, err = need[int64](claims, claimIAT); err != nil {
		return nil, err
	}
	ccf, err := need[map[any]any](m.Header, labelCCF)
	if err != nil {
		return nil, err
	}
	var ok bool
	if e.EpochStart, ok, err = txID(ccf, epochStart); err != nil {
		return nil, err
	} else if !ok {
		return nil, malformed("header %s has no %s", labelCCF, epochStart)
	}
	if e.EpochEnd, _, err = txID(ccf, epochEnd); err != nil {
		return nil, err
	}
	if e.EpochRoot, ok, err = field[[]byte](ccf, epochRoot); err != nil {
		return nil, err
	} else if ok && len(e.EpochRoot) != 32 {
		return nil, malformed("%s of %d bytes", epochRoot, len(e.EpochRoot))
	}
	return e, nil
}
