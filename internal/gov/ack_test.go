package gov_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"synod"
	"synod/internal/cose"
	"synod/internal/kv"
	"synod/internal/secrets"
	"synod/internal/tables"
)

func TestAcknowledge(t *testing.T) {
	s := newService(t, plain)
	m, plainMember := newMember(t), newMember(t)
	s.write(func(tx *kv.Tx) {
		for _, x := range []*member{m, plainMember} {
			tx.Put(tables.MemberCerts, []byte(x.id), []byte(x.CertPEM))
			put(t, tx, tables.Members, x.id, tables.MemberInfo{Status: tables.MemberAccepted})
		}
		tx.Put(tables.MemberEncryptionKeys, []byte(m.id), []byte("a key"))
	})
	root := strings.Repeat("ab", 32)
	digest := func(m *member) string { return "/members/state-digests/" + m.id }
	update := func(m *member) *answer {
		return s.post(m, digest(m)+":update", cose.GovHeader{MsgType: "state_digest"}, "ignored")
	}
	ack := func(m *member, payload string) *answer {
		return s.post(m, digest(m)+":ack", cose.GovHeader{MsgType: "ack"}, payload)
	}
	good := fmt.Sprintf(`{"stateDigest":%q}`, root)

	if a := s.get(digest(m)); a.Status != 404 || a.code() != "ResourceNotFound" || a.message() != "No ACK record exists for member m["+m.id+"]." {
		t.Errorf("no record %v", a)
	}
	if a := ack(m, good); a.Status != 403 || a.code() != "AuthorizationFailed" {
		t.Errorf("nothing to acknowledge %v", a)
	}
	want := fmt.Sprintf(`{"memberId":"%s","stateDigest":"%s"}`, m.id, root)
	if a := update(m); a.Status != 200 || a.Body != want {
		t.Errorf("update %v", a)
	}
	if a := s.get(digest(m)); a.Body != want {
		t.Errorf("shown %v", a)
	}
	if a := ack(m, `{"stateDigest":"aa"}`); a.Status != 400 || a.code() != "StateDigestMismatch" ||
		a.message() != "Submitted state digest is not valid.\nExpected\n "+root+"\nReceived\n aa" {
		t.Errorf("mismatch %v", a)
	}
	for _, payload := range []string{"", "{}", "[]", `{"stateDigest":3}`, `{"stateDigest":null}`, "x"} {
		if a := ack(m, payload); a.Status != 400 || a.code() != "InvalidInput" {
			t.Errorf("%q: %v", payload, a)
		}
	}
	// A member cannot act before it has acknowledged, nor for another.
	if a := s.propose(m, "{}"); a.Status != 401 || !strings.Contains(a.Body, "Signer is not an ACTIVE member") {
		t.Errorf("not active %v", a)
	}
	if a := s.post(m, digest(plainMember)+":ack", cose.GovHeader{MsgType: "ack"}, good); a.Status != 400 || a.code() != "InvalidAuthenticationInfo" ||
		a.message() != fmt.Sprintf("Member ID from path parameter (m[%s]) does not match member ID from body signature (m[%s]).", plainMember.id, m.id) {
		t.Errorf("for another %v", a)
	}
	if a := ack(m, good); a.Status != 204 || a.Body != "" {
		t.Errorf("ack %v", a)
	}
	if got, _ := s.read(tables.Members, m.id); got != `{"status":"Active"}` {
		t.Errorf("member %s", got)
	}
	if got, _ := s.read(tables.MemberAcks, m.id); !strings.Contains(got, `"cose_sign1_req":"0oRY`) {
		t.Errorf("record %s", got)
	}
	if a := ack(m, good); a.Status != 204 {
		t.Errorf("again %v", a)
	}
	update(plainMember)
	if a := ack(plainMember, good); a.Status != 204 {
		t.Errorf("member without key %v", a)
	}
	if want := []synod.MemberID{synod.MemberID(m.id)}; !slices.Equal(s.node.active, want) {
		t.Errorf("shares for %v", s.node.active)
	}

	// The node cannot make shares: the member stays as it was.
	s.write(func(tx *kv.Tx) {
		put(t, tx, tables.Members, m.id, tables.MemberInfo{Status: tables.MemberAccepted})
	})
	s.node.fault = errors.New("no shares")
	if a := ack(m, good); a.Status != 500 || a.message() != "Error issuing new recovery shares: no shares" {
		t.Errorf("no shares %v", a)
	}
	if got, _ := s.read(tables.Members, m.id); got != `{"status":"Accepted"}` {
		t.Errorf("member %s", got)
	}
	s.write(func(tx *kv.Tx) { tx.Delete(tables.Signatures, tables.UnitKey()) })
	if a := update(m); a.Status != 500 || a.message() != "Service has no signatures to ack yet - try again soon." {
		t.Errorf("no signature %v", a)
	}
}

func TestRecovery(t *testing.T) {
	s := newService(t, plain)
	m := s.addMembers(1)[0]
	shares := func(id string) *answer { return s.get("/recovery/encrypted-shares/" + id) }
	if a := shares(m.id); a.Status != 500 || a.message() != "Failed to retrieve current recovery shares info" {
		t.Errorf("before the first %v", a)
	}
	s.write(func(tx *kv.Tx) {
		put(t, tx, tables.Shares, "", tables.RecoveryShares{EncryptedShares: map[synod.MemberID]tables.Bytes{synod.MemberID(m.id): {1, 2, 3}}})
	})
	if a := shares(m.id); a.Body != `{"encryptedShare":"AQID","memberId":"`+m.id+`"}` {
		t.Errorf("share %v", a)
	}
	other := strings.Repeat("0", 64)
	if a := shares(other); a.Status != 404 || a.message() != "Recovery share not found for member m["+other+"]." {
		t.Errorf("no share %v", a)
	}
	n := s.addMembers(1)[0]
	submit := func(m *member, to, payload string) *answer {
		return s.post(m, "/recovery/members/"+to+":recover", cose.GovHeader{MsgType: "recovery_share"}, payload)
	}
	if a := submit(m, m.id, `{"share":"AQ=="}`); a.Status != 403 || a.code() != "ServiceNotWaitingForRecoveryShares" || a.message() != "Service is not waiting for recovery shares." {
		t.Errorf("submit %v", a)
	}
	s.write(func(tx *kv.Tx) {
		put(t, tx, tables.Service, "", tables.ServiceInfo{Status: tables.ServiceWaitingForRecoveryShares})
		put(t, tx, tables.ServiceConfiguration, "", tables.ServiceConfig{RecoveryThreshold: 2})
	})
	s.node.reading = true
	if a := submit(m, m.id, `{"share":"AQ=="}`); a.Status != 403 || a.code() != "NodeAlreadyRecovering" || a.message() != "Node is already recovering private ledger." {
		t.Errorf("submit while it is read %v", a)
	}
	s.node.reading = false
	for to, want := range map[string]string{n.id: "InvalidAuthenticationInfo", "me": "InvalidResourceName"} {
		if a := submit(m, to, `{"share":"AQ=="}`); a.Status != 400 || a.code() != want {
			t.Errorf("submit as %s %v", to, a)
		}
	}
	for _, bad := range []string{`{}`, `{"share":"AQID"}`, `{"share":3}`, `[]`, ``} {
		if a := submit(m, m.id, bad); a.Status != 400 || a.code() != "InvalidInput" {
			t.Errorf("submit %s %v", bad, a)
		}
	}
	const first = `{"fullKeySubmitted":false,"message":"1/2 recovery shares successfully submitted","recoveryThreshold":2,"submittedCount":1}`
	for range 2 { // a member that sends its share again has still sent one
		if a := submit(m, m.id, `{"share":"AQ=="}`); a.Body != first {
			t.Errorf("submit one of two %v", a)
		}
	}
	s.node.fault = secrets.ErrShares
	if a := submit(n, n.id, `{"share":"AQ=="}`); a.Status != 500 || a.message() != "Failed to initiate private recovery." {
		t.Errorf("shares that make no key %v", a)
	}
	s.node.fault = nil
	if a := submit(n, n.id, `{"share":"AQ=="}`); a.Body != first {
		t.Errorf("after all were cleared %v", a)
	}
	if a := submit(m, m.id, `{"share":"AQ=="}`); !strings.Contains(a.Body, `"2/2 recovery shares successfully submitted\nEnd of recovery procedure initiated"`) {
		t.Errorf("the last of two %v", a)
	}
	if a := submit(m, m.id, `{"share":"AA=="}`); !strings.Contains(a.Body, `"Full recovery key successfully submitted\nEnd of recovery procedure initiated"`) {
		t.Errorf("the whole key %v", a)
	}
}
