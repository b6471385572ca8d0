package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"synod"
	"synod/app"
	"synod/internal/auth"
	"synod/internal/kv"
	"synod/internal/tables"
)

// now is the time of every request here.
var now = time.Unix(1_750_000_000, 0)

// person is a key with a certificate.
type person struct {
	key *ecdsa.PrivateKey
	der []byte
	id  string
}

func newPerson(t testing.TB, curve elliptic.Curve, from, to time.Time) *person {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &person{key: key, der: newCert(t, key, from, to)}
}

func newCert(t testing.TB, key crypto.Signer, from, to time.Time) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "someone"}, NotBefore: from, NotAfter: to,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func (p *person) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.der}))
}

func (p *person) ID() string {
	if p.id == "" {
		sum := sha256.Sum256(p.der)
		p.id = hex.EncodeToString(sum[:])
	}
	return p.id
}

func valid(t testing.TB) *person {
	return newPerson(t, elliptic.P384(), now.Add(-time.Hour), now.Add(time.Hour))
}

// newTx is a transaction on a store that has the given rows.
func newTx(t testing.TB, rows map[string]map[string]string) *kv.Tx {
	t.Helper()
	store := kv.New()
	tx := store.Begin()
	for table, row := range rows {
		for k, v := range row {
			tx.Put(table, []byte(k), []byte(v))
		}
	}
	if ws := tx.WriteSet(); ws != nil {
		if err := store.Commit(ws, synod.TxID{View: 2, SeqNo: 1}); err != nil {
			t.Fatal(err)
		}
	}
	tx.Release()
	tx = store.Begin()
	t.Cleanup(tx.Release)
	return tx
}

func try(t testing.TB, tx *kv.Tx, req *app.Request, policies ...app.Policy) (*app.Caller, *synod.Error, *app.Context) {
	t.Helper()
	return tryWith(t, &auth.Cache{}, tx, req, policies...)
}

func tryWith(t testing.TB, cache *auth.Cache, tx *kv.Tx, req *app.Request, policies ...app.Policy) (*app.Caller, *synod.Error, *app.Context) {
	t.Helper()
	c := app.NewContext(t.Context(), req, tx, nil, nil)
	caller, err := auth.Authenticate(c, policies, now, cache)
	if err == nil {
		return caller, nil, c
	}
	var shown *synod.Error
	if !errors.As(err, &shown) {
		t.Fatalf("error is a %T: %v", err, err)
	}
	if caller != nil {
		t.Fatal("a caller came with an error")
	}
	return nil, shown, c
}

// reasons are the messages of a 401's details.
func reasons(e *synod.Error) []string {
	if e == nil {
		return nil
	}
	var all []string
	for _, d := range e.Details {
		all = append(all, d.AuthPolicy+"|"+d.Message)
	}
	return all
}

func TestNobody(t *testing.T) {
	tx := newTx(t, nil)
	caller, err, _ := try(t, tx, &app.Request{})
	if caller != nil || err != nil {
		t.Errorf("no policies: %v, %v", caller, err)
	}
	caller, err, _ = try(t, tx, &app.Request{}, app.NoAuth)
	if err != nil || caller.Policy != "no_auth" {
		t.Errorf("no_auth: %v, %v", caller, err)
	}
	_, err, _ = try(t, tx, &app.Request{}, app.Policy{})
	if err == nil || err.Status != 500 {
		t.Errorf("unknown policy: %v", err)
	}
}

func TestRefusal(t *testing.T) {
	tx := newTx(t, nil)
	cases := map[string]struct {
		policies  []app.Policy
		body      string
		challenge string
	}{
		"the last one asks": {
			[]app.Policy{app.UserCert, app.JWT},
			`{"error":{"code":"InvalidAuthenticationInfo","details":[` +
				`{"auth_policy":"user_cert","code":"InvalidAuthenticationInfo","message":"No caller user certificate"},` +
				`{"auth_policy":"jwt","code":"InvalidAuthenticationInfo","message":"Missing authorization header"}],` +
				`"message":"Invalid authentication credentials."}}`,
			`Bearer realm="JWT bearer token access", error="invalid_token"`,
		},
		"a certificate asks nothing": {
			[]app.Policy{app.JWT, app.AnyCert},
			`{"error":{"code":"InvalidAuthenticationInfo","details":[` +
				`{"auth_policy":"jwt","code":"InvalidAuthenticationInfo","message":"Missing authorization header"},` +
				`{"auth_policy":"any_cert","code":"InvalidAuthenticationInfo","message":"No caller certificate"}],` +
				`"message":"Invalid authentication credentials."}}`,
			"",
		},
		"all of": {
			[]app.Policy{app.AllOf(app.UserCOSE, app.JWT)},
			`{"error":{"code":"InvalidAuthenticationInfo","details":[` +
				`{"auth_policy":"jwt+user_cose_sign1","code":"InvalidAuthenticationInfo","message":"jwt:Missing authorization header"}],` +
				`"message":"Invalid authentication credentials."}}`,
			`Bearer realm="JWT bearer token access", error="invalid_token"`,
		},
		"signed": {
			[]app.Policy{app.ActiveMemberCOSE("ballot")},
			`{"error":{"code":"InvalidAuthenticationInfo","details":[` +
				`{"auth_policy":"active_member_cose_sign1","code":"InvalidAuthenticationInfo","message":"Missing content-type header"}],` +
				`"message":"Invalid authentication credentials."}}`,
			`COSE-SIGN1 realm="Signed request access"`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err, c := try(t, tx, &app.Request{}, tc.policies...)
			if err == nil || err.Status != 401 {
				t.Fatalf("error %v", err)
			}
			body, _ := err.MarshalJSON()
			if diff := cmp.Diff(tc.body, string(body)); diff != "" {
				t.Error(diff)
			}
			if got := c.Response().Header.Get("www-authenticate"); got != tc.challenge {
				t.Errorf("challenge %q", got)
			}
		})
	}
}

func TestCertificates(t *testing.T) {
	user, member, stranger := valid(t), valid(t), valid(t)
	early := newPerson(t, elliptic.P256(), now.Add(time.Second), now.Add(time.Hour))
	late := newPerson(t, elliptic.P256(), now.Add(-time.Hour), now.Add(-time.Second))
	edge := newPerson(t, elliptic.P256(), now, now)
	tx := newTx(t, map[string]map[string]string{
		tables.UserCerts:   {user.ID(): user.pem(), early.ID(): early.pem(), late.ID(): late.pem(), edge.ID(): edge.pem()},
		tables.Users:       {user.ID(): `{"user_data":{"a":1}}`, edge.ID(): `{"user_data":null}`},
		tables.MemberCerts: {member.ID(): member.pem(), late.ID(): late.pem()},
		tables.Members:     {member.ID(): `{"status":"Active","member_data":[1]}`, late.ID(): `{"status":"Accepted"}`},
	})
	cases := map[string]struct {
		who    *person
		policy app.Policy
		data   string
		reason string
	}{
		"user":                 {who: user, policy: app.UserCert, data: `{"a":1}`},
		"user without data":    {who: edge, policy: app.UserCert},
		"user too early":       {who: early, policy: app.UserCert, reason: fmt.Sprintf("Current time %d is before certificate's Not Before validity period %d", now.Unix(), now.Unix()+1)},
		"user too late":        {who: late, policy: app.UserCert, reason: fmt.Sprintf("Current time %d is after certificate's Not After validity period %d", now.Unix(), now.Unix()-1)},
		"unknown user":         {who: stranger, policy: app.UserCert, reason: "Could not find matching user certificate"},
		"a member is no user":  {who: member, policy: app.UserCert, reason: "Could not find matching user certificate"},
		"member":               {who: member, policy: app.MemberCert, data: `[1]`},
		"member, dates aside":  {who: late, policy: app.MemberCert},
		"unknown member":       {who: user, policy: app.MemberCert, reason: "Could not find matching member certificate"},
		"anybody":              {who: stranger, policy: app.AnyCert},
		"anybody, but expired": {who: late, policy: app.AnyCert, reason: fmt.Sprintf("Current time %d is after certificate's Not After validity period %d", now.Unix(), now.Unix()-1)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			cache := &auth.Cache{}
			for range 2 { // the second time from the cache
				caller, err, _ := tryWith(t, cache, tx, &app.Request{ClientCert: tc.who.der}, tc.policy)
				if tc.reason != "" {
					if got := reasons(err); len(got) != 1 || got[0] != tc.policy.Name()+"|"+tc.reason {
						t.Errorf("reasons %q", got)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				want := &app.Caller{Policy: tc.policy.Name(), ID: tc.who.ID(), Cert: tc.who.der}
				if tc.data != "" {
					want.Data = json.RawMessage(tc.data)
				}
				if tc.policy.Name() == "any_cert" {
					want.ID = ""
				}
				if diff := cmp.Diff(want, caller); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
	if _, err, _ := try(t, tx, &app.Request{ClientCert: []byte("no certificate")}, app.AnyCert); err == nil || err.Status != 401 {
		t.Errorf("garbage: %v", err)
	}
}

// TestCacheFollowsTables changes the tables under one session's cache.
func TestCacheFollowsTables(t *testing.T) {
	user := valid(t)
	req := &app.Request{ClientCert: user.der}
	cache := &auth.Cache{}
	rows := map[string]map[string]string{
		tables.UserCerts: {user.ID(): user.pem()},
		tables.Users:     {user.ID(): `{"user_data":{"a":1}}`},
	}
	for _, data := range []string{`{"a":1}`, `{"a":2}`} {
		rows[tables.Users][user.ID()] = `{"user_data":` + data + `}`
		caller, err, _ := tryWith(t, cache, newTx(t, rows), req, app.UserCert)
		if err != nil || string(caller.Data) != data {
			t.Errorf("%s: %v, %v", data, caller, err)
		}
	}
	if _, err, _ := tryWith(t, cache, newTx(t, nil), req, app.UserCert); err == nil {
		t.Error("a removed user is still let in")
	}
}

func TestCustomAndAllOf(t *testing.T) {
	user := valid(t)
	tx := newTx(t, map[string]map[string]string{tables.UserCerts: {user.ID(): user.pem()}})
	yes := app.Custom("yes", func(*app.Context) (any, error) { return 7, nil })
	no := app.Custom("no", func(*app.Context) (any, error) { return nil, errors.New("not today") })
	req := &app.Request{ClientCert: user.der}

	caller, err, _ := try(t, tx, req, no, yes)
	if err != nil || caller.Policy != "yes" || caller.Custom != 7 {
		t.Errorf("custom: %v, %v", caller, err)
	}
	_, err, _ = try(t, tx, req, no)
	if diff := cmp.Diff([]string{"no|not today"}, reasons(err)); diff != "" {
		t.Error(diff)
	}
	caller, err, _ = try(t, tx, req, app.AllOf(yes, app.UserCert))
	if err != nil || caller.Policy != "user_cert+yes" || caller.AllOf["user_cert"].ID != user.ID() || caller.AllOf["yes"].Custom != 7 {
		t.Errorf("all of: %v, %v", caller, err)
	}
	_, err, _ = try(t, tx, req, app.AllOf(yes, no, app.UserCert))
	if diff := cmp.Diff([]string{"no+user_cert+yes|no:not today"}, reasons(err)); diff != "" {
		t.Error(diff)
	}
	_, err, _ = try(t, tx, req, app.AllOf(yes, yes))
	if err == nil || err.Status != 500 || !strings.Contains(err.Message, "twice") {
		t.Errorf("twice: %v", err)
	}
}

func BenchmarkUserCert(b *testing.B) {
	user := valid(b)
	tx := newTx(b, map[string]map[string]string{
		tables.UserCerts: {user.ID(): user.pem()},
		tables.Users:     {user.ID(): `{"user_data":{"a":1}}`},
	})
	cache := &auth.Cache{}
	c := app.NewContext(b.Context(), &app.Request{ClientCert: user.der}, tx, nil, nil)
	policies := []app.Policy{app.UserCert, app.JWT}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := auth.Authenticate(c, policies, now, cache); err != nil {
			b.Fatal(err)
		}
	}
}

// TestConcurrentCache shares one cache between requests that are under way at
// once, as the streams of an HTTP/2 session may.
func TestConcurrentCache(t *testing.T) {
	users := []*person{valid(t), valid(t)}
	rows := map[string]map[string]string{tables.UserCerts: {}, tables.Users: {}}
	for i, u := range users {
		rows[tables.UserCerts][u.ID()] = u.pem()
		rows[tables.Users][u.ID()] = fmt.Sprintf(`{"user_data":%d}`, i)
	}
	cache := &auth.Cache{}
	var wg sync.WaitGroup
	for i := range 4 {
		tx := newTx(t, rows)
		wg.Go(func() {
			for j := range 200 {
				n := (i + j) % 2
				c := app.NewContext(t.Context(), &app.Request{ClientCert: users[n].der}, tx, nil, nil)
				caller, err := auth.Authenticate(c, []app.Policy{app.UserCert}, now, cache)
				if err != nil || caller.ID != users[n].ID() || string(caller.Data) != fmt.Sprint(n) {
					t.Errorf("user %d: %v, %v", n, caller, err)
					return
				}
			}
		})
	}
	wg.Wait()
}
