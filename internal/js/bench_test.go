package js

import (
	"fmt"
	"strings"
	"testing"

	"synod/app"
)

// The application that javascript-engines.md measured, in shape: typed KV
// wrapper, converters, validator, handler in four modules; 120 B in, 150 B
// out, one get and one set.
var benchModules = map[string]string{
	"conv.js": `
export const string = { encode: (s) => { if (typeof s !== "string") throw new TypeError("not a string"); return ccf.strToBuf(s) }, decode: (b) => ccf.bufToStr(b) };
export const json = { encode: (v) => ccf.jsonCompatibleToBuf(v), decode: (b) => ccf.bufToJsonCompatible(b) };`,
	"kv.js": `
export class TypedKvMap {
  constructor(kv, kt, vt) { this.kv = kv; this.kt = kt; this.vt = vt }
  get(key) { const v = this.kv.get(this.kt.encode(key)); return v === undefined ? undefined : this.vt.decode(v) }
  set(key, value) { this.kv.set(this.kt.encode(key), this.vt.encode(value)); return this }
}
export function typedKv(name, kt, vt) { const kv = typeof name === "string" ? ccf.kv[name] : name; return new TypedKvMap(kv, kt, vt) }`,
	"validate.js": `
const ID = /^[a-z][a-z0-9_-]{2,31}$/;
export function validate(m) { const errors = [];
  if (typeof m.id !== "string" || !ID.test(m.id)) errors.push("id");
  if (typeof m.owner !== "string" || !ID.test(m.owner)) errors.push("owner");
  if (!Number.isInteger(m.amount) || m.amount < 0) errors.push("amount");
  if (typeof m.note !== "string" || m.note.length > 64) errors.push("note");
  return errors }`,
	"main.js": `
import { typedKv } from "./kv.js"; import { string, json } from "./conv.js"; import { validate } from "./validate.js";
const records = typedKv("records", string, json);
export function put(request) {
  const msg = request.body.json(); const errors = validate(msg);
  if (errors.length) return { statusCode: 400, body: { errors } };
  const old = records.get(msg.id) ?? { total: 0, count: 0 };
  const now = { owner: msg.owner, note: msg.note, total: old.total + msg.amount, count: old.count + 1 };
  records.set(msg.id, now);
  return { statusCode: 200, body: { id: msg.id, ...now, by: request.caller.policy, path: request.path } } }
export function noop() { return {} }
export function log(request) { const p = request.query.split("="); ccf.kv["records"].set(ccf.strToBuf(p[1]), ccf.strToBuf(request.body.json().msg)); return {body: true} }
`,
}

const benchBody = `{"id":"account-0042","owner":"alice","amount":17,"note":"a note that makes the body about as long as usual......."}`

// largeModule is about as long, and leaves about as many objects, as a bundle
// of large: 52 KB.
func largeModule() string {
	var s strings.Builder
	s.WriteString("const registry = {};\n")
	for i := range 300 {
		fmt.Fprintf(&s, "function helper%d(collection, iteratee, accumulator) { let index = -1; const length = collection == null ? 0 : collection.length;"+
			" while (++index < length) { accumulator = iteratee(accumulator, collection[index], index, collection) } return accumulator }\n"+
			"registry.helper%d = { run: helper%d, tags: ['a%d', 'b'] };\n", i, i, i, i)
	}
	s.WriteString("export default registry;\n")
	return s.String()
}

// bench runs one endpoint of the small application, or with large behind it.
func bench(b *testing.B, backend Backend, path, body, props string, large bool) {
	s := newService(b, backend)
	modules := map[string]string{}
	for k, v := range benchModules {
		modules[k] = v
	}
	if large {
		modules["large.js"] = largeModule()
		modules["main.js"] = `import "./large.js";` + modules["main.js"]
	}
	var fields []string
	for _, f := range []string{"put", "noop", "log"} {
		fields = append(fields, strings.TrimSpace(fmt.Sprintf("POST /%s main.js %s %s", f, f, props)))
	}
	s.deploy(modules, fields...)
	a := s.do("POST", path, body)
	if a.Status != 200 {
		b.Fatal(a)
	}
	bare, query, _ := strings.Cut(path, "?")
	m, err := s.app.Resolver().Resolve(s.tx, "POST", bare)
	if err != nil {
		b.Fatal(err)
	}
	req := &app.Request{
		Method: "POST", URL: "/app" + path, Path: "/app" + bare, Query: query, Body: []byte(body),
		Header: app.Header{{Name: "host", Value: "localhost:8000"}, {Name: "content-type", Value: "application/json"}, {Name: "accept", Value: "*/*"}, {Name: "content-length", Value: "120"}, {Name: "user-agent", Value: "bench"}, {Name: "x-a", Value: "b"}},
	}
	caller := &app.Caller{Policy: "user_cert", ID: strings.Repeat("ab", 32), Cert: make([]byte, 500)}
	b.ReportAllocs()
	for b.Loop() {
		s.tx.next()
		c := app.NewContext(b.Context(), req, s.tx, m.Endpoint, m.Params)
		c.Prefix, c.Caller = "/app", caller
		if err := m.Endpoint.Handler(c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	for _, backend := range backends {
		for _, c := range []struct {
			name, path, body, props string
			large                   bool
		}{
			{"fresh/small", "/put", benchBody, "", false},
			{"fresh/large", "/put", benchBody, "", true},
			{"fresh/noop", "/noop", "", "", false},
			{"fresh/log", "/log?id=42", `{"msg":"01234567890123456789012345678901"}`, "", false},
			{"reuse/small", "/put", benchBody, reuse("k"), false},
			{"reuse/noop", "/noop", "", reuse("k"), false},
			{"reuse/log", "/log?id=42", `{"msg":"01234567890123456789012345678901"}`, reuse("k"), false},
		} {
			b.Run(string(backend)+"/"+c.name, func(b *testing.B) { bench(b, backend, c.path, c.body, c.props, c.large) })
		}
	}
}
