package govaudit

import (
	"bytes"
	"encoding/json"

	"synod"
	"synod/internal/kv"
	"synod/internal/tables"
)

// acks judges a transaction that wrote acknowledgements: a member asked for
// the state to acknowledge, or has acknowledged it.
func (t *transaction) acks() {
	m := t.writes(tables.MemberAcks)
	if len(m.Writes) != 1 || len(m.Removes) != 0 {
		t.framework()
		return
	}
	id := synod.MemberID(m.Writes[0].Key)
	var after tables.MemberAck
	if err := json.Unmarshal(m.Writes[0].Value, &after); err != nil {
		t.found(Violation, tables.MemberAcks, string(id), "the acknowledgement does not parse: %s", err)
		return
	}
	before, known, err := tables.GetJSON[tables.MemberAck](t.before, tables.MemberAcks, []byte(id))
	if err != nil || !known {
		t.found(Violation, tables.MemberAcks, string(id), "an acknowledgement was written for somebody who was no member")
		return
	}
	sameRequest := sameSigned(before.SignedReq, after.SignedReq)
	if sameRequest && bytes.Equal(after.COSESign1Req, before.COSESign1Req) {
		t.digest(id, before, after)
		return
	}
	if !t.cose && (len(after.COSESign1Req) == 0 || !sameRequest && after.SignedReq != nil) {
		t.event(Event{What: "acked without COSE", Member: id, Tables: t.tableNames()})
		t.found(Legacy, tables.MemberAcks, string(id), "an acknowledgement that was signed over HTTP, which this tool does not verify")
		return
	}
	t.ack(id, before, after)
}

func sameSigned(a, b *tables.SignedReq) bool {
	if a == nil || b == nil {
		return a == b
	}
	return bytes.Equal(a.Sig, b.Sig) && bytes.Equal(a.RequestBody, b.RequestBody)
}

// digest judges that a member was given another state to acknowledge. Who
// asked for it is not recorded.
func (t *transaction) digest(id synod.MemberID, before, after tables.MemberAck) {
	t.event(Event{What: "was given a state digest", Member: id, MemberData: t.member(id).MemberData, Tables: t.tableNames()})
	if !t.signed[after.StateDigest] {
		t.found(Violation, tables.MemberAcks, string(id), "the state digest is no root that a signature before it covers")
	}
	want := before
	want.StateDigest = after.StateDigest
	t.expect(func(tx *kv.Tx) error { return tables.PutJSON(tx, tables.MemberAcks, []byte(id), want) })
}

// ack judges a member's acknowledgement, which makes the member active.
func (t *transaction) ack(id synod.MemberID, before, after tables.MemberAck) {
	t.report.Acks++
	s, err := t.verify(id, after.COSESign1Req, false)
	if err != nil {
		t.event(Event{What: "acked", Member: id, Tables: t.tableNames()})
		t.found(Violation, tables.MemberAcks, string(id), "%s", err)
		return
	}
	t.event(t.eventOf("acked", s))
	if s.header.MsgType != "ack" {
		t.found(Violation, tables.MemberAcks, string(id), "the request is a %s, not an acknowledgement", s.header.MsgType)
	}
	var payload struct {
		StateDigest *string `json:"stateDigest"`
		Classic     *string `json:"state_digest"` // until 5.0
	}
	err = json.Unmarshal(s.msg.Payload, &payload)
	if payload.StateDigest == nil {
		payload.StateDigest = payload.Classic
	}
	switch {
	case err != nil || payload.StateDigest == nil:
		t.found(Violation, tables.MemberAcks, string(id), "the signed acknowledgement names no state digest")
	case *payload.StateDigest != before.StateDigest:
		t.found(Violation, tables.MemberAcks, string(id), "the member acknowledged another state digest than the one that it was given")
	case before.StateDigest != "" && !t.signed[before.StateDigest]:
		t.found(Violation, tables.MemberAcks, string(id), "the acknowledged state digest is no root that a signature before it covers")
	}
	fx := &effects{transaction: t}
	t.expect(func(tx *kv.Tx) error {
		want := before
		want.SignedReq, want.COSESign1Req = nil, after.COSESign1Req
		if err := tables.PutJSON(tx, tables.MemberAcks, []byte(id), want); err != nil {
			return err
		}
		if err := setField(tx, tables.Members, []byte(id), "status", tables.MemberActive); err != nil {
			return err
		}
		// Which members take part in recovery is the node's to say.
		if _, ok := t.unitValue(tables.Shares); ok && t.mayReshare(id) {
			return fx.shares(tx)
		}
		return nil
	})
	for _, d := range fx.faults {
		t.found(Violation, d.table, d.key, "%s %s", d.name(), d.text)
	}
}

// mayReshare says whether a member's acknowledgement may make new shares: it
// becomes active, takes part in recovery, and the service is open.
func (t *transaction) mayReshare(id synod.MemberID) bool {
	return t.member(id).Status != tables.MemberActive && t.service().Status == tables.ServiceOpen &&
		t.before.Has(tables.MemberEncryptionKeys, []byte(id))
}

// expect compares the transaction with writes that follow from the state.
func (t *transaction) expect(write func(tx *kv.Tx) error) {
	tx := t.store.Begin()
	defer tx.Release()
	if err := write(tx); err != nil {
		t.violation("%s", err)
		return
	}
	for _, d := range t.compare(tx.WriteSet()) {
		t.found(Violation, d.table, d.key, "%s %s", d.name(), d.text)
	}
}
