package js

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"synod/app"
)

func onBackends(t *testing.T, f func(t *testing.T, s *service)) {
	for _, b := range backends {
		t.Run(string(b), func(t *testing.T) { f(t, newService(t, b)) })
	}
}

func TestResponses(t *testing.T) {
	onBackends(t, func(t *testing.T, s *service) {
		s.options(`{"return_exception_details": true, "max_heap_bytes": 104857600, "max_stack_bytes": 1048576, "max_execution_time_ms": 1000}`)
		for _, tc := range []struct {
			name, returns string
			want          answer
		}{
			{"nothing", `{}`, answer{Status: 200, Applies: true}},
			{"array", `[1]`, answer{Status: 200, Applies: true}},
			{"text", `{body: "h\u00e9\u0000llo"}`, answer{Status: 200, Type: "text/plain", Body: "h\u00e9\x00llo", Applies: true}},
			{"json", `{body: {a: [1, null, "x"]}}`, answer{Status: 200, Type: "application/json", Body: `{"a":[1,null,"x"]}`, Applies: true}},
			{"null", `{body: null}`, answer{Status: 200, Type: "application/json", Body: `null`, Applies: true}},
			{"number", `{body: 1.5}`, answer{Status: 200, Type: "application/json", Body: `1.5`, Applies: true}},
			{"function", `{body: () => 1}`, answer{Status: 200, Type: "application/json", Body: `undefined`, Applies: true}},
			{"buffer", `{body: new Uint8Array([1,2,3]).buffer}`, answer{Status: 200, Type: "application/octet-stream", Body: "\x01\x02\x03", Applies: true}},
			{"typed array", `{body: new Uint8Array([1,2,3,4]).subarray(1, 3)}`, answer{Status: 200, Type: "application/octet-stream", Body: "\x02\x03", Applies: true}},
			{"status", `{statusCode: 204}`, answer{Status: 204, Applies: true}},
			{"status 404", `{statusCode: 404.0, body: "no"}`, answer{Status: 404, Type: "text/plain", Body: "no"}},
			{"async", `(async () => { await null; return {body: "later"} })()`, answer{Status: 200, Type: "text/plain", Body: "later", Applies: true}},
			{"not an object", `7`, errAnswer("Invalid endpoint function return value (not an object).")},
			{"undefined", `undefined`, errAnswer("Invalid endpoint function return value (not an object).")},
			{"text status", `{statusCode: "200"}`, errAnswer("Invalid endpoint function return value (status code type).")},
			{"fraction status", `{statusCode: 200.5}`, errAnswer("Invalid endpoint function return value (status code type).")},
		} {
			t.Run(tc.name, func(t *testing.T) {
				s.deploy(map[string]string{"m.js": "export function f() { return " + tc.returns + " }"}, "POST /x m.js f")
				got := s.do("POST", "/x", "")
				got.Header = nil
				if d := cmp.Diff(tc.want, got); d != "" {
					t.Fatal(d)
				}
			})
		}
		t.Run("cycle", func(t *testing.T) {
			s.deploy(map[string]string{"m.js": "export function f() { const a = {}; a.a = a; return {body: a} }"}, "POST /x m.js f")
			got := s.do("POST", "/x", "")
			if got.Status != 500 || !strings.Contains(got.Body, "error during JSON conversion of body") || !strings.Contains(got.Body, "JSException") {
				t.Fatal(got)
			}
		})
		t.Run("headers", func(t *testing.T) {
			s.deploy(map[string]string{"m.js": `export function f() { return {body: "x", headers: {"X-A": 1, "Content-Type": "text/html"}} }`}, "POST /x m.js f")
			got := s.do("POST", "/x", "")
			want := app.Header{{Name: "content-type", Value: "text/html"}, {Name: "x-a", Value: "1"}}
			if d := cmp.Diff(want, got.Header); d != "" {
				t.Fatal(d)
			}
			s.deploy(map[string]string{"m.js": `export function f() { return {headers: {"a": Symbol()}} }`}, "POST /x m.js f")
			if got := s.do("POST", "/x", ""); !strings.Contains(got.Body, "(header value type).") {
				t.Fatal(got)
			}
		})
	})
}

func errAnswer(message string) answer {
	return answer{Status: 500, Body: `{"error":{"code":"InternalError","message":"` + message + `"}}`}
}

func TestRequestMembers(t *testing.T) {
	onBackends(t, func(t *testing.T, s *service) {
		s.deploy(map[string]string{"m.js": `
export function all(r) { return {body: JSON.stringify(r) + r.body.text() + JSON.stringify(r.body.json()) + r.body.arrayBuffer().byteLength} }
export function args(r) { return {body: r.body.text(1)} }
export function change(r) { r.path = "mine"; r.extra = 1; return {body: r.path + Object.keys(r)} }`},
			"POST /x/{a}/{b}:go m.js all", "POST /args m.js args", "POST /change m.js change")
		got := s.do("POST", "/x/1%2F2/z:go?a=%26b+c", `{"k":1}`)
		want := `{"headers":{"accept":"*/*","host":"example.com:8000","x-b":"2"},"query":"a=&b c","path":"/app/x/1%2F2/z:go",` +
			`"method":"POST","hostname":"example.com:8000","route":"/app/x/{a}/{b}:go","url":"/app/x/1%2F2/z:go?a=&b c",` +
			`"params":{"a":"1%2F2","b":"z"},"body":{},"caller":{"policy":"no_auth"}}{"k":1}{"k":1}7`
		if got.Body != want {
			t.Fatalf("got  %s\nwant %s", got.Body, want)
		}
		s.options(`{"return_exception_details": true}`)
		if got := s.do("POST", "/args", ""); !strings.Contains(got.Body, "TypeError: Passed 1 arguments, but expected none") {
			t.Fatal(got)
		}
		if got := s.do("POST", "/change", ""); got.Body != "mineheaders,query,path,method,hostname,route,url,params,body,caller,extra" {
			t.Fatal(got)
		}
	})
}

func TestCallers(t *testing.T) {
	s := newService(t, Wasm2Go)
	s.deploy(map[string]string{"m.js": `export function f(r) {
		const c = r.caller; const out = JSON.stringify(c);
		const cose = c && (c.cose || (c.user_cose_sign1 && c.user_cose_sign1.cose));
		return {body: out + (cose ? ccf.bufToStr(cose.content) : "")} }`}, "GET /c m.js f")
	user := &app.Caller{Policy: "user_cert", ID: "ab", Data: []byte(`{"role":1}`), Cert: []byte("x")}
	const pem = `-----BEGIN CERTIFICATE-----\neA==\n-----END CERTIFICATE-----\n`
	for _, tc := range []struct {
		caller *app.Caller
		want   string
	}{
		{nil, `null`},
		{user, `{"policy":"user_cert","id":"ab","data":{"role":1},"cert":"` + pem + `"}`},
		{&app.Caller{Policy: "any_cert", Cert: []byte("x")}, `{"policy":"any_cert","cert":"` + pem + `"}`},
		{
			&app.Caller{Policy: "jwt", JWT: &app.JWTIdentity{KeyIssuer: "i", Header: []byte(`{"alg":"RS256"}`), Payload: []byte(`{"sub":"s"}`)}},
			`{"policy":"jwt","jwt":{"keyIssuer":"i","header":{"alg":"RS256"},"payload":{"sub":"s"}}}`,
		},
		{
			&app.Caller{Policy: "user_cose_sign1", ID: "ab", Cert: []byte("x"), COSE: &app.COSEIdentity{Content: []byte("hello")}},
			`{"cose":{"content":{}},"policy":"user_cose_sign1","id":"ab","data":null,"cert":"` + pem + `"}hello`,
		},
		{&app.Caller{Policy: "no_auth+user_cose_sign1", AllOf: map[string]*app.Caller{
			"user_cose_sign1": {Policy: "user_cose_sign1", ID: "ab", Cert: []byte("x"), COSE: &app.COSEIdentity{Content: []byte("hi")}},
			"no_auth":         {Policy: "no_auth"},
		}}, `{"no_auth":{"policy":"no_auth"},"user_cose_sign1":{"cose":{"content":{}},"policy":"user_cose_sign1","id":"ab","data":null,"cert":"` + pem + `"},"policy":["no_auth","user_cose_sign1"]}hi`},
	} {
		got := s.do("GET", "/c", "", func(c *app.Context) { c.Caller = tc.caller })
		if got.Body != tc.want {
			t.Errorf("got  %s\nwant %s", got.Body, tc.want)
		}
	}
}

func TestDispatch(t *testing.T) {
	s := newService(t, Wasm2Go)
	s.deploy(map[string]string{"m.js": `export const f = (r) => ({body: r.route})`},
		"GET /a m.js f", "POST /a m.js f", "GET /t/{x} m.js f", "GET /t/{y} m.js f", "PUT /t/{x}/z m.js f",
		`GET /p m.js f {"authn_policies":["nobody"]}`,
		`GET /q m.js f {"authn_policies":[{"all_of":[]}]}`,
		`GET /r m.js f {"authn_policies":["jwt",{"all_of":["user_cert","jwt"]}]}`,
	)
	for _, tc := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/a", 200, "/app/a"},
		{"DELETE", "/a", 405, "GET,POST"},
		{"GET", "/nothing", 404, ""},
		{"GET", "/t/", 404, ""},
		{"GET", "/t/1", 500, `{"error":{"code":"InternalError","message":"Multiple potential matches for path: /t/1\n  /t/{x}\n  /t/{y}"}}`},
		{"PUT", "/t/1/z", 200, "/app/t/{x}/z"},
		{"GET", "/t/1/z", 405, "PUT"},
		{"GET", "/p", 500, `{"error":{"code":"InternalError","message":"Unknown auth policy: nobody"}}`},
		{"GET", "/q", 500, `{"error":{"code":"InternalError","message":"Unsupported auth policy. Policies must be either a string, or an object containing an \"all_of\" key with list-of-strings value. Unsupported value: {\"all_of\":[]}"}}`},
	} {
		got := s.do(tc.method, tc.path, "")
		if got.Status != tc.status || got.Body != tc.body {
			t.Errorf("%s %s: %d %s", tc.method, tc.path, got.Status, got.Body)
		}
	}
	m, err := s.app.Resolver().Resolve(s.tx, "GET", "/r")
	if err != nil || len(m.Endpoint.Policies) != 2 || m.Endpoint.Policies[1].Name() != "jwt+user_cert" {
		t.Fatal(m, err)
	}
	all, err := s.app.Resolver().List(s.tx)
	if err != nil || len(all) != 8 {
		t.Fatal(len(all), err)
	}
}

func TestModules(t *testing.T) {
	onBackends(t, func(t *testing.T, s *service) {
		s.options(`{"return_exception_details": true}`)
		s.deploy(map[string]string{
			"a/main.js": `import { C, make } from "../lib/c.js"; import * as d from "d.js"; import "./side.js"; export function f() { return {body: String(make() instanceof C) + d.n + globalThis.side} } export { g } from "./side.js"; export const v = 1`,
			"lib/c.js":  `import { n } from "../d.js"; export class C {}; export function make() { return new C(n) }`,
			"d.js":      `globalThis.side = (globalThis.side || 0) + 1; export const n = 5`,
			"a/side.js": `import "/d.js"; export function g() { return {body: "re-exported"} }`,
			"syntax.js": `export function f( {`,
			"dep.js":    `import "./syntax.js"; export function f() {}`,
			"gone.js":   `import "./nowhere.js"; export function f() {}`,
			"throws.js": `export function f() { return {} }; throw new Error("top")`,
			"await.js":  `const x = await Promise.resolve(3); export function f() { return {body: x} }`,
			"never.js":  `await new Promise(() => {}); export function f() { return {} }`,
			"nested.js": "export function f() {\n  const nested = () => {\n    throw new Error('test error: ' + 42);\n  };\n  nested();\n}",
		},
			"GET /main a/main.js f", "GET /g a/main.js g", "GET /none a/main.js h", "GET /v a/main.js v", "GET /missing x.js f",
			"GET /syntax syntax.js f", "GET /dep dep.js f", "GET /gone gone.js f", "GET /throws throws.js f",
			"GET /await await.js f", "GET /never never.js f", "GET /nested nested.js f")
		for path, want := range map[string]string{
			"/main":    "true51",
			"/g":       "re-exported",
			"/none":    "Failed to find export 'h' in module '/a/main.js'",
			"/v":       "Export 'v' of module '/a/main.js' is not a function",
			"/missing": "Module '/x.js' could not be loaded",
			"/syntax":  "Failed to compile module '/syntax.js': SyntaxError: ",
			"/dep":     "Failed to resolve dependencies for module '/dep.js': SyntaxError: ",
			"/gone":    "Failed to resolve dependencies for module '/gone.js': ReferenceError: could not load module '/nowhere.js'",
			"/throws":  "Failed to execute /throws.js: Error: top",
			"/await":   "3",
			"/never":   "its top-level await never ends",
			"/nested":  `"message":"Error: test error: 42","trace":"    at nested (/nested.js:3)\n    at f (/nested.js:5)\n"`,
		} {
			if got := s.do("GET", path, ""); !strings.Contains(got.Body, want) {
				t.Errorf("%s: %d %s\nwant %s", path, got.Status, got.Body, want)
			}
		}
	})
}

func TestEffectsOfTheTopLevel(t *testing.T) {
	onBackends(t, func(t *testing.T, s *service) {
		s.deploy(map[string]string{
			"pure.js":    `const h = ccf.kv["public:t"]; let n = 0; export function f() { n++; h.set(ccf.strToBuf("k"), ccf.strToBuf("v")); return {body: n + " " + h.size} }`,
			"kv.js":      `const seen = ccf.kv["public:t"].size; export function f() { ccf.kv["public:t"].set(ccf.strToBuf(String(seen)), ccf.strToBuf("")); return {body: seen} }`,
			"date.js":    `const at = Date.now(); export function f() { return {body: at > 1e12} }`,
			"random.js":  `const r = Math.random(); export function f() { return {body: r} }`,
			"console.js": `console.log("top"); export function f() { return {} }`,
		}, "GET /pure pure.js f", "GET /kv kv.js f", "GET /date date.js f", "GET /random random.js f", "GET /console console.js f")
		for range 3 {
			if got := s.do("GET", "/pure", ""); got.Body != "1 1" {
				t.Fatal(got)
			}
		}
		for i, want := range []string{"1", "2", "3"} {
			if got := s.do("GET", "/kv", ""); got.Body != want {
				t.Fatal(i, got)
			}
		}
		if got := s.do("GET", "/date", ""); got.Body != "true" {
			t.Fatal(got)
		}
		if a, b := s.do("GET", "/random", "").Body, s.do("GET", "/random", "").Body; a == b {
			t.Fatal(a)
		}
		s.do("GET", "/console", "")
		s.do("GET", "/console", "")
		n := 0
		for _, l := range s.log.lines() {
			if l == `level=INFO msg=top tag=app` {
				n++
			}
		}
		if n != 2 {
			t.Fatal(n, s.log.lines())
		}
	})
}
