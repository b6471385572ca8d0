package auth

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"synod/app"
	"synod/internal/cose"
	"synod/internal/tables"
)

const contentTypeCOSE = "application/cose"

// The algorithms of RFC 9053 §2.1 that signers may use.
const (
	algES256 = -7
	algES384 = -35
	algES512 = -36
)

// Protected headers of a message that a user signs, unless the application has
// names of its own
// (CCF: include/ccf/endpoints/authentication/cose_auth.h).
const (
	userMsgType   = "ccf.msg.type"
	userCreatedAt = "ccf.msg.created_at"
)

// typedUserCOSE is userCOSE for one type of message
// (CCF: src/endpoints/authentication/cose_auth.cpp).
func (a *attempt) typedUserCOSE(p app.Policy) (*app.Caller, *refusal, error) {
	caller, no, err := a.userCOSE(p.Name(), p.Headers())
	if caller != nil && caller.COSE.MsgType != p.MessageType() {
		return nil, refuseCOSE("Unexpected message type: %s, expected: %s", caller.COSE.MsgType, p.MessageType()), nil
	}
	return caller, no, err
}

// userCOSE accepts a body that a user has signed, with the headers as the
// application names them.
func (a *attempt) userCOSE(policy string, headers app.COSEHeaders) (*app.Caller, *refusal, error) {
	m, no, err := a.message()
	if no != nil || err != nil {
		return nil, no, err
	}
	switch {
	case m.Alg == 0:
		return nil, nil, errors.New("Missing algorithm in protected header") //nolint:staticcheck // shown to clients as CCF words it
	case m.KID == nil:
		return nil, nil, errors.New("Missing kid in protected header") //nolint:staticcheck // as above
	}
	id := &app.COSEIdentity{}
	if id.MsgType, _, err = m.Text(cmp.Or(headers.MsgType, userMsgType)); err != nil {
		return nil, nil, err
	}
	if id.CreatedAt, id.HasCreated, err = m.Uint(cmp.Or(headers.CreatedAt, userCreatedAt)); err != nil {
		return nil, nil, err
	}
	der, no, err := a.verified(m, tables.UserCerts, "Signer is not a known user")
	if no != nil || err != nil {
		return nil, no, err
	}
	return a.signer(policy, m, id, der, userData)
}

// memberCOSE accepts a body that a member has signed, with the governance
// headers and, if msgType is not "", that message type.
func (a *attempt) memberCOSE(policy, msgType string) (*app.Caller, *refusal, error) {
	m, no, err := a.message()
	if no != nil || err != nil {
		return nil, no, err
	}
	h, err := m.Gov()
	if err != nil {
		return nil, nil, err
	}
	if !h.HasCreatedAt {
		return nil, nil, errors.New("Missing created_at in protected header") //nolint:staticcheck // shown to clients as CCF words it
	}
	der, no, err := a.verified(m, tables.MemberCerts, "Signer is not a known member")
	if no != nil || err != nil {
		return nil, no, err
	}
	if msgType != "" {
		if !h.HasMsgType {
			return nil, refuseCOSE("Missing ccf.gov.msg.type, expected ccf.gov.msg.type to be %s", msgType), nil
		}
		if h.MsgType != msgType {
			return nil, refuseCOSE("Found ccf.gov.msg.type set to %s, expected ccf.gov.msg.type to be %s", h.MsgType, msgType), nil
		}
	}
	return a.signer(policy, m, &app.COSEIdentity{
		MsgType: h.MsgType, ProposalID: h.ProposalID, CreatedAt: h.CreatedAt, HasCreated: true,
	}, der, memberData)
}

// activeMemberCOSE is memberCOSE for members that have acknowledged the
// service's state.
func (a *attempt) activeMemberCOSE(policy, msgType string) (*app.Caller, *refusal, error) {
	caller, no, err := a.memberCOSE(policy, msgType)
	if no != nil || err != nil {
		return nil, no, err
	}
	info, _, err := tables.GetJSON[tables.MemberInfo](a.tx, tables.Members, []byte(caller.ID))
	if err != nil {
		return nil, nil, err
	}
	if info.Status != tables.MemberActive {
		return nil, refuseCOSE("Signer is not an ACTIVE member"), nil
	}
	return caller, nil, nil
}

// message decodes the body. What does not decode is an error and not a
// refusal: CCF answers it with 500.
func (a *attempt) message() (*cose.Message, *refusal, error) {
	h := a.c.Request.Header
	if !h.Has("content-type") {
		return nil, refuseCOSE("Missing content-type header"), nil
	}
	if h.Get("content-type") != contentTypeCOSE {
		return nil, refuseCOSE("Content type is not set to %s", contentTypeCOSE), nil
	}
	m, err := cose.Parse(a.c.Request.Body)
	if err != nil {
		return nil, nil, fmt.Errorf("Failed to decode COSE_Sign1: %w", err) //nolint:staticcheck // shown to clients as CCF words it
	}
	return m, nil, nil
}

// verified finds the certificate that kid names and checks the signature by
// its key. It returns the certificate's DER.
func (a *attempt) verified(m *cose.Message, table, unknown string) ([]byte, *refusal, error) {
	if m.Alg != algES256 && m.Alg != algES384 && m.Alg != algES512 {
		return nil, refuseCOSE("Unsupported algorithm: %d", m.Alg), nil
	}
	text, ok := a.tx.Get(table, m.KID)
	if !ok {
		return nil, refuseCOSE("%s", unknown), nil
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, nil, fmt.Errorf("table %s key %q: not a PEM certificate", table, m.KID)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("table %s key %q: %w", table, m.KID, err)
	}
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, nil, fmt.Errorf("table %s key %q: unsupported public key type", table, m.KID)
	}
	if !m.Detached && m.Verify(key, nil) == nil {
		return cert.Raw, nil, nil
	}
	return nil, refuseCOSE("Failed to validate COSE Sign1"), nil
}

func (a *attempt) signer(policy string, m *cose.Message, id *app.COSEIdentity, der []byte, src dataSource) (*app.Caller, *refusal, error) {
	id.Content, id.Envelope, id.Signature = m.Payload, a.c.Request.Body, m.Signature
	caller, no, err := a.identified(policy, string(m.KID), der, src)
	if caller != nil {
		caller.COSE = id
	}
	return caller, no, err
}

func refuseCOSE(format string, args ...any) *refusal {
	no := refuse(format, args...)
	no.challenge = challengeCOSE
	return no
}
