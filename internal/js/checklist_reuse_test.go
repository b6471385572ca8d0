package js

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var reuseChecks = checks{
	"Reuse/fib cache, keys, LRU cap": func(_ *testing.T, p *pair) {
		p.deploy(map[string]string{"fib.js": `export function fib(n) { return n <= 1 ? n : fib(n - 1) + fib(n - 2) }`, "m.js": `import { fib } from "./fib.js";
export function f(r) { const cache = (globalThis.cache ??= {}), n = r.body.text() || 12, cached = n in cache; cache[n] ??= fib(n); return { body: [cache[n], cached] } }`},
			"POST /none m.js f", "POST /a m.js f "+reuse("a"), "POST /b m.js f "+reuse("b"), "POST /c m.js f "+reuse("c"),
			`POST /ro m.js f {"interpreter_reuse":{"key":"a"},"mode":"readonly"}`)
		for range 2 {
			p.want("/none", "[144,false]")
		}
		p.want("/a", "[144,false]")
		p.want("/a", "[144,true]")
		p.want("/b", "[144,false]")
		p.want("/ro", "[144,false]") // the mode is part of the key
		p.want("/ro", "[144,true]")
		p.want("/a", "[144,true]")
		p.options(`{"max_cached_interpreters":2}`)
		for range 3 {
			for _, path := range []string{"/c", "/b", "/a"} {
				p.want(path, "[144,false]")
			}
		}
		p.options(`{"max_cached_interpreters":3}`)
		p.want("/c", "[144,false]")
		for range 2 {
			for _, path := range []string{"/c", "/b", "/a"} {
				p.want(path, "[144,true]")
			}
		}
		p.options(`{"max_cached_interpreters":0}`)
		p.want("/a", "[144,true]") // what is there may still be taken, but is not kept
		p.want("/a", "[144,false]")
	},
	"Reuse/DI sample faster": func(t *testing.T, p *pair) {
		// The constructor of the sample's service is slow; a container keeps
		// the instance for as long as the interpreter.
		p.deploy(map[string]string{"m.js": `class Container { #made = new Map(); get(C) { if (!this.#made.has(C)) this.#made.set(C, new C()); return this.#made.get(C) } }
class Slow { constructor() { let s = 0; for (let i = 0; i < 3e5; i++) s += i % 7; this.s = s } call() { return this.s } }
export function f() { globalThis.container ??= new Container(); return { body: container.get(Slow).call() } }`}, "POST /fresh m.js f", "POST /reuse m.js f "+reuse("k"))
		took := func(path string) time.Duration {
			start := time.Now()
			for range 3 {
				p.want(path, "899997")
			}
			return time.Since(start)
		}
		p.want("/reuse", "899997")
		fresh, reused := took("/fresh"), took("/reuse")
		if reused >= fresh {
			t.Errorf("fresh %v, reused %v", fresh, reused)
		}
	},
	"Reuse/handle caching": func(t *testing.T, p *pair) {
		p.deploy(map[string]string{"m.js": `const b = ccf.strToBuf;
export function f(r) { const first = !globalThis.h; globalThis.h ??= { kv: ccf.kv, map: ccf.kv["public:t"], rpc: ccf.rpc, consensus: ccf.consensus, historical: ccf.historical, body: r.body, set: ccf.kv["public:t"].set };
  h.set.call(h.map, b(h.body.text()), b("v")); h.rpc.setApplyWrites(false);
  return { body: [first, h.body.text(), h.map.size, h.kv["public:t"].size, h.consensus.getLastCommittedTxId().seqno, typeof h.historical.getStateRange] } }`}, "POST /x m.js f "+reuse("k"))
		for i, body := range []string{"one", "two", "three"} {
			want := fmt.Sprintf(`[%t,"%s",%d,%d,7,"function"]`, i == 0, body, i+1, i+1)
			if got := p.do("POST", "/x", body); got.Body != want || got.Applies {
				t.Errorf("got %+v, want %s", got, want)
			}
		}
	},
	"Time/random/no repeated randoms": func(t *testing.T, p *pair) {
		p.deploy(map[string]string{"m.js": `export const f = () => ({ body: Array.from({ length: 100 }, Math.random) })`}, "POST /x m.js f", "POST /reuse m.js f "+reuse("k"))
		for _, s := range p.both {
			s.eng.random = randomness{} // real randomness, not that of the other tests
		}
		seen := map[string]bool{}
		for range 5 {
			for _, path := range []string{"/x", "/reuse"} {
				for _, s := range p.both {
					for n := range strings.SplitSeq(strings.Trim(s.do("POST", path, "").Body, "[]"), ",") {
						if seen[n] {
							t.Fatalf("%s came twice", n)
						}
						seen[n] = true
					}
				}
			}
		}
	},
	"Time/random/metrics log line regexp": func(t *testing.T, p *pair) {
		p.deploy(map[string]string{"m.js": `export const f = (r) => ({ statusCode: 201 }); export function off() { ccf.enableMetricsLogging(false); return {} } export function bad() { throw 1 }`},
			"PUT /x/{id} m.js f", "POST /off m.js off", "POST /bad m.js bad")
		p.do("PUT", "/x/1", "")
		p.do("POST", "/off", "")
		p.do("POST", "/bad", "")
		for _, s := range p.both {
			all := metricsLine.FindAllStringSubmatch(s.log.buf.String(), -1)
			if len(all) != 1 || strings.Join(all[0][1:], " ") != "PUT /app/x/{id} 201 0" {
				t.Error(all)
			}
		}
	},
}
