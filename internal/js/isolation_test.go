package js

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"synod/internal/tables"
)

// TestIsolation tries to leave something behind for the next request.
func TestIsolation(t *testing.T) {
	onBackends(t, func(t *testing.T, s *service) {
		s.deploy(map[string]string{"m.js": `
let count = 0; const list = []; export class C { static n = 0 }
export function leak(r) {
  globalThis.leaked = 1; count++; list.push(new Uint8Array(70000)); C.n++;
  Array.prototype.map = () => "evil"; Object.prototype.evil = 1; JSON.stringify = () => "evil";
  ccf.kv = {}; ccf.strToBuf = null; String.prototype.evil = 1; Math.random = () => 4; console.log = null;
  Symbol.for("leak"); ccf.enableMetricsLogging(false);
  return { body: r.body.text() } }
export function look() {
  const e = []; if (globalThis.leaked) e.push("global"); if (count) e.push("count"); if (list.length) e.push("list"); if (C.n) e.push("static");
  if ([1].map(x => x) === "evil") e.push("map"); if (({}).evil) e.push("proto"); if (JSON.stringify(1) !== "1") e.push("json");
  if (!ccf.kv.x.has || !ccf.strToBuf || "".evil || Math.random() === 4 || !console.log) e.push("ccf");
  return { body: "clean" + e } }
export function crash() { globalThis.leaked = 2; const f = () => f(); f() }
export function eat() { globalThis.leaked = 3; let a = []; for (;;) a.push(new Uint8Array(1 << 20)) }
export function big() { globalThis.leaked = 4; globalThis.x = new Uint8Array(6 << 20).fill(7); return {} }
`}, "POST /leak m.js leak", "POST /look m.js look", "POST /crash m.js crash", "POST /eat m.js eat", "POST /big m.js big")
		p, err := s.app.Resolver().(*scriptApp).program(t.Context(), s.tx, "/m.js")
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			for _, path := range []string{"/leak", "/crash", "/eat", "/big"} {
				s.do("POST", path, fmt.Sprint(i))
				if got := s.do("POST", "/look", ""); got.Body != "clean" {
					t.Fatal(path, got)
				}
				for _, v := range p.idle {
					if !bytes.Equal(v.g.Memory(), p.snap.mem) {
						t.Fatalf("after %s an idle instance differs from its snapshot", path)
					}
				}
			}
		}
	})
}

const reuseModule = `
globalThis.loads = (globalThis.loads ?? 0) + 1;
export function count(r) { globalThis.n = (globalThis.n ?? 0) + 1; return { body: globalThis.n } }
export function keep(r) { globalThis.kept ??= { r, rpc: ccf.rpc, body: r.body, kv: ccf.kv["public:t"] };
  kept.kv.set(ccf.strToBuf(r.body.text()), ccf.strToBuf("1")); kept.rpc.setApplyWrites(false);
  return { body: [kept.r.body.text(), kept.r.url, r.url, kept.r.headers["x-b"], kept.r.params.p].join() } }
export function boom() { globalThis.n = (globalThis.n ?? 0) + 1; throw new Error("x") }
`

func reuse(key string) string { return `{"interpreter_reuse":{"key":"` + key + `"}}` }

func TestReuse(t *testing.T) {
	onBackends(t, func(t *testing.T, s *service) {
		deploy := func(source string) {
			s.deploy(map[string]string{"m.js": source, "other.js": `import "./m.js"; export function loads() { return {body: globalThis.loads + " " + globalThis.n} }`},
				"POST /a m.js count "+reuse("a"), "POST /b m.js count "+reuse("b"), "POST /c m.js count "+reuse("c"),
				"POST /keep/{p} m.js keep "+reuse("k"), "POST /boom m.js boom "+reuse("a"), "POST /fresh m.js count",
				"POST /ro m.js count "+`{"interpreter_reuse":{"key":"a"},"mode":"readonly"}`,
				"POST /loads other.js loads "+reuse("a"))
		}
		want := func(path, body string) {
			t.Helper()
			if got := s.do("POST", path, ""); got.Body != body {
				t.Fatalf("%s: %v, want %s", path, got, body)
			}
		}
		deploy(reuseModule)
		want("/a", "1")
		want("/a", "2")
		want("/fresh", "1")
		want("/fresh", "1")
		want("/b", "1")
		want("/ro", "1")
		if got := s.do("POST", "/boom", ""); got.Status != 500 {
			t.Fatal(got)
		}
		want("/a", "4")
		want("/loads", "1 4") // the second module shares the first

		if got := s.do("POST", "/keep/1?q", "one"); got.Body != "one,/app/keep/1?q,/app/keep/1?q,2,1" {
			t.Fatal(got)
		}
		// What is kept reads the current body, and its own request's rest.
		if got := s.do("POST", "/keep/2", "two"); got.Body != "two,/app/keep/1?q,/app/keep/2,2,1" || got.Applies {
			t.Fatal(got)
		}
		if s.tx.Len("public:t") != 2 {
			t.Fatal("a kept handle did not write to the current transaction")
		}

		// The cap counts keys; the least recently used goes first.
		s.options(`{"max_cached_interpreters": 2}`)
		for range 3 {
			want("/c", "1")
			want("/b", "1")
			want("/ro", "1")
		}
		s.options(`{}`)
		deploy(strings.Replace(reuseModule, "body: globalThis.n }", "body: 'new ' + globalThis.n }", 1))
		want("/a", "new 1")
		want("/a", "new 2")
		// Code that changed without the flush row is not run stale.
		s.tx.Put(tables.Modules, []byte("/m.js"), []byte(strings.Replace(reuseModule, "body: globalThis.n }", "body: 'newer ' + globalThis.n }", 1)))
		want("/a", "newer 1")
		// Neither is code of a key whose flush row was rolled back.
		s.tx.at.View++
		want("/a", "newer 1")
		s.tx.Put(tables.InterpreterFlush, tables.UnitKey(), []byte("true"))
		want("/a", "newer 1")
	})
}

func TestProgramsFollowTheTables(t *testing.T) {
	s := newService(t, Wasm2Go)
	one := map[string]string{"m.js": `import { v } from "./v.js"; export const f = () => ({body: v})`, "v.js": `export const v = 1`}
	two := map[string]string{"m.js": one["m.js"], "v.js": `export const v = 2`}
	for i := range 6 {
		src, want := one, "1"
		if i%2 == 1 {
			src, want = two, "2"
		}
		s.deploy(src, "GET /x m.js f")
		if got := s.do("GET", "/x", ""); got.Body != want {
			t.Fatal(i, got)
		}
	}
	s.tx.Delete(tables.Modules, []byte("/v.js"))
	if got := s.do("GET", "/x", ""); !strings.Contains(got.Body, "Failed to resolve dependencies") {
		t.Fatal(got)
	}
	s.deploy(one, "GET /x m.js f")
	if got := s.do("GET", "/x", ""); got.Body != "1" {
		t.Fatal(got)
	}
}

func TestJobsDoNotOutliveTheirRequest(t *testing.T) {
	s := newService(t, Wasm2Go)
	s.deploy(map[string]string{"m.js": `export function leave() { Promise.resolve().then(() => { ccf.kv["public:t"].set(ccf.strToBuf("k"), ccf.strToBuf("v")) }); return {} }
export async function wait() { await null; return {body: ccf.kv["public:t"].size} }`}, "POST /leave m.js leave "+reuse("k"), "POST /wait m.js wait "+reuse("k"))
	s.do("POST", "/leave", "")
	if got := s.do("POST", "/wait", ""); got.Body != "0" {
		t.Fatal(got)
	}
}

func TestManyAtOnce(t *testing.T) {
	s := newService(t, Wasm2Go)
	s.deploy(map[string]string{"m.js": `let n = 0; export function f(r) { n++; let s = 0; for (let i = 0; i < 20000; i++) s += i; return { body: r.body.text() + n } }
export function g(r) { globalThis.n = (globalThis.n ?? 0) + 1; return { body: r.body.text() } }`}, "POST /f m.js f", "POST /g m.js g "+reuse("k"))
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			me := &service{t: t, eng: s.eng, app: s.app, tx: &fakeTx{maps: s.tx.maps, versions: s.tx.versions, at: s.tx.at}, log: s.log}
			for i := range 20 {
				body := fmt.Sprintf("%d-%d-", w, i)
				if got := me.do("POST", "/f", body); got.Body != body+"1" {
					t.Errorf("%v", got)
				}
				if got := me.do("POST", "/g", body); got.Body != body {
					t.Errorf("%v", got)
				}
			}
		})
	}
	wg.Wait()
}
