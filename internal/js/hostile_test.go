package js

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// runHostile runs a module under tight limits and fails only if something
// other than a value or an Exception comes out.
func runHostile(t testing.TB, e *Engine, source string) string {
	t.Helper()
	return runLimited(t, e, source, Limits{HeapBytes: 32 << 20, StackBytes: 1 << 20, Execution: 500 * time.Millisecond})
}

func runLimited(t testing.TB, e *Engine, source string, limits Limits) string {
	t.Helper()
	p, err := e.compileAlone(realmGov, "m.js", source)
	var x *Exception
	var tr *trap
	switch {
	case errors.As(err, &x):
		return x.Reason
	case errors.As(err, &tr):
		if !tr.expected() {
			t.Errorf("trap: %v", tr)
		}
		return tr.exception().Reason
	case err != nil:
		t.Fatal(err)
	case p.failed != nil:
		return p.failed.Error()
	}
	v, err := p.acquire(e)
	if err != nil {
		t.Fatal(err)
	}
	defer p.release(e, v)
	run := &call{tx: newFakeTx(), access: GovReadWrite, effects: &Effects{}, limits: limits}
	v.call = run
	result := "ok"
	err = v.protect(func() error {
		return v.limited(run, p.snap.used, func() error {
			r, err := v.callExport(p.module, "m.js", "f", nil)
			if err == nil {
				_, err = v.jsonOf(r)
			}
			return err
		})
	})
	switch {
	case errors.As(err, &tr):
		if !tr.expected() {
			t.Errorf("trap: %v", tr)
		}
		return tr.exception().Reason
	case errors.As(err, &x):
		return x.Reason
	case err != nil:
		result = err.Error()
	}
	return result
}

// TestHostileScripts tries to end the process: recursion in every part of
// the engine, and work that takes long in one step.
func TestHostileScripts(t *testing.T) {
	e := newTestEngine(t, Wasm2Go)
	nest := func(n int, open, middle, end string) string {
		return strings.Repeat(open, n) + middle + strings.Repeat(end, n)
	}
	const n = 100_000
	asFunction := func(expr string) string { return "export function f() { return " + expr + " }" }
	cases := map[string]string{
		"parens":            asFunction(nest(n, "(", "1", ")")),
		"brackets":          asFunction(nest(n, "[", "1", "]")),
		"objects":           asFunction(nest(n, "{a:", "1", "}")),
		"blocks":            "export function f() {" + nest(n, "{", "", "}") + "}",
		"unary":             asFunction(strings.Repeat("!", n) + "1"),
		"minus":             asFunction(strings.Repeat("- ", n) + "1"),
		"typeof":            asFunction(strings.Repeat("typeof ", n) + "1"),
		"new":               asFunction(strings.Repeat("new ", n) + "f"),
		"await":             "export async function f() { return " + strings.Repeat("await ", n) + "1 }",
		"power":             asFunction(strings.Repeat("2**", n) + "1"),
		"arrows":            asFunction(strings.Repeat("a=>", n) + "1"),
		"ternary":           asFunction(strings.Repeat("1?", n) + "1" + strings.Repeat(":1", n)),
		"templates":         asFunction(nest(n, "`${", "1", "}`")),
		"functions":         asFunction(nest(20_000, "function(){return ", "1", "}")),
		"classes":           asFunction(nest(20_000, "class{[", "1", "](){}}")),
		"spread":            asFunction(nest(n, "[...", "[]", "]")),
		"destructuring":     "export function f() { let " + nest(n, "[", "a", "]") + " = [] }",
		"assignments":       "export function f() { let a; return " + strings.Repeat("a=", n) + "1 }",
		"members":           asFunction("f" + strings.Repeat(".a", n)),
		"optional":          asFunction("f" + strings.Repeat("?.a", n)),
		"calls":             asFunction("f" + strings.Repeat("()", n)),
		"ifs":               "export function f() { " + strings.Repeat("if(1)", n) + "; }",
		"elses":             "export function f() { " + strings.Repeat("if(0);else ", n) + "; }",
		"labels":            "export function f() { " + strings.Repeat("a:", n) + "; }",
		"whiles":            "export function f() { " + strings.Repeat("while(0)", n) + "; }",
		"sum":               asFunction(strings.Repeat("1+", n) + "1"),
		"commas":            asFunction(strings.Repeat("1,", n) + "1"),
		"nullish":           asFunction(strings.Repeat("null??", n) + "1"),
		"regexp groups":     asFunction("/" + nest(50_000, "(", "a", ")") + "/.test('a')"),
		"regexp lookahead":  asFunction("/" + nest(50_000, "(?=", "a", ")") + "/.test('a')"),
		"regexp classes":    asFunction("/" + nest(50_000, "[", "a", "]") + "/v.test('a')"),
		"regexp alternates": asFunction("/" + strings.Repeat("a|", 50_000) + "b/.test('b')"),
		"regexp backtracks": asFunction(`/^(a|a?)+$/.test("a".repeat(30) + "b")`),
		"regexp repeats":    asFunction("/((((a{1,1000}){1,1000}){1,1000}){1,1000})/.test('a'.repeat(100))"),
		"json":              asFunction("JSON.parse('['.repeat(200000) + ']'.repeat(200000))"),
		"json objects":      asFunction(`JSON.parse('{"a":'.repeat(200000) + '1' + '}'.repeat(200000))`),
		"stringify":         "export function f() { let a = []; for (let i = 0; i < 200000; i++) a = [a]; return a }",
		"join":              "export function f() { let a = []; for (let i = 0; i < 200000; i++) a = [a]; return String(a) }",
		"flat":              "export function f() { let a = []; for (let i = 0; i < 200000; i++) a = [a]; return a.flat(Infinity).length }",
		"free":              "export function f() { let a = {}; for (let i = 0; i < 300000; i++) a = {a}; a = null; return 1 }",
		"free closures":     "export function f() { let a = () => 0; for (let i = 0; i < 100000; i++) { const b = a; a = () => b } a = null; return 1 }",
		"collect":           "export function f() { let a = {}; const b = a; for (let i = 0; i < 100000; i++) a = {a}; b.b = a; let s = []; for (let i = 0; i < 100000; i++) s.push({}); return 1 }",
		"bound":             "export function f() { let g = () => 1; for (let i = 0; i < 100000; i++) g = g.bind(null); return g() }",
		"proxies":           "export function f() { let p = {}; for (let i = 0; i < 100000; i++) p = new Proxy(p, {}); return p.a }",
		"proxy prototypes":  "export function f() { let p = {}; for (let i = 0; i < 100000; i++) p = Object.create(new Proxy(p, {})); return p.a + ('b' in p) }",
		"prototypes":        "export function f() { let p = {}; for (let i = 0; i < 100000; i++) p = Object.create(p); return p.a + ({} instanceof Object) }",
		"instanceof":        "export function f() { let g = function() {}; for (let i = 0; i < 100000; i++) g = g.bind(); return {} instanceof g }",
		"isArray":           "export function f() { let p = []; for (let i = 0; i < 100000; i++) p = new Proxy(p, {}); return Array.isArray(p) }",
		"ropes":             "export function f() { let s = ''; for (let i = 0; i < 300000; i++) s = 'a' + s + 'b'; return s.length + s[5] + (s < s + 'a') }",
		"ropes left":        "export function f() { let s = ''; for (let i = 0; i < 300000; i++) s = s + 'bcdefghijklmnopqrstuvwxyz'; const o = {}; o[s] = 1; return s.charCodeAt(3) }",
		"getters":           "export function f() { const o = { get a() { return this.a } }; return o.a }",
		"toString":          "export function f() { const o = { toString() { return '' + o } }; return '' + o }",
		"toJSON":            "export function f() { const o = { toJSON() { return JSON.stringify(o) } }; return o }",
		"generators":        "export function f() { function* g(n) { if (n) yield* g(n - 1); yield 1 } let c = 0; for (const x of g(100000)) c += x; return c }",
		"promises":          "export async function f() { let p = Promise.resolve(1); for (let i = 0; i < 100000; i++) { const q = p; p = { then(r) { r(q) } } } return await p }",
		"async":             "export async function f() { const g = async (n) => n ? await g(n - 1) : 1; return await g(100000) }",
		"forEach":           "export function f() { const m = ccf.kv['public:ccf.gov.x']; m.set(ccf.strToBuf('a'), ccf.strToBuf('b')); const g = () => m.forEach(g); g() }",
		"sort":              "export function f() { return new Array(1000000).fill(0).map((_, i) => 'x' + (i * 7919 % 1000003)).sort().length }",
		"bigint":            "export function f() { let a = 3n; for (;;) a *= a }",
		"bigint text":       "export function f() { return String(1n << 1000000n).length }",
		"repeat":            "export function f() { return 'x'.repeat(1e7).split('').length }",
		"pad":               "export function f() { return 'x'.padStart(2 ** 29, 'ab').length }",
		"apply":             "export function f() { return Math.max.apply(null, new Array(1e7)) }",
		"spread call":       "export function f() { return Math.max(...new Array(60000).fill(1)) + String.fromCharCode(...new Array(60000).fill(65)).length }",
		"array length":      "export function f() { const a = []; a.length = 2 ** 32 - 1; return a.indexOf(1) + a.reverse().length }",
		"typed":             "export function f() { return new Float64Array(2 ** 30).length }",
		"import":            "export async function f() { return await import('x') }",
		"constructor":       "export function f() { return new (function(){}.constructor)('('.repeat(100000))() }",
		"exit":              "export function f() { return [typeof std, typeof os, typeof process, typeof require] }",
		"symbols":           "export function f() { const o = {}; for (let i = 0; i < 1e6; i++) o[Symbol()] = i; return 1 }",
		"atoms":             "export function f() { const o = {}; for (let i = 0; i < 1e7; i++) o['k' + i] = i; return 1 }",
		"date":              "export function f() { return new Date('9'.repeat(100000)).getTime() }",
		"format":            "export function f() { return (1e300).toFixed(100).length + (0.1).toString(2).length + Number('1'.repeat(100000)) }",
		"stack getter":      "export function f() { Error.prepareStackTrace = () => { throw 1 }; const e = new Error(); return e.stack }",
		"error toString":    "export function f() { Error.prototype.toString = () => { throw new Error('again') }; throw new Error('x') }",
		"throw hostile":     "export function f() { throw { toJSON() { throw { get stack() { for (;;) {} } } }, toString() { for (;;) {} } } }",
		"stack loops":       "export function f() { const e = new Error('x'); Object.defineProperty(e, 'stack', { get() { for (;;) {} } }); throw e }",
		"message loops":     "export function f() { const e = new Error('x'); Object.defineProperty(e, 'message', { get() { for (;;) {} } }); throw e }",
		"throws proxy":      "export function f() { throw new Proxy(new Error(), { get() { for (;;) {} } }) }",
	}
	for name, source := range cases {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			got := runHostile(t, e, source)
			t.Logf("%.90s (%v)", got, time.Since(start).Round(time.Millisecond))
			if time.Since(start) > 20*time.Second {
				t.Error("took too long")
			}
			if got := runHostile(t, e, "export function f() { return 1 }"); got != "ok" {
				t.Fatal(fmt.Sprint("afterwards: ", got))
			}
		})
	}
}

func FuzzScript(f *testing.F) {
	for _, s := range []string{"json", "regexp", "typed", "generators", "proxies", "eval", "natives", "throws"} {
		f.Add(differentialScripts[s])
	}
	f.Add("export function f() { ccf.kv[1]; ccf.crypto.sign({}); ccf.node.triggerSnapshot() }")
	f.Add("return new Uint8Array(4).fill(1n)")
	e, err := NewEngine(Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(e.Close)
	f.Fuzz(func(t *testing.T, source string) {
		limits := Limits{HeapBytes: 8 << 20, StackBytes: 256 << 10, Execution: 20 * time.Millisecond}
		runLimited(t, e, source, limits)
		runLimited(t, e, "export function f() { "+source+" }", limits)
	})
}

func FuzzParseBundle(f *testing.F) {
	f.Add([]byte(`{"metadata":{"endpoints":{"/a":{"get":{"js_module":"m.js","js_function":"f","forwarding_required":"always","authn_policies":["jwt",{"all_of":["user_cert"]}],"mode":"readonly","openapi":{}}}}},"modules":[{"name":"m.js","module":"export function f() {}"}]}`))
	f.Add([]byte(`{"metadata":{"endpoints":{}},"modules":[]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		bundle, err := ParseBundle(b)
		if (bundle == nil) == (err == nil) {
			t.Fatal(bundle, err)
		}
	})
}
