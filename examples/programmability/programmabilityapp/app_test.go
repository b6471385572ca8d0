package programmabilityapp_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"synod/app"
	"synod/app/apptest"
	"synod/examples/programmability/programmabilityapp"
)

type object = map[string]any

// start makes a service with an admin, a reader and a plain user.
func start(t *testing.T) *apptest.Service {
	t.Helper()
	return apptest.New(t, programmabilityapp.New(),
		apptest.WithUser("admin", object{"isAdmin": true}),
		apptest.WithUser("reader", object{"roles": []string{"none", "reader"}}),
		apptest.WithUser("plain", nil))
}

func endpoint(module, function string, change object) object {
	e := object{
		"js_module": module, "js_function": function, "forwarding_required": "never", "redirection_strategy": "none",
		"authn_policies": []string{"no_auth"}, "mode": "readwrite", "openapi": object{},
	}
	for k, v := range change {
		e[k] = v
	}
	return e
}

func bundle(source string, endpoints object) object {
	return object{"metadata": object{"endpoints": endpoints}, "modules": []object{{"name": "main.js", "module": source}}}
}

// signed is a client that signs as this application's users sign.
func signed(s *apptest.Service, who, kind string) *apptest.Client {
	return s.As(who).Signed(kind, app.COSEHeaders{MsgType: "app.msg.type", CreatedAt: "app.msg.created_at"})
}

func TestInstallAndReplace(t *testing.T) {
	s := start(t)
	admin, anybody := s.As("admin"), s.Anybody()
	anybody.Get("/app/custom_endpoints").Expect(200).ExpectBody(`{"metadata":{"endpoints":{}},"modules":[]}`)
	anybody.Get("/app/hello").ExpectError(404, "ResourceNotFound")
	admin.Put("/app/custom_endpoints", bundle(`export function f() { return { body: "one" } }`, object{"/hello": object{"get": endpoint("main.js", "f", nil)}})).Expect(204)
	anybody.Get("/app/hello").Expect(200).ExpectBody("one")
	anybody.Get("/app/custom_endpoints/modules?module_name=main.js").Expect(200).ExpectBody(`export function f() { return { body: "one" } }`).ExpectHeader("content-type", "text/javascript")
	anybody.Get("/app/custom_endpoints/modules?module_name=/main.js").Expect(200)
	anybody.Get("/app/custom_endpoints/modules?module_name=x").ExpectError(500, "InternalError")
	anybody.Get("/app/custom_endpoints/modules").ExpectError(400, "InvalidQueryParameterValue")
	if got := anybody.Get("/app/custom_endpoints").Body(); !strings.Contains(got, `"GET":{`) || !strings.Contains(got, `"name":"/main.js"`) {
		t.Error(got)
	}
	// The same function of another bundle; what was there before is gone.
	admin.Put("/app/custom_endpoints", bundle(`export function f() { return { body: "two" } }`, object{"/{x}/y": object{"post": endpoint("main.js", "f", nil)}})).Expect(204)
	anybody.Get("/app/hello").ExpectError(404, "ResourceNotFound")
	anybody.Post("/app/a/y", "").Expect(200).ExpectBody("two")
	anybody.Get("/app/a/y").ExpectError(405, "UnsupportedHttpVerb")
	if got := anybody.Get("/app/api").Body(); !strings.Contains(got, `"/app/{x}/y"`) || !strings.Contains(got, `"/app/records/{key}"`) {
		t.Error(got)
	}
}

func TestWhoMayInstall(t *testing.T) {
	s := start(t)
	good := bundle(`export function f() { return {} }`, object{"/a": object{"get": endpoint("main.js", "f", nil)}})
	for _, c := range []*apptest.Client{s.As("plain"), s.As("reader"), signed(s, "plain", "custom_endpoints")} {
		c.Put("/app/custom_endpoints", good).ExpectError(403, "AuthorizationFailed")
	}
	s.Anybody().Put("/app/custom_endpoints", good).ExpectError(401, "InvalidAuthenticationInfo")
	signed(s, "admin", "runtime_options").Put("/app/custom_endpoints", good).ExpectError(401, "InvalidAuthenticationInfo")
	s.Anybody().Get("/app/a").ExpectError(404, "ResourceNotFound")
}

func TestReplay(t *testing.T) {
	s := start(t)
	at := func(after time.Duration, body string) *apptest.Answer {
		s.Advance(after)
		return signed(s, "admin", "custom_endpoints").Put("/app/custom_endpoints",
			bundle(fmt.Sprintf(`export function f() { return { body: %q } }`, body), object{"/a": object{"get": endpoint("main.js", "f", nil)}}))
	}
	at(0, "one").Expect(204)
	at(10*time.Second, "two").Expect(204)
	at(10*time.Second, "three").Expect(204)
	if got := at(-20*time.Second, "one").ExpectError(500, "InvalidInput").Error().Message; got != "Action created_at timestamp is too old" {
		t.Error(got)
	}
	at(30*time.Second, "four").Expect(204)
	var body []byte
	s.Read(func(tx app.Tx) {
		v, _ := tx.Get("public:custom_endpoints.audit.input", make([]byte, 8))
		body = bytes.Clone(v)
	})
	raw := s.Anybody().With("content-type", "application/cose")
	if got := raw.Put("/app/custom_endpoints", body).ExpectError(500, "InvalidInput").Error().Message; got != "Action was already applied" {
		t.Error(got)
	}
	s.Anybody().Get("/app/a").Expect(200).ExpectBody("four")
	s.Read(func(tx app.Tx) {
		input, _ := tx.Get("public:custom_endpoints.audit.input", make([]byte, 8))
		info, _ := tx.Get("public:custom_endpoints.audit.info", make([]byte, 8))
		want := fmt.Sprintf(`{"action_name":"PUT /app/custom_endpoints","format":"COSE","user_id":"%s"}`, s.ID("admin"))
		if string(input) != string(body) || string(info) != want {
			t.Errorf("audit: %d bytes, %s", len(input), info)
		}
	})
}

func TestWhatScriptsMay(t *testing.T) {
	s := start(t)
	s.As("admin").Put("/app/records/k", "native").Expect(204)
	const source = `
const buf = (s) => ccf.strToBuf(s);
export function read(r) { const t = ccf.kv[r.query]; try { const v = t.get(buf("k")); return { body: v === undefined ? "none" : ccf.bufToStr(v) } } catch (e) { return { statusCode: 400, body: e.message } } }
export function write(r) { const t = ccf.kv[r.query]; try { t.set(buf("k"), buf("script")); return {} } catch (e) { return { statusCode: 400, body: e.message } } }
export function role(r) { return { statusCode: my_object.hasRole(r.caller.id, "/role/read") ? 200 : 403, body: my_object.my_constant } }
export function wrong() { const seen = []; for (const a of [[], [1, "a"], ["a", 1], ["a", "b", "c"]]) { try { my_object.hasRole(...a) } catch (e) { seen.push(e.name + ": " + e.message) } } return { body: seen } }
export function hidden() { return { body: typeof callHost + " " + my_object.hasRole.name } }`
	s.As("admin").Put("/app/custom_endpoints", bundle(source, object{
		"/read": object{"get": endpoint("main.js", "read", object{"mode": "readonly"})}, "/write": object{"get": endpoint("main.js", "write", nil)},
		"/role":  object{"get": endpoint("main.js", "role", object{"authn_policies": []string{"user_cert"}})},
		"/wrong": object{"get": endpoint("main.js", "wrong", nil)}, "/hidden": object{"get": endpoint("main.js", "hidden", nil)},
	})).Expect(204)
	for table, want := range map[string][2]int{
		"mine": {200, 200}, "public:mine": {200, 200},
		"programmability.records": {200, 400}, "programmability.other": {400, 400}, "public:programmability.other": {400, 400},
		"public:ccf.gov.x": {200, 400}, "public:ccf.internal.x": {200, 400}, "ccf.gov.x": {400, 400}, "public:synod.internal.raft": {200, 400}, "public:custom_endpoints.metadata": {200, 400}, "public:custom_endpoints.audit.input": {200, 400},
	} {
		s.Anybody().Get("/app/read?" + table).Expect(want[0])
		s.Anybody().Get("/app/write?" + table).Expect(want[1])
	}
	s.Anybody().Get("/app/read?programmability.records").ExpectBody("native")
	if got := s.Anybody().Get("/app/write?programmability.records").Body(); !strings.Contains(got, "is read-only in JS") {
		t.Error(got)
	}
	s.Write(func(tx app.Tx) { tx.Put("public:programmability.roles.reader", []byte(`"/role/read"`), []byte("true")) })
	s.As("reader").Get("/app/role").Expect(200).ExpectBody("Hello world")
	s.As("plain").Get("/app/role").Expect(403)
	s.Anybody().Get("/app/role").ExpectError(401, "InvalidAuthenticationInfo")
	s.Anybody().Get("/app/wrong").Expect(200).ExpectBody(`["TypeError: Passed 0 arguments but expected 2","InternalError: user_id argument is not a string",` +
		`"InternalError: action argument is not a string","TypeError: Passed 3 arguments but expected 2"]`)
	s.Anybody().Get("/app/hidden").Expect(200).ExpectBody("undefined hasRole")
}

func TestBadBundles(t *testing.T) {
	s := start(t)
	admin := s.As("admin")
	f := endpoint("main.js", "f", nil)
	for name, b := range map[string]any{
		"no JSON":          `{`,
		"two values":       `{} {}`,
		"a list":           `[]`,
		"no module":        object{"metadata": object{"endpoints": object{"/a": object{"get": f}}}, "modules": []object{}},
		"module twice":     object{"metadata": object{"endpoints": object{}}, "modules": []object{{"name": "a", "module": ""}, {"name": "/a", "module": ""}}},
		"relative path":    bundle("export function f() {}", object{"a": object{"get": f}}),
		"unknown mode":     bundle("export function f() {}", object{"/a": object{"get": endpoint("main.js", "f", object{"mode": "x"})}}),
		"unknown rule":     bundle("export function f() {}", object{"/a": object{"get": endpoint("main.js", "f", object{"forwarding_required": "x"})}}),
		"no policies":      bundle("export function f() {}", object{"/a": object{"get": endpoint("main.js", "f", object{"authn_policies": nil})}}),
		"syntax":           bundle("export function f( {", object{"/a": object{"get": f}}),
		"method twice":     bundle("export function f() {}", object{"/a": object{"get": f, "GET": f}}),
		"properties wrong": bundle("export function f() {}", object{"/a": object{"get": 5}}),
	} {
		admin.Put("/app/custom_endpoints", b).ExpectError(400, "InvalidInput")
		if got := s.Anybody().Get("/app/custom_endpoints").Body(); got != `{"metadata":{"endpoints":{}},"modules":[]}` {
			t.Errorf("%s left %s", name, got)
		}
	}
	admin.Put("/app/custom_endpoints", bundle("export function f() { return 1 }", object{
		"/a": object{"get": f, "post": endpoint("main.js", "g", nil), "put": endpoint("main.js", "f", object{"authn_policies": []string{"x"}})},
	})).Expect(204)
	s.Anybody().Post("/app/a", "").ExpectError(500, "InternalError")
	s.Anybody().Put("/app/a", "").ExpectError(500, "InternalError")
}

func TestRuntimeOptions(t *testing.T) {
	s := start(t)
	const defaults = `{"log_exception_details":false,"max_cached_interpreters":10,"max_execution_time_ms":1000,"max_heap_bytes":104857600,"max_stack_bytes":1048576,"return_exception_details":false}`
	options := func() string { return s.Anybody().Get("/app/custom_endpoints/runtime_options").Expect(200).Body() }
	before := options()
	admin := s.As("admin")
	admin.Patch("/app/custom_endpoints/runtime_options", object{"max_heap_bytes": 42}).Expect(200)
	if got := options(); !strings.Contains(got, `"max_heap_bytes":42`) {
		t.Error(got)
	}
	admin.Patch("/app/custom_endpoints/runtime_options", object{"max_heap_bytes": nil}).Expect(200).ExpectBody(before)
	for _, bad := range []any{object{"max_heap_bytes": -1}, object{"max_heap_bytes": "x"}, object{"other": 1}, `[]`, `{`} {
		admin.Patch("/app/custom_endpoints/runtime_options", bad).ExpectError(400, "InvalidInput")
	}
	s.As("plain").Patch("/app/custom_endpoints/runtime_options", object{}).ExpectError(403, "AuthorizationFailed")
	if options() != before || len(before) < len(defaults)-20 {
		t.Error(options())
	}
	// The limits hold.
	admin.Put("/app/custom_endpoints", bundle("export function f() { for (;;) {} }", object{"/a": object{"get": endpoint("main.js", "f", nil)}})).Expect(204)
	admin.Patch("/app/custom_endpoints/runtime_options", object{"max_execution_time_ms": 50}).Expect(200)
	s.Anybody().Get("/app/a").ExpectError(500, "InternalError")
}
