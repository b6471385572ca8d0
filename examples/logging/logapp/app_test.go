package logapp_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"synod"
	"synod/app"
	"synod/examples/logging/logapp"
	"synod/internal/kv"
)

// harness calls endpoints on one transaction, as a front end would.
type harness struct {
	t      *testing.T
	app    *app.App
	tx     *kv.Tx
	caller *app.Caller
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	tx := kv.New().Begin()
	t.Cleanup(tx.Release)
	return &harness{t: t, app: logapp.New(), tx: tx, caller: &app.Caller{Policy: "user_cert", ID: "u0"}}
}

type answer struct {
	Status int
	Code   string // of an error
	Body   string
	ETag   string
}

func (h *harness) call(method, target, body string, fields ...app.Field) (answer, *app.Context) {
	h.t.Helper()
	path, query, _ := strings.Cut(target, "?")
	template, params := path, []app.Param(nil)
	if rest, ok := strings.CutPrefix(path, "/log/private/raw_text/"); ok {
		template, params = "/log/private/raw_text/{id}", []app.Param{{Name: "id", Value: rest}}
	}
	for _, e := range h.app.Endpoints() {
		if e.Method != method || e.Path != template {
			continue
		}
		req := &app.Request{Method: method, Path: "/app" + path, Query: query, Header: fields, Body: []byte(body)}
		c := app.NewContext(h.t.Context(), req, h.tx, e, params)
		if len(e.Policies) > 0 {
			c.Caller = h.caller
		}
		if err := e.Handler(c); err != nil {
			var refused *synod.Error
			if !errors.As(err, &refused) {
				h.t.Fatalf("%s %s: %v", method, target, err)
			}
			return answer{Status: refused.Status, Code: refused.Code, Body: refused.Message}, c
		}
		r := c.Response()
		return answer{Status: r.Status, Body: string(r.Body), ETag: r.Header.Get("etag")}, c
	}
	h.t.Fatalf("no endpoint %s %s", method, path)
	return answer{}, nil
}

func tag(s string) string {
	d := sha256.Sum256([]byte(s))
	return hex.EncodeToString(d[:])
}

func TestRecords(t *testing.T) {
	for _, kind := range []string{"private", "public"} {
		t.Run(kind, func(t *testing.T) {
			h := newHarness(t)
			path, etag := "/log/"+kind, func(string) string { return "" }
			if kind == "public" {
				etag = tag
			}
			for _, step := range []struct {
				method, target, body string
				want                 answer
			}{
				{"GET", path + "?id=1", "", answer{404, "ResourceNotFound", "No such record: 1.", ""}},
				{"POST", path, `{"id":1,"msg":"one"}`, answer{0, "", "true", etag("one")}},
				{"POST", path + "?scope=s", `{"id":1,"msg":"other"}`, answer{0, "", "true", etag("other")}},
				{"GET", path + "?id=1", "", answer{0, "", `{"msg":"one"}`, etag("one")}},
				{"GET", path + "/backup?id=1", "", answer{0, "", `{"msg":"one"}`, etag("one")}},
				{"GET", path + "?id=1&scope=s", "", answer{0, "", `{"msg":"other"}`, etag("other")}},
				{"GET", path + "/count", "", answer{0, "", "1", ""}},
				{"DELETE", path + "?id=1", "", answer{0, "", "true", ""}},
				{"DELETE", path + "?id=1", "", answer{0, "", "false", ""}},
				{"POST", path, `{"id":18446744073709551615,"msg":"two"}`, answer{0, "", "true", etag("two")}},
				{"DELETE", path + "/all", "", answer{0, "", "true", ""}},
				{"GET", path + "/count", "", answer{0, "", "0", ""}},
				{"GET", path, "", answer{400, "InvalidQueryParameterValue", "No value for key 'id'.", ""}},
				{"GET", path + "?id=x", "", answer{400, "InvalidQueryParameterValue", "Unable to parse value 'x' in parameter 'id' as a number.", ""}},
				{"POST", path, `{"id":1,"msg":""}`, answer{400, "InvalidInput", "Cannot record an empty log message.", ""}},
				{"POST", path, `{"msg":"m"}`, answer{400, "InvalidInput", "The record has no 'id'.", ""}},
				{"POST", path, `{"id":1}`, answer{400, "InvalidInput", "The record has no 'msg'.", ""}},
			} {
				got, _ := h.call(step.method, step.target, step.body)
				if diff := cmp.Diff(step.want, got); diff != "" {
					t.Errorf("%s %s %s: %s", step.method, step.target, step.body, diff)
				}
			}
			for _, body := range []string{`{"id":-1,"msg":"m"}`, `{"id":1.5,"msg":"m"}`, `{"id":"1","msg":"m"}`, `[`, `{"id":1,"msg":5}`} {
				if got, _ := h.call("POST", path, body); got.Status != 400 || got.Code != "InvalidInput" {
					t.Errorf("%s: %+v", body, got)
				}
			}
		})
	}
}

// The ledger of CCF's own application has these bytes.
func TestStoredBytes(t *testing.T) {
	h := newHarness(t)
	h.call("POST", "/log/public", `{"id":200,"msg":"public record 0"}`)
	if v, ok := h.tx.Get("public:records", []byte("200")); !ok || string(v) != `"public record 0"` {
		t.Errorf("stored %q, %v", v, ok)
	}
	h.call("POST", "/log/private", `{"id":3,"msg":"m"}`)
	if !h.tx.Has("records", []byte("3")) {
		t.Error("private records are elsewhere")
	}
}

func TestClaims(t *testing.T) {
	h := newHarness(t)
	if _, c := h.call("POST", "/log/public", `{"id":1,"msg":"said","record_claim":true}`); c.Claims() != sha256.Sum256([]byte("said")) {
		t.Error("the claim is not the message's digest")
	}
	if _, c := h.call("POST", "/log/public", `{"id":1,"msg":"said"}`); c.Claims() != [32]byte{} {
		t.Error("a claim that nobody asked for")
	}
}

func TestWhoWrites(t *testing.T) {
	h := newHarness(t)
	h.call("POST", "/log/private/anonymous", `{"id":1,"msg":"m"}`)
	h.call("POST", "/log/private/prefix_cert", `{"id":2,"msg":"m"}`)
	for id, want := range map[string]string{"1": `{"msg":"Anonymous: m"}`, "2": `{"msg":"u0: m"}`} {
		if got, _ := h.call("GET", "/log/private?id="+id, ""); got.Body != want {
			t.Errorf("%s: %s", id, got.Body)
		}
	}
	if got, _ := h.call("POST", "/log/private/prefix_cert", `{"id":2,"msg":""}`); got.Body != "Cannot record an empty log message" {
		t.Errorf("%+v", got)
	}
	for data, want := range map[string]int{"": 403, `{}`: 403, `{"isAdmin":false}`: 403, `{"isAdmin":"true"}`: 403, `[]`: 403, `{"isAdmin":true}`: 0} {
		h.caller.Data = []byte(data)
		if got, _ := h.call("POST", "/log/private/admin_only", `{"id":3,"msg":"m"}`); got.Status != want {
			t.Errorf("user data %q: %+v", data, got)
		}
	}
}

func TestRawText(t *testing.T) {
	h := newHarness(t)
	plain := app.Field{Name: "content-type", Value: "text/plain"}
	if got, _ := h.call("POST", "/log/private/raw_text/5", "raw", plain); got.Status != 200 || got.Body != "" {
		t.Errorf("%+v", got)
	}
	if got, _ := h.call("GET", "/log/private?id=5", ""); got.Body != `{"msg":"raw"}` {
		t.Errorf("%+v", got)
	}
	for _, ct := range []string{"text/html", "text/plain; charset=utf-8", ""} {
		got, _ := h.call("POST", "/log/private/raw_text/5", "raw", app.Field{Name: "content-type", Value: ct})
		if got.Status != 415 || got.Body != "Expected content-type 'text/plain'. Got '"+ct+"'." {
			t.Errorf("%+v", got)
		}
	}
}

func TestETags(t *testing.T) {
	h := newHarness(t)
	field := func(name, value string) app.Field { return app.Field{Name: name, Value: value} }
	is, other := `"`+tag("one")+`"`, `"`+tag("two")+`"`
	post := func(fields ...app.Field) int {
		got, _ := h.call("POST", "/log/public", `{"id":1,"msg":"one"}`, fields...)
		return got.Status
	}
	if s := post(field("if-match", other)); s != 0 {
		t.Errorf("a record that does not exist cannot mismatch: %d", s)
	}
	for _, tt := range []struct {
		name, value     string
		post, get, remv int
	}{
		{"if-match", is, 0, 0, 0},
		{"if-match", "*", 0, 0, 0},
		{"if-match", other, 412, 412, 412},
		{"if-match", other + ", " + is, 0, 0, 0},
		{"if-none-match", is, 412, 304, 304},
		{"if-none-match", "*", 412, 304, 304},
		{"if-none-match", other, 0, 0, 0},
		{"if-match", `W/` + is, 500, 500, 500},
		{"if-match", `"XYZ"`, 500, 500, 500},
		{"if-none-match", "", 500, 500, 500},
	} {
		f := field(tt.name, tt.value)
		if s := post(f); s != tt.post {
			t.Errorf("POST %s %s: %d", tt.name, tt.value, s)
		}
		if got, _ := h.call("GET", "/log/public?id=1", "", f); got.Status != tt.get {
			t.Errorf("GET %s %s: %+v", tt.name, tt.value, got)
		}
		if got, _ := h.call("DELETE", "/log/public?id=1", "", f); got.Status != tt.remv {
			t.Errorf("DELETE %s %s: %+v", tt.name, tt.value, got)
		}
		post()
	}
	if s := post(field("if-match", is), field("if-none-match", is)); s != 400 {
		t.Errorf("both headers: %d", s)
	}
}

func TestWhoIsCalling(t *testing.T) {
	h := newHarness(t)
	cert := &app.Caller{Policy: "user_cert", ID: "u0", Cert: []byte{1}, Data: []byte(`{"a":1}`)}
	jwt := &app.Caller{Policy: "jwt", JWT: &app.JWTIdentity{KeyIssuer: "i", Header: []byte(`{"h":1}`), Payload: []byte(`{"p":1}`)}}
	signed := &app.Caller{Policy: "user_cose_sign1", ID: "u1", COSE: &app.COSEIdentity{Content: []byte("abc")}}
	for want, caller := range map[string]*app.Caller{
		"User TLS cert\nThe caller is a user with ID: u0\nThe caller's cert is:\n-----BEGIN":                                                            cert,
		"Member TLS cert\nThe caller is a member with ID: m0":                                                                                           {Policy: "member_cert", ID: "m0"},
		"Any TLS cert\nThe caller's cert is:":                                                                                                           {Policy: "any_cert"},
		"JWT\nThe caller is identified by a JWT issued by: i\nThe JWT header is:\n{\n":                                                                  jwt,
		"User COSE Sign1\nThe caller is identified by a COSE Sign1 signed by kid: u1\nThe caller is identified by a COSE Sign1 with content of size: 3": signed,
		"Unauthenticated": {Policy: "no_auth"},
		"Conjoined auth policy: jwt+user_cert+user_cose_sign1\n\njwt:\nJWT": {
			Policy: "jwt+user_cert+user_cose_sign1",
			AllOf:  map[string]*app.Caller{"jwt": jwt, "user_cert": cert, "user_cose_sign1": signed},
		},
	} {
		h.caller = caller
		if got, _ := h.call("POST", "/multi_auth", ""); !strings.HasPrefix(got.Body, want) {
			t.Errorf("want %q…, got %q", want, got.Body)
		}
	}
	h.caller = signed
	if got, _ := h.call("POST", "/log/cose_signed_content", ""); got.Body != "abc" {
		t.Errorf("%+v", got)
	}
	if got, _ := h.call("GET", "/log/request_query?a=%26b", ""); got.Body != "a=&b" {
		t.Errorf("%+v", got)
	}
}
