package js

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"synod/app"
)

type checks = map[string]func(*testing.T, *pair)

const detailed = `{"return_exception_details": true}`

var modulesChecks = checks{
	"Modules/static import across folders, single instantiation": func(_ *testing.T, p *pair) {
		p.deploy(map[string]string{
			"a/main.js":    `import { C } from "../lib/c.js"; import { made } from "./deep/er.js"; import * as ns from "lib/c.js"; import { even } from "../lib/even.js"; export { g } from "./deep/er.js"; export function f() { return {body: [made() instanceof C, ns.C === C, globalThis.loads, even(10)]} }`,
			"a/deep/er.js": `import { C } from "../../lib/c.js"; import "/lib/c.js"; export const made = () => new C(); export function g() { return {body: "re-exported"} }`,
			"lib/c.js":     `globalThis.loads = (globalThis.loads ?? 0) + 1; export class C {}`,
			"lib/even.js":  `import { odd } from "./odd.js"; export function even(n) { return n === 0 || odd(n - 1) }`,
			"lib/odd.js":   `import { even } from "./even.js"; export function odd(n) { return n !== 0 && even(n - 1) }`,
		}, "POST /f a/main.js f", "POST /g a/main.js g")
		p.want("/f", "[true,true,1,true]")
		p.want("/f", "[true,true,1,true]")
		p.want("/g", "re-exported")
	},
	"Modules/missing module/export messages": func(t *testing.T, p *pair) {
		p.deploy(map[string]string{
			"m.js": `export const v = 1; export function f() { return {} }`, "syntax.js": `export function f( {`,
			"dep.js": `import "./syntax.js"; export function f() {}`, "gone.js": `import "./nowhere.js"; export function f() {}`,
			"json.js": `import j from "./x.json" with {type: "json"}; export function f() {}`, "x.json": `{}`,
		}, "POST /module nothing.js f", "POST /export m.js g", "POST /callable m.js v", "POST /syntax syntax.js f",
			"POST /dep dep.js f", "POST /gone gone.js f", "POST /json json.js f")
		for path, want := range map[string]string{
			"/module": "Module '/nothing.js' could not be loaded", "/export": "Failed to find export 'g' in module '/m.js'",
			"/callable": "Export 'v' of module '/m.js' is not a function", "/syntax": "Failed to compile module '/syntax.js'",
			"/dep": "Failed to resolve dependencies for module '/dep.js'", "/gone": "Failed to resolve dependencies for module '/gone.js'",
			"/json": "/json.js: SyntaxError",
		} {
			if got := p.do("POST", path, ""); got.Status != 500 || !strings.Contains(got.Body, `"code":"InternalError","message":"`) || !strings.Contains(got.Body, want) {
				t.Errorf("%s: %+v, want %s", path, got, want)
			}
		}
	},
}

const echoModule = `export function f(r) { return { body: { all: r, text: r.body.text() } } }`

// echoed is what echoModule answers to a request.
func echoed(method, path, query, route, params, text string) string {
	url := path
	if query != "" {
		url += "?" + query
	}
	return fmt.Sprintf(`{"all":{"headers":{"accept":"*/*","host":"example.com:8000","x-b":"2"},"query":"%s","path":"/app%s","method":"%s","hostname":"example.com:8000","route":"/app%s","url":"/app%s","params":%s,"body":{},"caller":{"policy":"no_auth"}},"text":"%s"}`,
		query, path, method, route, url, params, text)
}

var dispatchChecks = checks{
	"Dispatch/template extraction": func(t *testing.T, p *pair) {
		p.deploy(map[string]string{"m.js": `export function f(r) { return {body: r.params} }`},
			"GET /{a} m.js f", "GET /x/{a}:{b} m.js f", "GET /x/{a}/y/{b} m.js f", "GET /x/{a}.json m.js f")
		for path, want := range map[string]string{
			"/1": `{"a":"1"}`, "/%2F%20": `{"a":"%2F%20"}`, "/x/l:r": `{"a":"l","b":"r"}`, "/x/l:r:s": `{"a":"l","b":"r:s"}`,
			"/x/1/y/2": `{"a":"1","b":"2"}`, "/x/n.json": `{"a":"n"}`, "/x/1/y/": "", "/x/n.json.more": "",
		} {
			if got := p.do("GET", path, ""); got.Body != want || (want == "") != (got.Status == 404) {
				t.Errorf("%s: %+v, want %s", path, got, want)
			}
		}
	},
	"Dispatch/ambiguous templates 500 naming both": func(t *testing.T, p *pair) {
		p.deploy(map[string]string{"m.js": echoModule}, "GET /t/{x} m.js f", "GET /{y}/z m.js f", "GET /t/z/exact m.js f")
		got := p.do("GET", "/t/z", "")
		if got.Status != 500 || !strings.Contains(got.Body, "/t/z") || !strings.Contains(got.Body, "/t/{x}") || !strings.Contains(got.Body, "/{y}/z") {
			t.Error(got)
		}
		if got := p.do("GET", "/t/1", ""); got.Status != 200 {
			t.Error(got)
		}
	},
	"Request/response/echo of all request members for GET/POST/DELETE with and without query and template": func(t *testing.T, p *pair) {
		var endpoints []string
		methods := []string{"GET", "POST", "DELETE"}
		for _, m := range methods {
			endpoints = append(endpoints, m+" /echo m.js f", m+" /echo/{foo} m.js f")
		}
		p.deploy(map[string]string{"m.js": echoModule}, endpoints...)
		for _, m := range methods {
			for _, query := range []string{"", "a=1&b=two"} {
				for path, want := range map[string][2]string{"/echo": {"/echo", "{}"}, "/echo/bar": {"/echo/{foo}", `{"foo":"bar"}`}} {
					target := path
					if query != "" {
						target += "?" + query
					}
					if got := p.do(m, target, "the body"); got.Body != echoed(m, path, query, want[0], want[1], "the body") {
						t.Errorf("%s %s: %s", m, target, got.Body)
					}
				}
			}
		}
	},
	"Request/response/content types text/json/binary/custom": func(t *testing.T, p *pair) {
		p.deploy(map[string]string{"m.js": `
export const text = (r) => ({ body: r.body.text() }); export const json = (r) => ({ body: r.body.json() });
export const binary = (r) => ({ body: r.body.arrayBuffer() });
export const custom = (r) => ({ body: r.body.text(), headers: { "content-type": "foo/bar" } })`},
			"POST /text m.js text", "POST /json m.js json", "POST /binary m.js binary", "POST /custom m.js custom")
		for path, want := range map[string]answer{
			"/text": {Type: "text/plain", Body: `{"a":[1]}`}, "/json": {Type: "application/json", Body: `{"a":[1]}`},
			"/binary": {Type: "application/octet-stream", Body: `{"a":[1]}`}, "/custom": {Type: "foo/bar", Body: `{"a":[1]}`},
		} {
			if got := p.do("POST", path, `{"a":[1]}`); got.Status != 200 || got.Type != want.Type || got.Body != want.Body {
				t.Error(path, got)
			}
		}
	},
	"Request/response/header names lower-case": func(t *testing.T, p *pair) {
		p.deploy(map[string]string{"m.js": `export const f = (r) => ({ headers: { "X-Answer": r.headers["x-b"], "ETag": 1 }, body: Object.keys(r.headers) })`}, "GET /x m.js f")
		got := p.do("GET", "/x", "")
		if got.Body != `["accept","host","x-b"]` || got.Header.Get("x-answer") != "2" {
			t.Error(got)
		}
		for _, h := range got.Header {
			if h.Name != strings.ToLower(h.Name) {
				t.Error(h)
			}
		}
	},
	"Request/response/typed-array body": func(t *testing.T, p *pair) {
		p.deploy(map[string]string{"m.js": `export function f(r) { const b = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]).buffer; return { body: {
			u8: new Uint8Array(b, 1, 2), u16: new Uint16Array(b, 2, 1), f64: new Float64Array(b), big: new BigInt64Array(b), view: new DataView(b) }[r.body.text()] } }`}, "POST /x m.js f")
		const octets = "application/octet-stream"
		for kind, want := range map[string]answer{
			"u8": {Type: octets, Body: "\x02\x03"}, "u16": {Type: octets, Body: "\x03\x04"}, "f64": {Type: octets, Body: "\x01\x02\x03\x04\x05\x06\x07\x08"},
			"big": {Type: octets, Body: "\x01\x02\x03\x04\x05\x06\x07\x08"}, "view": {Type: "application/json", Body: "{}"},
		} {
			if got := p.do("POST", "/x", kind); got.Type != want.Type || got.Body != want.Body {
				t.Errorf("%s: %+v", kind, got)
			}
		}
	},
	"Request/response/protobuf custom content-type": func(t *testing.T, p *pair) {
		// A field of type string as protobufjs encodes it, by generated code.
		p.deploy(map[string]string{"m.js": `const encode = new Function("s", "const b = new Uint8Array(2 + s.length); b[0] = 10; b[1] = s.length; for (let i = 0; i < s.length; i++) b[2 + i] = s.charCodeAt(i); return b");
			export const f = (r) => ({ body: encode(r.body.text()), headers: { "content-type": "application/x-protobuf" } })`}, "POST /x m.js f")
		if got := p.do("POST", "/x", "hello"); got.Type != "application/x-protobuf" || got.Body != "\x0a\x05hello" {
			t.Error(got)
		}
	},
	"Request/response/status 201/204/401 passthrough": func(t *testing.T, p *pair) {
		p.deploy(map[string]string{"m.js": `export const f = (r) => ({ statusCode: Number(r.query) })`}, "POST /x m.js f")
		for _, status := range []int{201, 204, 401} {
			if got := p.do("POST", fmt.Sprintf("/x?%d", status), ""); got.Status != status || got.Applies != (status < 300) {
				t.Error(got)
			}
		}
	},
	"Request/response/non-object return, bad statusCode, cyclic body": func(t *testing.T, p *pair) {
		p.deploy(map[string]string{"m.js": `export function f(r) { const c = {}; c.c = c; ccf.kv.t.set(ccf.strToBuf("k"), ccf.strToBuf("v")); return { number: 1, text: "x", undef: undefined, nul: null, fraction: {statusCode: 200.5}, textual: {statusCode: "200"}, cycle: {body: c}, big: {body: 1n} }[r.query] }`}, "POST /x m.js f")
		for query, want := range map[string]string{
			"number": "(not an object).", "text": "(not an object).", "undef": "(not an object).", "nul": "(not an object).",
			"fraction": "(status code type).", "textual": "(status code type).",
			"cycle": "(error during JSON conversion of body).", "big": "(error during JSON conversion of body).",
		} {
			if got := p.do("POST", "/x?"+query, ""); got.Status != 500 || got.Applies || !strings.Contains(got.Body, "Invalid endpoint function return value "+want) {
				t.Error(query, got)
			}
		}
	},
}

var metricsLine = regexp.MustCompile(`JS execution complete: Method=([A-Z]+), Path=(\S+), Status=(\d+), ExecMilliseconds=(\d+)`)

var authChecks = checks{
	"Auth/COSE body content": func(t *testing.T, p *pair) {
		p.deploy(map[string]string{"m.js": `export const f = (r) => ({ body: ccf.bufToStr(r.caller.cose.content) + Object.keys(r.caller) })`}, "PUT /x m.js f")
		got := p.do("PUT", "/x", "the whole message", func(c *app.Context) {
			c.Caller = &app.Caller{Policy: "user_cose_sign1", ID: "ab", Cert: []byte("x"), COSE: &app.COSEIdentity{Content: []byte("signed")}}
		})
		if got.Body != "signedcose,policy,id,data,cert" {
			t.Error(got)
		}
	},
	"Auth/all_of object shape": func(t *testing.T, p *pair) {
		p.deploy(map[string]string{"m.js": `export const f = (r) => ({ body: r.caller })`}, "GET /x m.js f")
		got := p.do("GET", "/x", "", func(c *app.Context) { c.Caller = bothCaller() })
		if got.Body != `{"any_cert":{"policy":"any_cert","cert":"-----BEGIN CERTIFICATE-----\neA==\n-----END CERTIFICATE-----\n"},"jwt":{"policy":"jwt","jwt":{"keyIssuer":"i","header":{"alg":"ES256"},"payload":{"sub":"s"}}},"policy":["any_cert","jwt"]}` {
			t.Error(got)
		}
	},
	"Auth/multi_auth texts": func(t *testing.T, p *pair) {
		p.deploy(map[string]string{"m.js": `
const text = { user_cert: (c) => "User TLS cert " + c.id + " " + JSON.stringify(c.data), jwt: (c) => "JWT " + c.jwt.keyIssuer + " " + JSON.stringify(c.jwt.header) + JSON.stringify(c.jwt.payload),
  any_cert: (c) => "TLS cert " + c.cert.split("\n")[0], no_auth: () => "Unauthenticated" };
export function f({ caller }) { if (typeof caller.policy === "string") return { body: text[caller.policy](caller) };
  return { body: "Conjoined auth policy: " + caller.policy + [...caller.policy.entries()].map(([, n]) => "\n" + text[n](caller[n])).join("") } }`}, "GET /x m.js f")
		for want, caller := range map[string]*app.Caller{
			"Unauthenticated":          {Policy: "no_auth"},
			`User TLS cert ab {"r":1}`: {Policy: "user_cert", ID: "ab", Data: []byte(`{"r":1}`)},
			"Conjoined auth policy: any_cert,jwt\nTLS cert -----BEGIN CERTIFICATE-----\nJWT i {\"alg\":\"ES256\"}{\"sub\":\"s\"}": bothCaller(),
		} {
			if got := p.do("GET", "/x", "", func(c *app.Context) { c.Caller = caller }); got.Body != want {
				t.Errorf("got %s, want %s", got.Body, want)
			}
		}
	},
}

func bothCaller() *app.Caller {
	return &app.Caller{Policy: "any_cert+jwt", AllOf: map[string]*app.Caller{
		"any_cert": {Policy: "any_cert", Cert: []byte("x")},
		"jwt":      {Policy: "jwt", JWT: &app.JWTIdentity{KeyIssuer: "i", Header: []byte(`{"alg":"ES256"}`), Payload: []byte(`{"sub":"s"}`)}},
	}}
}
