package js

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// differentialScripts are run on both back ends; f's outcome and the whole
// linear memory afterwards must be equal.
var differentialScripts = map[string]string{
	"arithmetic": `export function f() { let s = 0; for (let i = 1; i < 20000; i++) s = (s * 31 + i / 7 + Math.sin(i) - Math.pow(i, 0.3)) % 1e9; return [s, 0/0, 1/0, -0, Math.hypot(3, 4), Math.fround(5.5), 2**53, 5 % -3, ~~-1.5, 1e21 + "", (123.456).toFixed(1), parseFloat("1e-7"), Math.atan2(1, -1), Math.exp(1), Math.log1p(1e-9), Math.cbrt(27)] }`,
	"bigint":     `export function f() { let a = 1n; for (let i = 1n; i < 400n; i++) a *= i; return [String(a).length, String(a % 1000000007n), String(-a >> 3000n), (2n**200n).toString(36), BigInt.asIntN(64, a).toString()] }`,
	"strings":    `export function f() { const s = "añ€😀".repeat(300); return [s.length, s.toUpperCase().length, s.normalize("NFD").length, s.split("€").length, [...s].length, s.replace(/ñ/gu, "n").indexOf("n"), s.localeCompare("b"), encodeURIComponent(s).length, s.at(-1), "abc".padStart(9, "xy")] }`,
	"regexp":     `export function f() { return ["2026-11-23".match(/(?<y>\d{4})-(?<m>\d\d)/).groups.y, "aBc".replace(/b/i, (m) => m + m), /\p{L}+/u.exec("héé!")[0], [..."a1b2".matchAll(/[a-z](\d)/g)].map((m) => m[1]).join(), /(?<=\$)\d+/.exec("x$42")[0]] }`,
	"objects":    `class A { #p = 1; static s = 2; get p() { return this.#p } } class B extends A { q = super.p + 1 } export function f() { const m = new Map(); for (let i = 0; i < 2000; i++) m.set("k" + i % 97, {i, b: new B()}); const w = new Set(m.keys()); return [m.size, w.size, new B().q, Object.entries({b: 1, a: 2, 1: 3}), JSON.stringify({d: new Date(0), u: undefined, n: [undefined]}), structured()] } function structured() { const { a, ...rest } = { a: 1, b: 2, c: 3 }; return [a, rest, ...[1, 2]] }`,
	"arrays":     `export function f() { const a = Array.from({length: 3000}, (_, i) => (i * 7919) % 3001); a.sort((x, y) => x - y); return [a[0], a[2999], a.slice(0, 3), a.filter((x) => x % 2).length, a.toSorted().at(5), Object.groupBy([1, 2, 3], (x) => x % 2 ? "o" : "e"), [3, 1, 2].sort()] }`,
	"typed":      `export function f() { const b = new ArrayBuffer(64); const d = new DataView(b); d.setFloat64(0, Math.PI); d.setBigInt64(8, -5n); d.setInt16(16, -2, true); return [[...new Uint8Array(b)].slice(0, 20), new Float32Array(b)[0], Array.from(new Uint16Array(b).subarray(4, 6))] }`,
	"generators": `function* g(n) { for (let i = 0; i < n; i++) yield i } async function* ag() { yield* g(3) } export async function f() { let s = 0; for (const x of g(1000)) s += x; for await (const x of ag()) s += x; return s }`,
	"throws":     `export function f() { try { null.x } catch (e) { throw new TypeError(e.message + new Error("x").stack) } }`,
	"overflow":   `let n = 0; export function f() { try { (function r() { n++; r() })() } catch (e) { return [n, e.message] } }`,
	"memory":     `export function f() { const a = []; try { for (;;) a.push(new Uint8Array(1 << 20)) } catch (e) { const n = a.length; a.length = 0; return [n, String(e)] } }`,
	"garbage":    `export function f() { let last; for (let i = 0; i < 30000; i++) { const o = { i }; o.self = o; last = o } return last.i }`,
	"proxies":    `export function f() { const log = []; const p = new Proxy({}, { get: (t, k) => { log.push(String(k)); return 1 }, has: () => true }); p.a + p.b; "c" in p; return [log, Reflect.ownKeys(p), Symbol("x").toString()] }`,
	"eval":       `export function f() { return [new Function("a", "b", "return a * b")(6, 7), (0, eval)("[1,2].map((x) => x + 1)")] }`,
	"natives":    `export function f() { const m = ccf.kv["public:ccf.gov.t"]; let s = ""; m.forEach((v, k) => { s += ccf.bufToStr(k) + ccf.bufToStr(v); m.forEach(() => { s += "." }) }); return [s, m.size, ccf.crypto.digest("SHA-256", ccf.strToBuf("x")).byteLength, ccf.bufToJsonCompatible(ccf.jsonCompatibleToBuf({a: [1, {}]}))] }`,
	"denied":     `export function f() { try { ccf.kv.secret.get(ccf.strToBuf("k")) } catch (e) { return String(e) } }`,
	"dates":      `export function f() { const d = new Date(); return [d.toISOString(), d.getDay(), new Date(2024, 1, 29).getTime(), Date.parse("2020-01-01T00:00:00+02:00"), d.getTimezoneOffset()] }`,
	"json":       `export function f() { const deep = JSON.parse("[".repeat(500) + "]".repeat(500)); return [JSON.stringify(deep).length, JSON.stringify({ a: 1e300, b: "\u2028\ud800" }, null, 2), JSON.parse('{"__proto__": 1, "a": [1.5e3]}')] }`,
	"sha":        `function rotr(x, n) { return (x >>> n) | (x << (32 - n)) } export function f() { let h = 0x6a09e667; for (let i = 0; i < 50000; i++) h = (Math.imul(rotr(h, 7) ^ rotr(h, 18) ^ (h >>> 3), 0x9e3779b1) + i) | 0; return h }`,
}

type outcome struct {
	result string
	memory [32]byte
}

// runDifferential runs one script on one back end.
func runDifferential(t testing.TB, e *Engine, source string) outcome {
	t.Helper()
	p, err := e.compileAlone(realmGov, "m.js", source)
	if err != nil {
		return outcome{result: err.Error()}
	}
	if p.failed != nil {
		return outcome{result: p.failed.Error()}
	}
	v, err := p.acquire(e)
	if err != nil {
		t.Fatal(err)
	}
	defer v.g.Close()
	tx := newFakeTx()
	tx.Put("public:ccf.gov.t", []byte("k1"), []byte("v1"))
	tx.Put("public:ccf.gov.t", []byte("k2"), []byte("v2"))
	run := &call{tx: tx, access: GovReadOnly, effects: &Effects{}, limits: patient()}
	v.call = run
	var out json.RawMessage
	err = v.protect(func() error {
		return v.limited(run, p.snap.used, func() error {
			r, err := v.callExport(p.module, "m.js", "f", nil)
			if err == nil {
				out, err = v.jsonOf(r)
			}
			return err
		})
	})
	var x *Exception
	var tr *trap
	switch {
	case errors.As(err, &tr):
		return outcome{result: fmt.Sprint("trap ", tr.exception())} // the memory may be in any state
	case errors.As(err, &x):
		return outcome{result: x.Reason + "\n" + x.Trace, memory: v.memoryHash()}
	case err != nil:
		return outcome{result: err.Error(), memory: v.memoryHash()}
	default:
		return outcome{result: string(out), memory: v.memoryHash()}
	}
}

var differentialTime = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// differentialEngines are one engine of each back end with one fixed clock.
func differentialEngines(t testing.TB) [2]*Engine {
	t.Helper()
	var out [2]*Engine
	for i, b := range backends {
		e, err := NewEngine(Config{Backend: b, Now: func() time.Time { return differentialTime }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(e.Close)
		out[i] = e
	}
	return out
}

func TestBackendsAgree(t *testing.T) {
	engines := differentialEngines(t)
	for kind := range realmCount {
		a, err := engines[0].base(kind)
		if err != nil {
			t.Fatal(err)
		}
		b, err := engines[1].base(kind)
		if err != nil {
			t.Fatal(err)
		}
		if string(a.mem) != string(b.mem) {
			t.Errorf("the realms %s differ", kind)
		}
	}
	for name, source := range differentialScripts {
		t.Run(name, func(t *testing.T) {
			a, b := runDifferential(t, engines[0], source), runDifferential(t, engines[1], source)
			if a != b {
				t.Errorf("%s: %.400s\n%s: %.400s", backends[0], a.result, backends[1], b.result)
			}
			if strings.Contains(a.result, "SyntaxError") || strings.HasPrefix(a.result, "trap") {
				t.Error(a.result)
			}
			t.Logf("%.300s", a.result)
		})
	}
}
