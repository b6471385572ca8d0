package auth_test

import (
	"bytes"
	"crypto/elliptic"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"synod/app"
	"synod/internal/auth"
	"synod/internal/cose"
	"synod/internal/kv"
	"synod/internal/tables"
)

// signed is a member's request.
func signed(t testing.TB, who *person, kid string, h cose.GovHeader, payload string) *app.Request {
	t.Helper()
	b, err := cose.SignGov(who.key, kid, h, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return withBody(b)
}

func withBody(b []byte) *app.Request {
	return &app.Request{Header: app.Header{{Name: "content-type", Value: "application/cose"}}, Body: b}
}

// assembly has one active member, one accepted, one user and a member whose
// certificate is for an RSA key.
type assembly struct {
	active, accepted, user *person
	rsa                    string
	tx                     *kv.Tx
}

func newAssembly(t testing.TB) *assembly {
	a := &assembly{active: valid(t), accepted: newPerson(t, elliptic.P256(), now, now), user: newPerson(t, elliptic.P521(), now, now)}
	odd := &person{der: newCert(t, rsaKey(), now, now)}
	a.rsa = odd.ID()
	a.tx = newTx(t, map[string]map[string]string{
		tables.MemberCerts: {a.active.ID(): a.active.pem(), a.accepted.ID(): a.accepted.pem(), a.rsa: odd.pem(), "broken": "no PEM"},
		tables.Members: {
			a.active.ID():   `{"status":"Active","member_data":{"m":1}}`,
			a.accepted.ID(): `{"status":"Accepted"}`,
		},
		tables.UserCerts: {a.user.ID(): a.user.pem()},
		tables.Users:     {a.user.ID(): `{"user_data":"u"}`},
	})
	return a
}

func TestMemberCOSE(t *testing.T) {
	a := newAssembly(t)
	stranger := valid(t)
	ballot := cose.GovHeader{MsgType: "ballot", ProposalID: "p", CreatedAt: 12}
	cases := map[string]struct {
		req    *app.Request
		policy app.Policy
		reason string
		fault  string // of a 500
	}{
		"active":         {req: signed(t, a.active, a.active.ID(), ballot, "x"), policy: app.ActiveMemberCOSE("ballot")},
		"any type":       {req: signed(t, a.active, a.active.ID(), cose.GovHeader{HasCreatedAt: true}, "x"), policy: app.MemberCOSE("")},
		"accepted":       {req: signed(t, a.accepted, a.accepted.ID(), ballot, "x"), policy: app.MemberCOSE("ballot")},
		"not active":     {req: signed(t, a.accepted, a.accepted.ID(), ballot, "x"), policy: app.ActiveMemberCOSE("ballot"), reason: "Signer is not an ACTIVE member"},
		"other type":     {req: signed(t, a.active, a.active.ID(), ballot, "x"), policy: app.MemberCOSE("ack"), reason: "Found ccf.gov.msg.type set to ballot, expected ccf.gov.msg.type to be ack"},
		"no type":        {req: signed(t, a.active, a.active.ID(), cose.GovHeader{CreatedAt: 1}, "x"), policy: app.MemberCOSE("ack"), reason: "Missing ccf.gov.msg.type, expected ccf.gov.msg.type to be ack"},
		"unknown kid":    {req: signed(t, a.active, stranger.ID(), ballot, "x"), policy: app.MemberCOSE("ballot"), reason: "Signer is not a known member"},
		"a user's kid":   {req: signed(t, a.user, a.user.ID(), ballot, "x"), policy: app.MemberCOSE("ballot"), reason: "Signer is not a known member"},
		"wrong key":      {req: signed(t, stranger, a.active.ID(), ballot, "x"), policy: app.MemberCOSE("ballot"), reason: "Failed to validate COSE Sign1"},
		"wrong curve":    {req: signed(t, a.accepted, a.active.ID(), ballot, "x"), policy: app.MemberCOSE("ballot"), reason: "Failed to validate COSE Sign1"},
		"no created_at":  {req: signed(t, a.active, a.active.ID(), cose.GovHeader{MsgType: "ballot"}, "x"), policy: app.MemberCOSE("ballot"), fault: "Missing created_at in protected header"},
		"RSA member":     {req: signed(t, a.active, a.rsa, ballot, "x"), policy: app.MemberCOSE("ballot"), fault: "unsupported public key type"},
		"broken member":  {req: signed(t, a.active, "broken", ballot, "x"), policy: app.MemberCOSE("ballot"), fault: "not a PEM certificate"},
		"no CBOR":        {req: withBody([]byte("{}")), policy: app.MemberCOSE("ballot"), fault: "Failed to decode COSE_Sign1: "},
		"empty":          {req: withBody(nil), policy: app.MemberCOSE("ballot"), fault: "Failed to decode COSE_Sign1: "},
		"other content":  {req: &app.Request{Header: app.Header{{Name: "content-type", Value: "application/json"}}}, policy: app.MemberCOSE("ballot"), reason: "Content type is not set to application/cose"},
		"no content":     {req: &app.Request{}, policy: app.MemberCOSE("ballot"), reason: "Missing content-type header"},
		"other alg":      {req: withBody(message(-37, a.active.ID())), policy: app.MemberCOSE("ballot"), reason: "Unsupported algorithm: -37"},
		"detached":       {req: withBody(detached(t, signed(t, a.active, a.active.ID(), ballot, "x").Body)), policy: app.MemberCOSE("ballot"), reason: "Failed to validate COSE Sign1"},
		"trailing bytes": {req: withBody(append(signed(t, a.active, a.active.ID(), ballot, "x").Body, 0)), policy: app.MemberCOSE("ballot"), fault: "Failed to decode COSE_Sign1: "},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			caller, err, c := try(t, a.tx, tc.req, tc.policy)
			switch {
			case tc.fault != "":
				if err == nil || err.Status != 500 || err.Code != "InternalError" || !strings.Contains(err.Message, tc.fault) {
					t.Errorf("error %v", err)
				}
			case tc.reason != "":
				if diff := cmp.Diff([]string{tc.policy.Name() + "|" + tc.reason}, reasons(err)); diff != "" {
					t.Error(diff)
				}
				if got := c.Response().Header.Get("www-authenticate"); got != `COSE-SIGN1 realm="Signed request access"` {
					t.Errorf("challenge %q", got)
				}
			default:
				if err != nil {
					t.Fatal(err, reasons(err))
				}
				id := caller.COSE
				if caller.Policy != tc.policy.Name() || string(id.Content) != "x" || !bytes.Equal(id.Envelope, tc.req.Body) || !id.HasCreated {
					t.Errorf("caller %+v %+v", caller, id)
				}
			}
		})
	}
	caller, _, _ := try(t, a.tx, signed(t, a.active, a.active.ID(), ballot, "x"), app.MemberCOSE("ballot"))
	if caller.ID != a.active.ID() || string(caller.Data) != `{"m":1}` || !bytes.Equal(caller.Cert, a.active.der) ||
		caller.COSE.ProposalID != "p" || caller.COSE.CreatedAt != 12 || len(caller.COSE.Signature) != 96 {
		t.Errorf("caller %+v %+v", caller, caller.COSE)
	}
}

// message is a COSE_Sign1 of an algorithm that SignGov does not make, with a
// signature of zeros.
func message(alg int, kid string) []byte {
	protected := append([]byte{0xa3, 0x01, 0x38, byte(-1 - alg), 0x04, 0x58, byte(len(kid))}, kid...)
	protected = append(protected, "\x76ccf.gov.msg.created_at\x01"...)
	b := append([]byte{0xd2, 0x84, 0x58, byte(len(protected))}, protected...)
	b = append(b, 0xa0, 0x41, 'x', 0x58, 96)
	return append(b, make([]byte, 96)...)
}

// detached takes the payload "x" out of a message.
func detached(t testing.TB, b []byte) []byte {
	t.Helper()
	out := bytes.Replace(b, []byte{0xa0, 0x41, 'x'}, []byte{0xa0, 0xf6}, 1)
	if len(out) != len(b)-1 {
		t.Fatal("no payload found")
	}
	return out
}

func TestUserCOSE(t *testing.T) {
	a := newAssembly(t)
	caller, err, _ := try(t, a.tx, signed(t, a.user, a.user.ID(), cose.GovHeader{}, "hello"), app.UserCOSE)
	if err != nil {
		t.Fatal(err, reasons(err))
	}
	if caller.Policy != "user_cose_sign1" || caller.ID != a.user.ID() || string(caller.Data) != `"u"` ||
		string(caller.COSE.Content) != "hello" || caller.COSE.HasCreated {
		t.Errorf("caller %+v %+v", caller, caller.COSE)
	}
	_, err, _ = try(t, a.tx, signed(t, a.active, a.active.ID(), cose.GovHeader{}, "hello"), app.UserCOSE)
	if diff := cmp.Diff([]string{"user_cose_sign1|Signer is not a known user"}, reasons(err)); diff != "" {
		t.Error(diff)
	}
	for name, body := range map[string][]byte{
		"no headers": {0xd2, 0x84, 0x40, 0xa0, 0x40, 0x40},
		"no kid":     {0xd2, 0x84, 0x43, 0xa1, 0x01, 0x26, 0xa0, 0x40, 0x40},
	} {
		if _, err, _ := try(t, a.tx, withBody(body), app.UserCOSE); err == nil || err.Status != 500 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzCOSE sends any body to both COSE policies.
func FuzzCOSE(f *testing.F) {
	a := newAssembly(f)
	f.Add(signed(f, a.active, a.active.ID(), cose.GovHeader{MsgType: "ballot", CreatedAt: 1}, "x").Body)
	f.Add(message(-37, a.active.ID()))
	f.Add([]byte{0xd2, 0x84, 0x40, 0xa0, 0xf6, 0x40})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, p := range []app.Policy{app.MemberCOSE("ballot"), app.ActiveMemberCOSE(""), app.UserCOSE} {
			caller, err, _ := try(t, a.tx, withBody(body), p)
			if caller == nil && err.Status != 401 && err.Status != 500 {
				t.Errorf("%v", err)
			}
		}
	})
}

func BenchmarkMemberCOSE(b *testing.B) {
	a := newAssembly(b)
	req := signed(b, a.active, a.active.ID(), cose.GovHeader{MsgType: "ballot", CreatedAt: 1}, "x")
	c := app.NewContext(b.Context(), req, a.tx, nil, nil)
	cache := &auth.Cache{}
	policies := []app.Policy{app.ActiveMemberCOSE("ballot")}
	for b.Loop() {
		if _, err := auth.Authenticate(c, policies, now, cache); err != nil {
			b.Fatal(err)
		}
	}
}
