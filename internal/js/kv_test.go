package js

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestPermissions is the matrix of CCF: doc/audit/read_write_restrictions.rst
// through every method.
func TestPermissions(t *testing.T) {
	const r, w, rw, none = permitRead, permitWrite, permitBoth, permitNone
	names := []string{"public:ccf.internal.x", "ccf.internal.x", "public:ccf.gov.x", "ccf.gov.x", "public:app", "app", "public:ccf.other", "ccf.other", "public:synod.x", "public:CCF.gov.x", "Public:x"}
	matrix := map[Access][]permission{
		AppReadWrite: {r, none, r, none, rw, rw, none, none, r, rw, rw},
		AppReadOnly:  {r, none, r, none, r, r, none, none, r, r, r},
		GovReadOnly:  {r, none, r, none, none, none, none, none, r, none, none},
		GovReadWrite: {r, none, rw, none, w, none, none, none, r, w, none},
	}
	methods := map[string]struct {
		call string
		need permission
	}{
		"has": {"m.has(k)", r}, "get": {"m.get(k)", r}, "getVersionOfPreviousWrite": {"m.getVersionOfPreviousWrite(k)", r},
		"size": {"m.size", r}, "forEach": {"m.forEach(() => {})", r},
		"set": {"m.set(k, k)", w}, "delete": {"m.delete(k)", w}, "clear": {"m.clear()", w},
	}
	e := newTestEngine(t, Wasm2Go)
	for access, row := range matrix {
		for i, name := range names {
			for method, m := range methods {
				src := fmt.Sprintf("export function f() { const m = ccf.kv[%q]; const k = ccf.strToBuf('k'); %s }", name, m.call)
				var err error
				if access == GovReadOnly || access == GovReadWrite {
					_, err = e.CallGov(t.Context(), GovCall{Module: "m", Source: src, Function: "f", Access: access, Tx: newFakeTx()})
				} else {
					err = callInApp(t, e, src, access)
				}
				var x *Exception
				switch {
				case row[i]&m.need != 0 && err != nil:
					t.Errorf("%s, %s, %s: %v", access, name, method, err)
				case row[i]&m.need == 0 && !errors.As(err, &x):
					t.Errorf("%s, %s, %s: allowed", access, name, method)
				case row[i]&m.need == 0:
					want := "TypeError: " + deniedText(method, name, row[i], access, "See "+restrictionsPage+" for more detail.")
					if x.Reason != want {
						t.Errorf("got  %s\nwant %s", x.Reason, want)
					}
				}
			}
		}
	}
	if got, want := deniedText("get", "x", permitNone, GovReadOnly, "See "+restrictionsPage+" for more detail."), `Cannot call "get" on table named x. This table is inaccessible in current (read-only governance) execution context. See https://microsoft.github.io/CCF/main/audit/read_write_restrictions.html for more detail.`; got != want {
		t.Error(got)
	}
}

// callInApp runs a module in the application's realm without an application.
func callInApp(t testing.TB, e *Engine, source string, access Access) error {
	t.Helper()
	p, err := e.newProgram(t.Context(), realmApp, "", "m", func([]byte) ([]byte, bool) { return []byte(source), true })
	if err != nil {
		t.Fatal(err)
	}
	v, err := p.acquire(e)
	if err != nil {
		t.Fatal(err)
	}
	defer p.release(e, v)
	c := &call{tx: newFakeTx(), access: access, limits: DefaultLimits()}
	v.call = c
	return v.protect(func() error {
		f, err := v.export(p.namespace, "f", "m")
		if err != nil {
			return err
		}
		_, err = v.result(v.invoke(f))
		return err
	})
}

// scripts runs functions that throw when something is wrong.
func scripts(t *testing.T, s *service, cases map[string]string) {
	t.Helper()
	s.options(`{"return_exception_details": true}`)
	const prelude = `
function eq(a, b) { if (a !== b) throw new Error(JSON.stringify(a) + " is not " + JSON.stringify(b)) }
function throws(f, text) { try { f() } catch (e) { eq(String(e), text); return } throw new Error("did not throw: " + text) }
const S = (s) => ccf.strToBuf(s); const T = (b) => ccf.bufToStr(b);
const hex = (b) => [...new Uint8Array(b)].map((x) => x.toString(16).padStart(2, "0")).join("");
`
	for name, body := range cases {
		t.Run(name, func(t *testing.T) {
			s.deploy(map[string]string{"m.js": prelude + "export function f(request) {\n" + body + "\nreturn {body: 'ok'} }"}, "POST /x m.js f")
			if got := s.do("POST", "/x", "the body"); got.Body != "ok" {
				t.Error(strings.ReplaceAll(got.Body, `\n`, "\n"))
			}
		})
	}
}

func TestKV(t *testing.T) {
	onBackends(t, func(t *testing.T, s *service) {
		scripts(t, s, map[string]string{
			"handles": `eq("anything" in ccf.kv, true); eq(typeof ccf.kv.toString, "object"); eq(Object.keys(ccf.kv).length, 0);
				eq(ccf.kv.a === ccf.kv.a, false); eq(ccf.kv.a._map_name, "a"); throws(() => { ccf.kv.a = 1 }, "TypeError: proxy: cannot set property");`,
			"set get": `const m = ccf.kv["public:a"]; eq(m.set(S("k"), S("v")) === m, true); m.set(S("1"), S("one")).set(S("2"), S("two"));
				eq(T(m.get(S("k"))), "v"); eq(m.get(S("none")), undefined); eq(m.has(S("k")), true); eq(m.has(S("none")), false); eq(m.size, 3);
				eq(m.delete(S("k")), undefined); eq(m.has(S("k")), false); m.delete(S("k")); eq(m.clear(), undefined); eq(m.size, 0);
				m.set(new ArrayBuffer(0), S("empty")); eq(T(m.get(new ArrayBuffer(0))), "empty");
				const big = new Uint8Array(100000).fill(9).buffer; m.set(big, big); eq(m.get(big).byteLength, 100000);`,
			"forEach": `const m = ccf.kv.b; m.set(S("a"), S("1")).set(S("b"), S("2")); const seen = [];
				m.forEach((v, k, h) => { seen.push(T(k) + T(v) + (h === m)) }); eq(seen.join(), "a1true,b2true");
				throws(() => m.forEach(() => { throw new Error("stop") }), "Error: stop"); throws(() => m.forEach(1), "TypeError: Argument must be a function");
				let n = 0; m.forEach((v, k) => { m.forEach(() => { n++ }) }); eq(n, 4);`,
			"versions": `const m = ccf.kv.v; eq(m.getVersionOfPreviousWrite(S("k")), undefined);`,
			"arguments": `const m = ccf.kv.b; throws(() => m.get(), "TypeError: Passed 0 arguments, but expected 1"); throws(() => m.get("k"), "TypeError: Argument must be an ArrayBuffer");
				throws(() => m.get(new Uint8Array(1)), "TypeError: Argument must be an ArrayBuffer"); throws(() => m.set(S("k")), "TypeError: Passed 1 arguments, but expected 2");
				throws(() => m.set(S("k"), "v"), "TypeError: Arguments must be ArrayBuffers"); throws(() => m.clear(1), "TypeError: Passed 1 arguments, but expected 0");
				throws(() => (0, m.get)(S("k")), "TypeError: Internal: No map name stored on handle");`,
		})
	})
}

func TestConverters(t *testing.T) {
	onBackends(t, func(t *testing.T, s *service) {
		scripts(t, s, map[string]string{
			"strings": `eq(hex(S("aé€😀\u0000b")), "61c3a9e282acf09f98800062"); eq(T(S("aé€😀\u0000b")), "aé€😀\u0000b"); eq(T(new Uint8Array([0x61, 0xff]).buffer), "a\ufffd");
				throws(() => ccf.strToBuf(1), "TypeError: Argument must be a string"); throws(() => ccf.strToBuf(), "TypeError: Passed 0 arguments, but expected 1");
				throws(() => ccf.bufToStr("x"), "TypeError: Argument must be an ArrayBuffer");`,
			"json": `eq(T(ccf.jsonCompatibleToBuf({a: [1, "x", null]})), '{"a":[1,"x",null]}'); eq(ccf.bufToJsonCompatible(S('{"a":1}')).a, 1);
				throws(() => ccf.jsonCompatibleToBuf(undefined), "TypeError: Argument must be a string"); const c = {}; c.c = c;
				try { ccf.jsonCompatibleToBuf(c); throw new Error("no") } catch (e) { eq(e instanceof TypeError, true) }
				try { ccf.jsonCompatibleToBuf(1n); throw new Error("no") } catch (e) { eq(e instanceof TypeError, true) }
				try { ccf.bufToJsonCompatible(S("{")); throw new Error("no") } catch (e) { eq(e instanceof SyntaxError, true) }
				JSON.stringify = () => "mine"; eq(T(ccf.jsonCompatibleToBuf(1)), "1");`,
			"switches": `eq(ccf.enableUntrustedDateTime(1), true); eq(ccf.enableMetricsLogging(false), true); eq(ccf.enableMetricsLogging(true), false);
				throws(() => ccf.enableMetricsLogging(1), "TypeError: First argument must be a boolean");`,
			"tcb": `eq(JSON.stringify(ccf.tcbHexToPolicy("00a00f11", "d315000000000004")), '{"hexstring":"d315000000000004","microcode":211,"snp":21,"tee":0,"boot_loader":4}');
				eq(JSON.stringify(ccf.tcbHexToPolicy("00b00f11", "4600000004030201")), '{"hexstring":"4600000004030201","microcode":70,"snp":4,"tee":3,"boot_loader":2,"fmc":1}');
				throws(() => ccf.tcbHexToPolicy("00000000", "d315000000000004"), "TypeError: SEV-SNP: Unsupported CPUID family 0 model 0"); throws(() => ccf.tcbHexToPolicy("x", ""), "TypeError: CPUID could not be parsed");`,
			"globals": `eq(typeof InternalError, "function"); eq(typeof WeakRef, "undefined"); eq(typeof performance, "undefined"); eq(new Date().getTimezoneOffset(), 0);
				eq(Math.abs(Date.now() - 1.7e12) < 1e12, true); const r = new Set(Array.from({length: 1000}, () => Math.random())); eq(r.size, 1000);
				eq((1234.5).toLocaleString(), "1234.5"); eq(new Function("a", "return a + 1")(1), 2); eq(eval("1+1"), 2);`,
			"body": `eq(request.body.text(), "the body"); try { request.body.json() } catch (e) { eq(e instanceof SyntaxError, true) }`,
			"rpc": `const {setApplyWrites, setClaimsDigest} = ccf.rpc; setApplyWrites.bind(ccf.rpc)(true); throws(() => setClaimsDigest(new ArrayBuffer(3)), "TypeError: Argument must be an ArrayBuffer of the right size");
				throws(() => setClaimsDigest("x"), "TypeError: Argument must be an ArrayBuffer"); setClaimsDigest(new ArrayBuffer(32));`,
			"consensus": `eq(JSON.stringify(ccf.consensus.getLastCommittedTxId()), '{"view":2,"seqno":7}'); eq(ccf.consensus.getStatusForTxId(2, 5), "Committed"); eq(ccf.consensus.getStatusForTxId(2, 9), "Pending");
				eq(ccf.consensus.getViewForSeqno(3), 2); eq(ccf.consensus.getViewForSeqno(99), null); throws(() => ccf.consensus.getViewForSeqno(-1), "RangeError: Invalid seqno: cannot be negative");`,
			"historical": `eq("historicalState" in ccf, false); const range = ccf.historical.getStateRange.bind(ccf.historical); eq(range(1, 1, 99, 3), null); eq(range(99, 1, 2, 3), null);
				const states = range(1, 2, 4, 3); eq(states.map((s) => s.transactionId).join(), "2.2,2.3,2.4"); eq(ccf.bufToStr(states[1].kv.t.get(ccf.strToBuf("k"))), "2.3"); eq(ccf.historical.dropCachedStates(1), true); eq(ccf.historical.dropCachedStates(2), false);
				throws(() => range(1, 0, 0, 3), "InternalError: Failed to get state range: there is no transaction 0"); throws(() => range(1, 1, 2), "TypeError: Passed 3 arguments, but expected 4"); throws(() => range(-1, 1, 2, 3), "RangeError: Invalid handle or seqno or expiry: cannot be negative");
				throws(() => ccf.historical.dropCachedStates(-1), "RangeError: Invalid handle: cannot be negative"); eq(range.length + ccf.historical.getStateRange.name, "4getStateRange");`,
		})
	})
}

func TestApplyWritesAndClaims(t *testing.T) {
	s := newService(t, Wasm2Go)
	s.deploy(map[string]string{"m.js": `export function f(r) { const { status, apply } = r.body.json(); if (apply !== undefined) ccf.rpc.setApplyWrites(apply);
		ccf.rpc.setClaimsDigest(new Uint8Array(32).fill(7).buffer); return { statusCode: status } }`}, "POST /x m.js f")
	for body, want := range map[string]bool{
		`{"status":200}`: true, `{"status":204}`: true, `{"status":302}`: false, `{"status":404}`: false, `{"status":500}`: false,
		`{"status":404,"apply":true}`: true, `{"status":500,"apply":true}`: true, `{"status":200,"apply":false}`: false,
	} {
		got := s.do("POST", "/x", body)
		if got.Applies != want || got.Claims != [32]byte([]byte(strings.Repeat("\x07", 32))) {
			t.Error(body, got)
		}
	}
}

func TestLogLines(t *testing.T) {
	s := newService(t, Wasm2Go)
	s.options(`{"log_exception_details": true}`)
	s.deploy(map[string]string{"m.js": `export function f() { console.log("a", 1, {b: 2}, new Error("e")); console.info(null); console.warn("w"); console.error("x"); return {statusCode: 201} }
export function g() { throw new Error("boom") } export function quiet() { ccf.enableMetricsLogging(false); return {} }`}, "POST /x/{id} m.js f", "POST /g m.js g", "POST /quiet m.js quiet")
	s.do("POST", "/x/1", "")
	s.do("POST", "/g", "")
	s.do("POST", "/quiet", "")
	want := []string{
		`level=INFO msg="a 1 {\"b\":2} Error: e" tag=app`,
		`level=INFO msg=null tag=app`,
		`level=WARN msg=w tag=app`,
		`level=ERROR+4 msg=x tag=app`,
		`level=INFO msg="JS execution complete: Method=POST, Path=/app/x/{id}, Status=201, ExecMilliseconds=0" tag=js`,
		`level=WARN msg="Error: boom:     at g (/m.js:2)\n" tag=app`,
	}
	got := s.log.lines()
	got[4] = strings.Replace(got[4], "Milliseconds=1", "Milliseconds=0", 1)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
