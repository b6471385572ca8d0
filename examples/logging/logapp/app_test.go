package logapp_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"synod"
	"synod/app"
	"synod/app/apptest"
	"synod/examples/logging/logapp"
	"synod/receipt"
)

const issuer = "https://issuer.example"

// start makes a service with a user, an admin, a member and an issuer.
func start(t testing.TB) *apptest.Service {
	t.Helper()
	return apptest.New(t, logapp.New(),
		apptest.WithUser("alice", map[string]any{"name": "Alice"}),
		apptest.WithUser("admin", map[string]any{"isAdmin": true}),
		apptest.WithUser("notquite", map[string]any{"isAdmin": "true"}),
		apptest.WithMember("mo", nil),
		apptest.WithIssuer(issuer),
		apptest.WithConstitution("the constitution"),
		apptest.WithSignatures("service.example.com", "ledger.signature"))
}

func tag(s string) string {
	d := sha256.Sum256([]byte(s))
	return hex.EncodeToString(d[:])
}

type body = map[string]any

// TestRecords is the rows POST, GET, DELETE, all, count and backup of
// /log/private and /log/public.
func TestRecords(t *testing.T) {
	for _, kind := range []string{"private", "public"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			alice := start(t).As("alice")
			path := "/app/log/" + kind
			etag := func(msg string) string {
				if kind == "private" {
					return ""
				}
				return tag(msg)
			}
			alice.Get(path+"?id=1").ExpectError(404, "ResourceNotFound").ExpectBody(`{"error":{"code":"ResourceNotFound","message":"No such record: 1."}}`)
			alice.Post(path, body{"id": 1, "msg": "one"}).Expect(200).ExpectBody("true").ExpectHeader("etag", etag("one"))
			alice.Post(path+"?scope=s", body{"id": 1, "msg": "other"}).Expect(200)
			for _, p := range []string{path, path + "/backup"} {
				alice.Get(p+"?id=1").Expect(200).ExpectBody(`{"msg":"one"}`).ExpectHeader("etag", etag("one")).ExpectHeader("content-type", "application/json")
			}
			alice.Get(path + "?id=1&scope=s").Expect(200).ExpectBody(`{"msg":"other"}`)
			alice.Get(path + "/count").Expect(200).ExpectBody("1")
			alice.Delete(path + "?id=1").Expect(200).ExpectBody("true")
			alice.Delete(path + "?id=1").Expect(200).ExpectBody("false")
			alice.Post(path, `{"id":18446744073709551615,"msg":"two"}`).Expect(200)
			alice.Delete(path + "/all").Expect(200).ExpectBody("true")
			alice.Get(path + "/count").Expect(200).ExpectBody("0")

			for target, want := range map[string]string{
				"":      "Missing query parameter 'id'",
				"?id=x": "Unable to parse value 'x' in parameter 'id'",
			} {
				for _, method := range []string{"GET", "DELETE"} {
					got := alice.Do(method, path+target, nil).ExpectError(400, "InvalidQueryParameterValue")
					if got.Error().Message != want {
						t.Errorf("%s: %s", target, got.Body())
					}
				}
			}
			for _, text := range []string{
				`{"msg":"m"}`, `{"id":1}`, `{"id":-1,"msg":"m"}`, `{"id":1.5,"msg":"m"}`, `{"id":"1","msg":"m"}`, `[`, `{"id":1,"msg":5}`, ``,
			} {
				alice.Post(path, text).ExpectError(400, "InvalidInput")
			}
			alice.Post(path, body{"id": 1, "msg": ""}).ExpectError(400, "InvalidInput").
				ExpectBody(`{"error":{"code":"InvalidInput","message":"Cannot record an empty log message."}}`)
		})
	}
}

// TestStandardPolicies: every std row takes a token, a certificate and a
// signed body, in that order, and nobody else.
func TestStandardPolicies(t *testing.T) {
	svc := start(t)
	anybody := svc.Anybody()
	for _, row := range []string{
		"POST /log/private", "GET /log/private", "DELETE /log/private", "DELETE /log/private/all", "GET /log/private/count",
		"GET /log/private/backup", "POST /log/private/raw_text/1",
		"POST /log/public", "GET /log/public", "DELETE /log/public", "DELETE /log/public/all", "GET /log/public/count",
		"GET /log/public/backup", "GET /log/public/cbor_merkle_proof", "GET /log/public/cose_endorsements",
		"GET /log/public/cose_signature", "GET /log/public/cose_receipt", "GET /cose_signatures_config",
	} {
		method, path, _ := strings.Cut(row, " ")
		var tried []string
		for _, d := range anybody.Do(method, path, nil).ExpectError(401, "InvalidAuthenticationInfo").Error().Details {
			tried = append(tried, d.AuthPolicy)
		}
		if diff := cmp.Diff([]string{"jwt", "user_cert", "user_cose_sign1"}, tried); diff != "" {
			t.Errorf("%s: %s", row, diff)
		}
	}
	record := body{"id": 1, "msg": "m"}
	svc.Anybody().WithToken(issuer, nil).Post("/log/private", record).Expect(200)
	svc.As("alice").Signed("", app.COSEHeaders{}).Delete("/log/private/all").Expect(200)
	svc.As("mo").Post("/log/private", record).ExpectError(401, "InvalidAuthenticationInfo")
}

// TestStoredBytes: the ledger of CCF's own application has these bytes.
func TestStoredBytes(t *testing.T) {
	svc := start(t)
	svc.As("alice").Post("/log/public", body{"id": 200, "msg": "public record 0"}).Expect(200)
	svc.As("alice").Post("/log/private", body{"id": 3, "msg": "m"}).Expect(200)
	svc.Read(func(tx app.Tx) {
		if v, ok := tx.Get("public:records", []byte("200")); !ok || string(v) != `"public record 0"` {
			t.Errorf("stored %q, %v", v, ok)
		}
		if !tx.Has("records", []byte("3")) {
			t.Error("private records are elsewhere")
		}
	})
}

// TestClaims is record_claim of POST /log/public, and the claim of the
// service's first transaction.
func TestClaims(t *testing.T) {
	svc := start(t)
	alice := svc.As("alice")
	if r := alice.Post("/log/public", body{"id": 1, "msg": "said", "record_claim": true}).Receipt(); r.ClaimsDigest != sha256.Sum256([]byte("said")) {
		t.Error("the claim is not the message's digest")
	}
	if r := alice.Post("/log/public", body{"id": 1, "msg": "said"}).Receipt(); r.ClaimsDigest != [32]byte{} {
		t.Error("a claim that nobody asked for")
	}
	if r := svc.Verify(synod.TxID{View: 2, SeqNo: 1}); r.ClaimsDigest != sha256.Sum256([]byte("the constitution")) {
		t.Error("the first transaction does not claim the constitution")
	}
}

// TestAnonymous is the rows /log/private/anonymous and anonymous/v2.
func TestAnonymous(t *testing.T) {
	svc := start(t)
	svc.Anybody().Post("/log/private/anonymous", body{"id": 1, "msg": "m"}).Expect(200).ExpectBody("true")
	svc.As("alice").Get("/log/private?id=1").ExpectBody(`{"msg":"Anonymous: m"}`)

	const v2 = "/log/private/anonymous/v2"
	for _, query := range []string{"", "?fail=false"} {
		a := svc.Anybody().Post(v2+query, body{"id": 100, "msg": "hello"}).Expect(200)
		a.ExpectBody(fmt.Sprintf(`{"success":true,"tx_id":"%s"}`, a.TxID()))
	}
	failed := svc.Anybody().Post(v2+"?fail=true", body{"id": 101, "msg": "world"}).ExpectError(500, "InternalError").
		ExpectBody(`{"error":{"code":"InternalError","message":"Failed to execute local commit handler func: didn't set user_data!"}}`)
	failed.Committed()
	svc.As("alice").Get("/log/private?id=101").Expect(200).ExpectBody(`{"msg":"world"}`)
	svc.Anybody().Post(v2, body{"id": 1, "msg": ""}).ExpectError(400, "InvalidInput")
	svc.Anybody().Post(v2, body{"msg": "m"}).ExpectError(400, "InvalidInput")
}

// TestPrefixAndAdmin is the rows /log/private/prefix_cert and admin_only.
func TestPrefixAndAdmin(t *testing.T) {
	svc := start(t)
	alice := svc.As("alice")
	alice.Post("/log/private/prefix_cert", body{"id": 2, "msg": "m"}).Expect(200).ExpectBody("true")
	alice.Get("/log/private?id=2").ExpectBody(`{"msg":"` + svc.ID("alice") + `: m"}`)
	if got := alice.Post("/log/private/prefix_cert", body{"id": 2, "msg": ""}).ExpectError(400, "InvalidInput").Error(); got.Message != "Cannot record an empty log message" {
		t.Error(got.Message)
	}
	record := body{"id": 3, "msg": "m"}
	for _, name := range []string{"alice", "notquite"} {
		svc.As(name).Post("/log/private/admin_only", record).ExpectError(403, "AuthorizationFailed").
			ExpectBody(`{"error":{"code":"AuthorizationFailed","message":"Only admins may access this endpoint."}}`)
	}
	svc.As("admin").Post("/log/private/admin_only", record).Expect(200).ExpectBody("true")
	for _, path := range []string{"prefix_cert", "admin_only"} {
		svc.Anybody().WithToken(issuer, nil).Post("/log/private/"+path, record).ExpectError(401, "InvalidAuthenticationInfo")
	}
}

// TestRawText is the row /log/private/raw_text/{id}.
func TestRawText(t *testing.T) {
	alice := start(t).As("alice")
	alice.With("content-type", "text/plain").Post("/log/private/raw_text/5", "raw").Expect(200).ExpectBody("")
	alice.Get("/log/private?id=5").ExpectBody(`{"msg":"raw"}`)
	for _, ct := range []string{"text/html", "text/plain; charset=utf-8", ""} {
		got := alice.With("content-type", ct).Post("/log/private/raw_text/5", "raw").ExpectError(415, "InvalidHeaderValue").Error()
		if got.Message != "Expected content-type 'text/plain'. Got '"+ct+"'." {
			t.Error(got.Message)
		}
	}
	alice.With("content-type", "text/plain").Post("/log/private/raw_text/x", "raw").ExpectError(400, "InvalidInput")
}

// TestETags is if-match and if-none-match of /log/public.
func TestETags(t *testing.T) {
	alice := start(t).As("alice")
	is, other := `"`+tag("one")+`"`, `"`+tag("two")+`"`
	record := body{"id": 1, "msg": "one"}
	alice.With("if-match", other).Post("/log/public", record).Expect(200) // what does not exist cannot mismatch
	for _, tt := range []struct {
		name, value       string
		post, get, remove int
	}{
		{"if-match", is, 200, 200, 200},
		{"if-match", "*", 200, 200, 200},
		{"if-match", other, 412, 412, 412},
		{"if-match", other + ", " + is, 200, 200, 200},
		{"if-none-match", is, 412, 304, 304},
		{"if-none-match", "*", 412, 304, 304},
		{"if-none-match", other, 200, 200, 200},
		{"if-match", `W/` + is, 500, 500, 500},
		{"if-match", `"XYZ"`, 500, 500, 500},
		{"if-none-match", "", 500, 500, 500},
	} {
		c := alice.With(tt.name, tt.value)
		for what, got := range map[string][2]int{
			"POST":   {c.Post("/log/public", record).Status(), tt.post},
			"GET":    {c.Get("/log/public?id=1").Status(), tt.get},
			"DELETE": {c.Delete("/log/public?id=1").Status(), tt.remove},
		} {
			if got[0] != got[1] {
				t.Errorf("%s %s %s: status %d, want %d", what, tt.name, tt.value, got[0], got[1])
			}
		}
		alice.Post("/log/public", record).Expect(200)
	}
	alice.With("if-none-match", is).Delete("/log/public?id=1").Expect(304)
	alice.Get("/log/public?id=1").Expect(200)
	alice.With("if-match", is).With("if-none-match", is).Post("/log/public", record).ExpectError(400, "InvalidHeaderValue")
	alice.With("if-match", other).Post("/log/public", record).ExpectError(412, "PreconditionFailed")
}

// TestCommittedIndex is the rows install_committed_index, committed and
// uninstall_committed_index.
func TestCommittedIndex(t *testing.T) {
	svc := start(t)
	alice, anybody := svc.As("alice"), svc.Anybody()
	const install, uninstall = "/log/private/install_committed_index", "/log/private/uninstall_committed_index"
	anybody.Get("/log/private/committed?id=1").ExpectError(412, "PreconditionFailed")
	anybody.Post(uninstall, nil).Expect(412).ExpectBody("Not currently installed")
	anybody.Post(install, nil).Expect(200).ExpectBody("")
	anybody.Post(install, nil).Expect(412).ExpectBody("Already installed")

	alice.Post("/log/private", body{"id": 1, "msg": "m"}).Expect(200).Committed()
	anybody.Get("/log/private/committed?id=1").Expect(200).ExpectBody(`{"msg":"m"}`)
	last := alice.Delete("/log/private?id=1").Expect(200).Committed().TxID()
	var missing struct {
		Error struct {
			Code, Message string
			Current       synod.TxID `json:"current_txid"`
		}
	}
	anybody.Get("/log/private/committed?id=1").Expect(400).JSON(&missing)
	if e := missing.Error; e.Code != "ResourceNotFound" || e.Message != "No such record: 1." || e.Current.SeqNo < last.SeqNo {
		t.Errorf("%+v, deleted at %s", e, last)
	}
	anybody.Get("/log/private/committed").ExpectError(400, "InvalidQueryParameterValue")
	anybody.Post(uninstall, nil).Expect(200)
	anybody.Post(uninstall, nil).Expect(412)
	anybody.Post(install, nil).Expect(200)
}

// TestProofs is the rows cbor_merkle_proof, cose_endorsements, cose_signature
// and cose_receipt of /log/public.
func TestProofs(t *testing.T) {
	svc := start(t)
	id := svc.As("alice").Post("/log/public", body{"id": 1, "msg": "m", "record_claim": true}).Committed().TxID()
	of := func(id string) *apptest.Client { return svc.As("alice").With("x-ms-ccf-transaction-id", id) }
	alice := of(id.String())
	proof := svc.Proof(id)

	alice.Get("/log/public/cbor_merkle_proof").Expect(200).ExpectHeader("content-type", "application/cbor").ExpectBody(string(proof.MerkleProof))
	alice.Get("/log/public/cose_signature").Expect(200).
		ExpectBody(`{"cose_signature":"` + base64.StdEncoding.EncodeToString(proof.COSESignature) + `"}`)
	alice.Get("/log/public/cose_endorsements").ExpectError(404, "ResourceNotFound")
	answer := alice.Get("/log/public/cose_receipt").Expect(200).ExpectHeader("content-type", "application/cose")
	r, err := receipt.ParseCOSE([]byte(answer.Body()))
	if err != nil {
		t.Fatal(err)
	}
	claims := sha256.Sum256([]byte("m"))
	result, err := r.Verify(receipt.Options{ServiceCert: []byte(svc.Certificate()), TxID: id, Claims: &claims})
	if err != nil || result.Issuer != "service.example.com" || result.Subject != "ledger.signature" {
		t.Errorf("%+v, %v", result, err)
	}

	for _, path := range []string{"cbor_merkle_proof", "cose_endorsements", "cose_signature", "cose_receipt"} {
		path = "/log/public/" + path
		svc.As("alice").Get(path).ExpectError(404, "TransactionInvalid")
		of("x").Get(path).ExpectError(404, "TransactionInvalid")
		of("1.1").Get(path).ExpectError(404, "TransactionInvalid")
		of("2.9999").Get(path).ExpectError(404, "TransactionPendingOrUnknown").ExpectHeader("cache-control", "no-cache")
	}
	signature := of(svc.Committed().String())
	signature.Get("/log/public/cose_signature").Expect(200)
	signature.Get("/log/public/cbor_merkle_proof").ExpectError(404, "ResourceNotFound")
	signature.Get("/log/public/cose_receipt").ExpectError(404, "ResourceNotFound")
}

// TestSignaturesConfig is the row /cose_signatures_config.
func TestSignaturesConfig(t *testing.T) {
	start(t).As("alice").Get("/cose_signatures_config").Expect(200).ExpectBody(`{"issuer":"service.example.com","subject":"ledger.signature"}`)
}

// TestRequestQuery is the row /log/request_query.
func TestRequestQuery(t *testing.T) {
	start(t).Anybody().Get("/log/request_query?a=%26b").Expect(200).ExpectBody("a=&b").ExpectHeader("content-type", "text/plain")
}

// TestCOSESignedContent is the row /log/cose_signed_content.
func TestCOSESignedContent(t *testing.T) {
	svc := start(t)
	svc.As("mo").Signed("", app.COSEHeaders{}).Post("/log/cose_signed_content", "abc").Expect(200).
		ExpectBody("abc").ExpectHeader("content-type", "text/plain")
	svc.As("mo").Post("/log/cose_signed_content", "abc").ExpectError(401, "InvalidAuthenticationInfo")
}

// TestMultiAuth is the row /multi_auth.
func TestMultiAuth(t *testing.T) {
	svc := start(t)
	alice := svc.As("alice")
	for _, tt := range []struct {
		client *apptest.Client
		want   string
	}{
		{alice, "User TLS cert\nThe caller is a user with ID: " + svc.ID("alice") + "\nThe caller's cert is:\n-----BEGIN"},
		{svc.As("mo"), "Member TLS cert\nThe caller is a member with ID: " + svc.ID("mo")},
		{svc.Anybody().WithToken(issuer, nil), "JWT\nThe caller is identified by a JWT issued by: " + issuer + "\nThe JWT header is:\n{\n"},
		{alice.Signed("", app.COSEHeaders{}), "User COSE Sign1\nThe caller is identified by a COSE Sign1 signed by kid: " + svc.ID("alice") +
			"\nThe caller is identified by a COSE Sign1 with content of size: 3"},
		{svc.Anybody(), "Unauthenticated"},
		{svc.Stranger(), "Any TLS cert\nThe caller's cert is:\n-----BEGIN"},
		{
			alice.Signed("", app.COSEHeaders{}).WithCertificate().WithToken(issuer, nil),
			"Conjoined auth policy: jwt+user_cert+user_cose_sign1\n\njwt:\nJWT\n",
		},
	} {
		if got := tt.client.Post("/multi_auth", "abc").Expect(200).Body(); !strings.HasPrefix(got, tt.want) {
			t.Errorf("want %q…, got %q", tt.want, got)
		}
	}
	if got := alice.Post("/multi_auth", nil).Body(); !strings.Contains(got, `The caller's user data is: {"name":"Alice"}`) {
		t.Error(got)
	}
}

// TestCustomAuth is the row /custom_auth.
func TestCustomAuth(t *testing.T) {
	anybody := start(t).Anybody()
	with := func(name, age string) *apptest.Client {
		return anybody.With("x-custom-auth-name", name).With("x-custom-auth-age", age)
	}
	for want, c := range map[string]*apptest.Client{
		"Missing required header x-custom-auth-name":  anybody.With("x-custom-auth-age", "42"),
		"Missing required header x-custom-auth-age":   anybody.With("x-custom-auth-name", "Bob"),
		"Name must not be empty":                      with("", "42"),
		"Caller age must be at least 16":              with("Bob", "12"),
		"Unable to parse age header as a number: old": with("Bob", "old"),
	} {
		details := c.Get("/custom_auth").ExpectError(401, "InvalidAuthenticationInfo").Error().Details
		if len(details) != 1 || details[0].Message != want || details[0].AuthPolicy != "CustomAuthPolicy" {
			t.Errorf("want %s, got %+v", want, details)
		}
	}
	with("Alice", "42").Get("/custom_auth").Expect(200).
		ExpectBody("{\n  \"age\": 42,\n  \"description\": \"Your name is Alice and you are 42\",\n  \"name\": \"Alice\"\n}")
	anybody.With("x-custom-auth-explode", "Boom!").Get("/custom_auth").ExpectError(500, "InternalError").
		ExpectBody(`{"error":{"code":"InternalError","message":"Boom!"}}`)
}

// TestAPI is the row /api: the document's schemas have CCF's names and form.
func TestAPI(t *testing.T) {
	var doc struct {
		Info       map[string]string
		Paths      map[string]map[string]json.RawMessage
		Components struct{ Schemas map[string]json.RawMessage }
	}
	start(t).Anybody().Get("/app/api").Expect(200).JSON(&doc)
	if doc.Info["version"] != "2.8.0" || doc.Info["title"] != "CCF Sample Logging App" {
		t.Errorf("info %v", doc.Info)
	}
	for at, want := range map[string]string{
		"post /app/log/private":                         `{"operationId":"PostAppLogPrivate","requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/LoggingRecord__In"}}},"description":"Auto-generated request body schema"},"responses":{"200":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/boolean"}}},"description":"Default response description"},"default":{"$ref":"#/components/responses/default"}},"security":[{"jwt":[]},{"user_cose_sign1":[]}],"x-ccf-forwarding":{"$ref":"#/components/x-ccf-forwarding/always"}}`,
		"get /app/log/public":                           `{"operationId":"GetAppLogPublic","parameters":[{"in":"query","name":"id","required":true,"schema":{"$ref":"#/components/schemas/uint64"}}],"responses":{"200":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/LoggingGet__Out"}}},"description":"Default response description"},"default":{"$ref":"#/components/responses/default"}},"security":[{"jwt":[]},{"user_cose_sign1":[]}],"x-ccf-forwarding":{"$ref":"#/components/x-ccf-forwarding/sometimes"}}`,
		"get /app/log/request_query":                    `{"operationId":"GetAppLogRequestQuery","responses":{"200":{"content":{"text/plain":{"schema":{"$ref":"#/components/schemas/string"}}},"description":"Default response description"},"default":{"$ref":"#/components/responses/default"}},"x-ccf-forwarding":{"$ref":"#/components/x-ccf-forwarding/always"}}`,
		"post /app/log/private/install_committed_index": `{"operationId":"PostAppLogPrivateInstallCommittedIndex","responses":{"204":{"description":"Default response description"},"default":{"$ref":"#/components/responses/default"}},"x-ccf-forwarding":{"$ref":"#/components/x-ccf-forwarding/sometimes"}}`,
	} {
		method, path, _ := strings.Cut(at, " ")
		if diff := cmp.Diff(want, string(doc.Paths[path][method])); diff != "" {
			t.Errorf("%s: %s", at, diff)
		}
	}
	if got, want := string(doc.Components.Schemas["LoggingRecord__In"]), `{"properties":{"id":{"$ref":"#/components/schemas/uint64"},"msg":{"$ref":"#/components/schemas/string"},"record_claim":{"$ref":"#/components/schemas/boolean"}},"required":["id","msg"],"type":"object"}`; got != want {
		t.Errorf("LoggingRecord__In is %s", got)
	}
}
