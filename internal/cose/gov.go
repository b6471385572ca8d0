package cose

import (
	"crypto/ecdsa"
	"fmt"
)

// Protected headers of governance messages
// (CCF: src/endpoints/authentication/cose_auth.cpp).
const (
	HeaderMsgType    = "ccf.gov.msg.type"
	HeaderProposalID = "ccf.gov.msg.proposal_id"
	HeaderCreatedAt  = "ccf.gov.msg.created_at"
)

// Types of governance messages (CCF: python/src/ccf/cose.py).
const (
	MsgProposal      = "proposal"
	MsgBallot        = "ballot"
	MsgWithdrawal    = "withdrawal"
	MsgAck           = "ack"
	MsgStateDigest   = "state_digest"
	MsgRecoveryShare = "recovery_share"
)

// GovHeader is the protected header of a member's signed request.
type GovHeader struct {
	Alg        int64
	KID        string // the member's ID: 64 hex characters, unchecked
	MsgType    string
	ProposalID string
	CreatedAt  uint64 // seconds since 1970, at most 2^63-1

	// Which of the last three are there.
	HasMsgType, HasProposalID, HasCreatedAt bool
}

// Gov reads the header of a governance message. Algorithm and kid must be
// there, and everything known must have its type; errors wrap ErrMalformed.
func (m *Message) Gov() (GovHeader, error) {
	var h GovHeader
	var err error
	if h.Alg, err = need[int64](m.Header, labelAlg); err != nil {
		return GovHeader{}, err
	}
	kid, err := need[[]byte](m.Header, labelKID)
	if err != nil {
		return GovHeader{}, err
	}
	h.KID = string(kid)
	if h.MsgType, h.HasMsgType, err = m.Text(HeaderMsgType); err != nil {
		return GovHeader{}, err
	}
	if h.ProposalID, h.HasProposalID, err = m.Text(HeaderProposalID); err != nil {
		return GovHeader{}, err
	}
	if h.CreatedAt, h.HasCreatedAt, err = m.Uint(HeaderCreatedAt); err != nil {
		return GovHeader{}, err
	}
	return h, nil
}

// SignGov makes a governance message with an attached payload. kid is the
// signer's ID; Alg and KID of h are not used: the key and kid say them. Of the
// other fields those are written that are set or not empty.
func SignGov(key *ecdsa.PrivateKey, kid string, h GovHeader, payload []byte) ([]byte, error) {
	a, err := algorithmOf(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	protected := h.encode(a.id, kid)
	sig, err := a.sign(key, protected, payload)
	if err != nil {
		return nil, err
	}
	return appendMessage(nil, protected, emptyMap(), attached(payload), sig), nil
}

// PrepareGov is SignGov for a key that is elsewhere: tbs is what is to be
// signed with alg (hash it with Digest if the key store wants that), assemble
// makes the message from the signature in COSE's form, r ‖ s.
func PrepareGov(alg int64, kid string, h GovHeader, payload []byte) (tbs []byte, assemble func(sig []byte) ([]byte, error), err error) {
	a, err := algorithmByID(alg)
	if err != nil {
		return nil, nil, err
	}
	protected := h.encode(alg, kid)
	tbs = append(sigStructure(protected, len(payload)), payload...)
	return tbs, func(sig []byte) ([]byte, error) {
		if len(sig) != 2*a.size {
			return nil, fmt.Errorf("%w: %d bytes, want %d", ErrSignature, len(sig), 2*a.size)
		}
		return appendMessage(nil, protected, emptyMap(), attached(payload), sig), nil
	}, nil
}

// attached makes an empty payload differ from a detached one.
func attached(payload []byte) []byte {
	if payload == nil {
		return []byte{}
	}
	return payload
}

// encode writes the protected header in the order that CCF's fixtures have.
func (h GovHeader) encode(alg int64, kid string) []byte {
	hasTime := h.HasCreatedAt || h.CreatedAt != 0
	hasType := h.HasMsgType || h.MsgType != ""
	hasProposal := h.HasProposalID || h.ProposalID != ""
	n := 2
	for _, has := range []bool{hasTime, hasType, hasProposal} {
		if has {
			n++
		}
	}
	b := appendMap(make([]byte, 0, 256), n)
	b = appendInt(b, labelAlg)
	b = appendInt(b, alg)
	b = appendInt(b, labelKID)
	b = appendBytes(b, []byte(kid))
	if hasTime {
		b = appendText(b, HeaderCreatedAt)
		b = appendHead(b, majorUint, h.CreatedAt)
	}
	if hasType {
		b = appendText(b, HeaderMsgType)
		b = appendText(b, h.MsgType)
	}
	if hasProposal {
		b = appendText(b, HeaderProposalID)
		b = appendText(b, h.ProposalID)
	}
	return b
}
