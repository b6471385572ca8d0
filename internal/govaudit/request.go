package govaudit

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"

	"synod"
	"synod/app"
	"synod/internal/cose"
	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/tables"
)

// judge looks at the transaction as what it says it is: a member's request, an
// acknowledgement, or something that nodes do.
func (t *transaction) judge() {
	t.report.Transactions++
	switch {
	case t.created():
		t.create()
	case t.writes(tables.COSEHistory) != nil:
		t.cose = true
		t.request()
	case t.writes(tables.GovHistory) != nil && !t.cose:
		t.event(Event{What: "sent a request without COSE", Tables: t.tableNames()})
		t.found(Legacy, tables.GovHistory, "", "a request that was signed over HTTP, which this tool does not verify")
	case t.writes(tables.MemberAcks) != nil:
		t.acks()
	default:
		t.framework()
	}
}

// signed is a member's request as the ledger keeps it.
type signed struct {
	member synod.MemberID
	msg    *cose.Message
	header cose.GovHeader
	raw    []byte
}

func (s *signed) caller() *app.Caller {
	return &app.Caller{ID: string(s.member), COSE: &app.COSEIdentity{
		Content: s.msg.Payload, Envelope: s.raw, Signature: s.msg.Signature, MsgType: s.header.MsgType,
		ProposalID: s.header.ProposalID, CreatedAt: s.header.CreatedAt, HasCreated: s.header.HasCreatedAt,
	}}
}

// request judges a transaction with one signed request in the history.
func (t *transaction) request() {
	m := t.writes(tables.COSEHistory)
	if len(m.Writes) != 1 {
		t.deletesHistory(m)
		return
	}
	w := m.Writes[0]
	s, err := t.open(synod.MemberID(w.Key), w.Value, true)
	if err != nil {
		t.event(Event{What: "sent a request", Member: synod.MemberID(w.Key), Tables: t.tableNames()})
		t.found(Violation, tables.COSEHistory, string(w.Key), "%s", err)
		return
	}
	if t.private {
		t.violation("a request of governance wrote to private tables")
	}
	switch s.header.MsgType {
	case cose.MsgProposal:
		t.proposal(s)
	case cose.MsgBallot:
		t.ballot(s)
	case cose.MsgWithdrawal:
		t.withdrawal(s)
	default:
		t.found(Violation, tables.COSEHistory, string(w.Key), "a request of type %q, which is not kept there", s.header.MsgType)
	}
}

// deletesHistory is for writes of the history that are no request.
func (t *transaction) deletesHistory(m *kv.MapWrites) {
	t.event(Event{What: "changed the history of requests", Tables: t.tableNames()})
	t.found(Violation, tables.COSEHistory, "", "%d requests written and %d removed at once: the tables %v were written by nobody",
		len(m.Writes), len(m.Removes), t.allTables())
}

// open decodes and verifies a request with the certificate of its member in
// the state before. It says first of all what does not hold.
func (t *transaction) open(key synod.MemberID, value []byte, active bool) (*signed, error) {
	var raw tables.Bytes
	if err := json.Unmarshal(value, &raw); err != nil {
		return nil, fmt.Errorf("the signed request is not base64: %w", err)
	}
	return t.verify(key, raw, active)
}

func (t *transaction) verify(key synod.MemberID, raw []byte, active bool) (*signed, error) {
	msg, err := cose.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("the signed request is not COSE: %w", err)
	}
	header, err := msg.Gov()
	if err != nil {
		return nil, fmt.Errorf("the signed request's header: %w", err)
	}
	if header.KID != string(key) {
		return nil, fmt.Errorf("the request is signed by %s, not by the member it is kept for", header.KID)
	}
	pem, ok := t.before.Get(tables.MemberCerts, []byte(key))
	if !ok {
		return nil, errors.New("the request is signed by somebody who was no member")
	}
	cert, err := identity.ParseCertPEM(bytes.TrimRight(pem, "\x00"))
	if err != nil {
		return nil, fmt.Errorf("the member's certificate: %w", err)
	}
	pub, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("the member's key is not an ECDSA key")
	}
	if msg.Detached {
		return nil, errors.New("the signed request has no payload")
	}
	if err := msg.Verify(pub, nil); err != nil {
		return nil, fmt.Errorf("the member's signature does not verify: %w", err)
	}
	if active && t.member(key).Status != tables.MemberActive {
		return nil, errors.New("the request is signed by a member who was not active")
	}
	return &signed{key, msg, header, raw}, nil
}

// member is a member's record before the transaction; zero if there is none.
func (t *transaction) member(id synod.MemberID) tables.MemberInfo {
	info, _, err := tables.GetJSON[tables.MemberInfo](t.before, tables.Members, []byte(id))
	if err != nil {
		return tables.MemberInfo{}
	}
	return info
}

// eventOf starts the event of a signed request.
func (t *transaction) eventOf(what string, s *signed) Event {
	return Event{
		CreatedAt: s.header.CreatedAt, What: what, Member: s.member,
		MemberData: t.member(s.member).MemberData, Tables: t.tableNames(),
	}
}

func (t *transaction) allTables() []string {
	var names []string
	for _, m := range t.maps {
		names = append(names, m.Name)
	}
	return names
}
