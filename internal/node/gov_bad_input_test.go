package node_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"synod"
	"synod/client"
	"synod/internal/cose"
	"synod/internal/identity"
)

// envelope is a signed request (RFC 9052 §4.2), of which every part can be
// wrong. A field that is nil is left out.
type envelope struct {
	alg     any
	kid     any
	created any
	msgType any
	id      any // of the proposal
	payload []byte
	key     *ecdsa.PrivateKey
}

// head is a CBOR head: major type and argument (RFC 8949 §3).
func head(major byte, n uint64) []byte {
	switch {
	case n < 24:
		return []byte{major<<5 | byte(n)}
	case n <= 0xff:
		return []byte{major<<5 | 24, byte(n)}
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16([]byte{major<<5 | 25}, uint16(n))
	case n <= 0xffff_ffff:
		return binary.BigEndian.AppendUint32([]byte{major<<5 | 26}, uint32(n))
	default:
		return binary.BigEndian.AppendUint64([]byte{major<<5 | 27}, n)
	}
}

// item encodes what the headers hold.
func item(v any) []byte {
	switch v := v.(type) {
	case int:
		if v < 0 {
			return head(1, uint64(-v-1))
		}
		return head(0, uint64(v))
	case uint64:
		return head(0, v)
	case string:
		return append(head(3, uint64(len(v))), v...)
	case []byte:
		return append(head(2, uint64(len(v))), v...)
	default:
		panic(fmt.Sprintf("no CBOR for %T", v))
	}
}

func (e envelope) protected() []byte {
	var b []byte
	n := 0
	for _, f := range []struct{ label, value any }{
		{1, e.alg}, {4, e.kid}, {"ccf.gov.msg.created_at", e.created}, {"ccf.gov.msg.type", e.msgType}, {"ccf.gov.msg.proposal_id", e.id},
	} {
		if f.value != nil {
			b = append(append(b, item(f.label)...), item(f.value)...)
			n++
		}
	}
	return append(head(5, uint64(n)), b...)
}

// signature is by the key over the protected header and the payload.
func (e envelope) signature(protected []byte) []byte {
	tbs := append(head(4, 4), item("Signature1")...)
	tbs = append(append(tbs, item(protected)...), item([]byte{})...)
	tbs = append(tbs, item(e.payload)...)
	digest, err := cose.Digest(cose.AlgES384, tbs)
	if err != nil {
		panic(err)
	}
	r, s, err := ecdsa.Sign(rand.Reader, e.key, digest)
	if err != nil {
		panic(err)
	}
	return append(r.FillBytes(make([]byte, 48)), s.FillBytes(make([]byte, 48))...)
}

// message is the tagged message with the given parts.
func message(protected, payload, signature []byte) []byte {
	b := append([]byte{0xd2}, head(4, 4)...)
	b = append(append(b, item(protected)...), 0xa0)
	return append(append(b, payload...), item(signature)...)
}

func (e envelope) bytes() []byte {
	p := e.protected()
	return message(p, item(e.payload), e.signature(p))
}

// govCall is one of the signed calls, as its member makes it rightly.
type govCall struct {
	name, path string
	envelope   envelope
	status     int // of the right call; 0 if it is not made here
}

// govCalls are all signed calls for an open proposal, by its proposer.
func (s *service) govCalls(proposal string) []govCall {
	m := s.members[0]
	id := string(identity.MemberIDOf(m.CertDER))
	right := func(msgType string, of any, payload string) envelope {
		return envelope{alg: -35, kid: []byte(id), created: int(time.Now().Unix()), msgType: msgType, id: of, payload: []byte(payload), key: m.Key}
	}
	const version = "?api-version=2024-07-01"
	path := "/gov/members/proposals/" + proposal
	return []govCall{
		{"update", "/gov/members/state-digests/" + id + ":update" + version, right("state_digest", nil, ""), 200},
		{"ack", "/gov/members/state-digests/" + id + ":ack" + version, right("ack", nil, `{"stateDigest":"00"}`), 400},
		{"create", "/gov/members/proposals:create" + version, right("proposal", nil, `{"actions":[{"name":"trigger_snapshot"}]}`), 200},
		{"ballot", path + "/ballots/" + id + ":submit" + version, right("ballot", proposal, `{"ballot":"export function vote() { return false; }"}`), 200},
		{"recover", "/gov/recovery/members/" + id + ":recover" + version, right("recovery_share", nil, `{"share":"AA=="}`), 403},
		{"withdraw", path + ":withdraw" + version, right("withdrawal", proposal, ""), 200},
	}
}

// TestBadSignedCalls spoils every signed governance call in every way: each is
// refused with its code, nothing is changed, and the right call works after it.
func TestBadSignedCalls(t *testing.T) {
	s := start(t, nil)
	s.open()
	open, err := s.member(0).Propose(t.Context(), []byte(`{"actions":[{"name":"trigger_ledger_chunk"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, nobody := s.members[1], s.user
	idOf := func(p *identity.Participant) string { return string(identity.MemberIDOf(p.CertDER)) }
	const (
		auth = "401 InvalidAuthenticationInfo"
		bug  = "500 InternalError" // CCF: a message that does not parse is no credential at all
	)
	change := func(f func(e *envelope)) func(envelope) []byte {
		return func(e envelope) []byte { f(&e); return e.bytes() }
	}
	for _, x := range []struct {
		name  string
		spoil func(e envelope) []byte
		want  string
	}{
		{"wrong message type", change(func(e *envelope) { e.msgType = "nonsense" }), auth},
		{"no message type", change(func(e *envelope) { e.msgType = nil }), auth},
		{"a message type that is no text", change(func(e *envelope) { e.msgType = 1 }), bug},
		{"another member's key", change(func(e *envelope) { e.key = other.Key }), auth},
		{"unknown signer", change(func(e *envelope) { e.key, e.kid = nobody.Key, []byte(idOf(nobody)) }), auth},
		{"a signer that is no identifier", change(func(e *envelope) { e.kid = []byte("\x00\xff") }), auth},
		{"no signer", change(func(e *envelope) { e.kid = nil }), bug},
		{"a signer that is text", change(func(e *envelope) { e.kid = idOf(nobody) }), bug},
		{"a key of another curve", change(func(e *envelope) { e.key = p256 }), auth},
		{"RSA", change(func(e *envelope) { e.alg = -37 }), auth},
		{"another curve's algorithm", change(func(e *envelope) { e.alg = -7 }), auth},
		{"no algorithm", change(func(e *envelope) { e.alg = nil }), bug},
		{"no time", change(func(e *envelope) { e.created = nil }), bug},
		{"a time before all", change(func(e *envelope) { e.created = -1 }), bug},
		{"a time that is text", change(func(e *envelope) { e.created = "now" }), bug},
		{"corrupted signature", func(e envelope) []byte {
			b := e.bytes()
			b[len(b)-1] ^= 1
			return b
		}, auth},
		{"short signature", func(e envelope) []byte {
			p := e.protected()
			return message(p, item(e.payload), e.signature(p)[:95])
		}, auth},
		{"corrupted header", func(e envelope) []byte {
			signature := e.signature(e.protected())
			e.created = e.created.(int) + 1
			return message(e.protected(), item(e.payload), signature)
		}, auth},
		{"a header that is no map", func(e envelope) []byte { return message([]byte{0x80}, item(e.payload), make([]byte, 96)) }, bug},
		{"corrupted payload", func(e envelope) []byte {
			p := e.protected()
			return message(p, item(append([]byte(" "), e.payload...)), e.signature(p))
		}, auth},
		{"detached payload", func(e envelope) []byte {
			p := e.protected()
			return message(p, []byte{0xf6}, e.signature(p))
		}, auth},
		{"untagged", func(e envelope) []byte { return e.bytes()[1:] }, bug},
		{"another tag", func(e envelope) []byte { return append([]byte{0xd1}, e.bytes()[1:]...) }, bug},
		{"bytes after the message", func(e envelope) []byte { return append(e.bytes(), 0) }, bug},
		{"cut off", func(e envelope) []byte { b := e.bytes(); return b[:len(b)-1] }, bug},
		{"nothing", func(envelope) []byte { return nil }, bug},
		{"nested without end", func(envelope) []byte { return []byte(strings.Repeat("\x81", 100_000)) }, bug},
		{"more than the limit", change(func(e *envelope) { e.payload = make([]byte, 1<<20) }), "413 RequestBodyTooLarge"},
	} {
		t.Run(x.name, func(t *testing.T) {
			for _, call := range s.govCalls(open.ID) {
				if got := s.code(t, call.path, "application/cose", x.spoil(call.envelope)); got != x.want {
					t.Errorf("%s: %s, want %s", call.name, got, x.want)
				}
			}
		})
	}
	t.Run("content type", func(t *testing.T) {
		for _, kind := range []string{"", "application/json", "application/cose; x=y", "text/plain"} {
			for _, call := range s.govCalls(open.ID) {
				if got := s.code(t, call.path, kind, call.envelope.bytes()); got != auth {
					t.Errorf("%s, %q: %s", call.name, kind, got)
				}
			}
		}
	})
	t.Run("paths", func(t *testing.T) { s.badPaths(t, open.ID) })
	t.Run("payloads", func(t *testing.T) { s.badPayloads(t, open.ID) })
	t.Run("times", func(t *testing.T) { s.badTimes(t) })
	t.Run("the right calls", func(t *testing.T) {
		for _, call := range s.govCalls(open.ID) {
			got := s.code(t, call.path, "application/cose", call.envelope.bytes())
			if !strings.HasPrefix(got, fmt.Sprint(call.status)) {
				t.Errorf("%s: %s, want %d", call.name, got, call.status)
			}
		}
	})
}

// code posts a body and returns the answer's status and error code.
func (s *service) code(t *testing.T, path, contentType string, body []byte) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	header := http.Header{}
	if contentType != "" {
		header.Set("Content-Type", contentType)
	}
	r, err := s.dial(nil).Do(ctx, client.Request{Method: http.MethodPost, Path: path, Body: body, Header: header})
	var e *synod.Error
	if errors.As(err, &e) {
		return fmt.Sprintf("%d %s", e.Status, e.Code)
	}
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(r.Status)
}

// badPaths sends rightly signed calls to paths that do not fit them.
func (s *service) badPaths(t *testing.T, proposal string) {
	own, other := string(identity.MemberIDOf(s.members[0].CertDER)), string(identity.MemberIDOf(s.members[1].CertDER))
	none := strings.Repeat("0", 64)
	for name, x := range map[string]struct {
		replace, with string
		want          map[string]string
	}{
		"another member": {own, other, map[string]string{
			"update": "400 InvalidAuthenticationInfo", "ack": "400 InvalidAuthenticationInfo", "ballot": "400 InvalidResourceName",
		}},
		"no member": {own, "x", map[string]string{
			"update": "400 InvalidAuthenticationInfo", "ack": "400 InvalidAuthenticationInfo", "ballot": "400 InvalidResourceName",
		}},
		"a member in capitals": {own, strings.ToUpper(own), map[string]string{
			"update": "400 InvalidAuthenticationInfo", "ack": "400 InvalidAuthenticationInfo", "ballot": "400 InvalidResourceName",
		}},
		"a member with escapes": {own, "%00%2f" + own[2:], map[string]string{
			"update": "400 InvalidAuthenticationInfo", "ack": "400 InvalidAuthenticationInfo", "ballot": "400 InvalidResourceName",
		}},
		"another proposal":      {proposal, none, map[string]string{"ballot": "400 InvalidResourceName", "withdraw": "400 InvalidResourceName"}},
		"no proposal":           {proposal, "x", map[string]string{"ballot": "400 InvalidResourceName", "withdraw": "400 InvalidResourceName"}},
		"a proposal of letters": {proposal, strings.Repeat("z", 64), map[string]string{"ballot": "400 InvalidResourceName", "withdraw": "400 InvalidResourceName"}},
		"an endless proposal":   {proposal, strings.Repeat("0", 8000), map[string]string{"ballot": "400 InvalidResourceName", "withdraw": "400 InvalidResourceName"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, call := range s.govCalls(proposal) {
				want, ok := x.want[call.name]
				if !ok {
					continue
				}
				path := strings.Replace(call.path, x.replace, x.with, 1)
				if got := s.code(t, path, "application/cose", call.envelope.bytes()); got != want {
					t.Errorf("%s: %s, want %s", call.name, got, want)
				}
			}
		})
	}
	t.Run("an unknown proposal", func(t *testing.T) {
		for _, call := range s.govCalls(none) {
			want, ok := map[string]string{"ballot": "404 ProposalNotFound", "withdraw": "204"}[call.name]
			if !ok {
				continue
			}
			if got := s.code(t, call.path, "application/cose", call.envelope.bytes()); got != want {
				t.Errorf("%s: %s, want %s", call.name, got, want)
			}
		}
	})
	t.Run("no proposal in the header", func(t *testing.T) {
		for _, call := range s.govCalls(proposal) {
			if call.envelope.id == nil {
				continue
			}
			for _, id := range []any{nil, "", none} {
				call.envelope.id = id
				if got := s.code(t, call.path, "application/cose", call.envelope.bytes()); got != "400 InvalidResourceName" {
					t.Errorf("%s, %v: %s", call.name, id, got)
				}
			}
			call.envelope.id = 7
			if got := s.code(t, call.path, "application/cose", call.envelope.bytes()); got != "500 InternalError" {
				t.Errorf("%s, a number: %s", call.name, got)
			}
		}
	})
	t.Run("by another member", func(t *testing.T) {
		for _, call := range s.govCalls(proposal) {
			if call.name != "withdraw" {
				continue
			}
			call.envelope.kid, call.envelope.key = []byte(other), s.members[1].Key
			if got := s.code(t, call.path, "application/cose", call.envelope.bytes()); got != "403 AuthorizationFailed" {
				t.Error(got)
			}
		}
	})
}

// badPayloads signs what the calls do not take.
func (s *service) badPayloads(t *testing.T, proposal string) {
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	odd := map[string]string{
		"nothing": "", "no JSON": "hello", "null": "null", "a list": "[]", "a number": "7", "nested": deep,
		"nested inside": `{"stateDigest":` + deep + `,"ballot":` + deep + `,"actions":` + deep + `,"share":` + deep + `}`,
		"numbers":       `{"stateDigest":7,"ballot":7,"actions":7,"share":7}`,
		"no UTF-8":      "{\"ballot\":\"\xff\xfe\",\"actions\":\"\xff\",\"stateDigest\":\"\xff\"}",
		"two values":    `{}{}`,
	}
	for name, payload := range odd {
		t.Run(name, func(t *testing.T) {
			for _, call := range s.govCalls(proposal) {
				if call.name == "update" || call.name == "withdraw" || call.name == "recover" {
					continue // they read no payload, or not in this state of the service
				}
				call.envelope.payload = []byte(payload)
				got := s.code(t, call.path, "application/cose", call.envelope.bytes())
				wants := []string{"400 InvalidInput"}
				switch {
				case call.name == "create":
					wants = []string{"400 ProposalFailedToValidate", "500 InternalError"}
				case call.name == "ack":
					wants = append(wants, "400 StateDigestMismatch")
				}
				if !strings.Contains(strings.Join(wants, ", "), got) {
					t.Errorf("%s: %s, want %s", call.name, got, wants)
				}
			}
		})
	}
	t.Run("a great ballot", func(t *testing.T) {
		for _, call := range s.govCalls(proposal) {
			if call.name != "ballot" {
				continue
			}
			for what, source := range map[string]string{
				"nested": strings.Repeat("(", 200_000), "unending": strings.Repeat("[", 200_000), "names": "export function vot(){}" + strings.Repeat("let a;", 10_000),
				"big": "export const x = '" + strings.Repeat("x", 900_000) + "';",
			} {
				payload, err := json.Marshal(map[string]string{"ballot": source})
				if err != nil {
					t.Fatal(err)
				}
				call.envelope.payload = payload
				if got := s.code(t, call.path, "application/cose", call.envelope.bytes()); got != "400 InvalidInput" {
					t.Errorf("%s: %s", what, got)
				}
			}
		}
	})
	t.Run("a great proposal", func(t *testing.T) {
		for _, call := range s.govCalls(proposal) {
			if call.name != "create" {
				continue
			}
			call.envelope.payload = []byte(`{"actions":[` + strings.Repeat(`{"name":"x"},`, 60_000) + `{"name":"x"}]}`)
			if got := s.code(t, call.path, "application/cose", call.envelope.bytes()); got != "400 ProposalFailedToValidate" && got != "500 InternalError" {
				t.Error(got)
			}
		}
	})
}

// badTimes makes proposals again, too old, or of a time that is none.
func (s *service) badTimes(t *testing.T) {
	var create envelope
	var path string
	for _, call := range s.govCalls("") {
		if call.name == "create" {
			create, path = call.envelope, call.path
		}
	}
	now := create.created.(int)
	body := create.bytes()
	create.created = now + 1000
	later := create.bytes()
	for i, x := range []struct {
		body []byte
		want string
	}{{body, "200"}, {body, "400 ProposalReplay"}, {later, "200"}, {later, "400 ProposalReplay"}} {
		if got := s.code(t, path, "application/cose", x.body); got != x.want {
			t.Errorf("%d: %s, want %s", i, got, x.want)
		}
	}
	for created, want := range map[any]string{
		0: "400 ProposalCreatedTooLongAgo", now - 3600: "400 ProposalCreatedTooLongAgo",
		9_999_999_999: "200", 10_000_000_000: "400 InvalidCreatedAt", uint64(1<<63 - 1): "400 InvalidCreatedAt", uint64(1<<64 - 1): "500 InternalError",
	} {
		create.created = created
		if got := s.code(t, path, "application/cose", create.bytes()); got != want {
			t.Errorf("%v: %s, want %s", created, got, want)
		}
	}
}
