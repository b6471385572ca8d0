package js

import (
	"strings"
	"testing"

	"synod/internal/tables"
)

const extremesModule = `
function recurse(n) { return n === 0 ? 0 : 1 + recurse(n - 1) }
export function recursive(r) { return { body: recurse(Number(r.query)) } }
export function alloc(r) { return { body: new Uint8Array(Number(r.query)).length } }
export function sleep(r) { const until = Date.now() + Number(r.query); try { while (Date.now() < until); } catch (e) { return { body: "caught" } } return { body: "slept" } }
export function spin() { try { for (;;); } catch (e) { return { body: "caught" } } finally { for (;;); } }
export function caught() { try { (function f() { f() })() } catch (e) { try { const a = []; for (;;) a.push(new Uint8Array(1 << 20)) } catch (m) { return { body: [e instanceof RangeError || e instanceof InternalError, String(m)] } } } }
`

func limitsApp(p *pair) {
	p.realTime()
	p.deploy(map[string]string{"m.js": extremesModule}, "POST /recursive m.js recursive", "POST /alloc m.js alloc", "POST /sleep m.js sleep", "POST /spin m.js spin", "POST /caught m.js caught")
}

// refused fails unless both engines answer with one of the fixed texts.
func refused(t *testing.T, p *pair, path, message, reason string) {
	t.Helper()
	for _, s := range p.both {
		got := s.do("POST", path, "")
		if got.Status != 500 || !strings.Contains(got.Body, message) || !strings.Contains(got.Body, reason) {
			t.Errorf("%s: %+v, want %s %s", path, got, message, reason)
		}
	}
}

var errorChecks = checks{
	"Errors/trace text exact": func(t *testing.T, p *pair) {
		p.options(detailed)
		p.deploy(map[string]string{"endpoints/rpc.js": strings.Repeat("\n", 24) + `export function throwError(r) {
  const nested = (n) => {
    const e = new Error('test error: ' + n); globalThis.seen = e.stack; if (r.query) return { body: e.stack }; throw e;
  };
  return nested(42);
}
export function anonymous() { return { body: [1].map(() => new Error("x").stack)[0] } }
export function own() { const e = new Error("x"); e.stack = "mine"; throw e }
export function parse() { try { JSON.parse("{") } catch (e) { return { body: e.stack } } }
export const none = () => { throw { no: "stack" } }`}, "POST /x endpoints/rpc.js throwError", "POST /anonymous endpoints/rpc.js anonymous",
			"POST /own endpoints/rpc.js own", "POST /none endpoints/rpc.js none", "POST /parse endpoints/rpc.js parse")
		const trace = "    at nested (/endpoints/rpc.js:27)\n    at throwError (/endpoints/rpc.js:29)\n"
		p.want("/x?1", trace)
		p.want("/anonymous", "    at <anonymous> (/endpoints/rpc.js:31)\n    at map (native)\n    at anonymous (/endpoints/rpc.js:31)\n")
		p.want("/parse", "    at <input>:1\n    at parse (native)\n    at parse (/endpoints/rpc.js:33)\n")
		for path, detail := range map[string]string{
			"/x":    `{"code":"JSException","message":"Error: test error: 42","trace":"` + strings.ReplaceAll(trace, "\n", `\n`) + `"}`,
			"/own":  `{"code":"JSException","message":"Error: x","trace":"mine"}`,
			"/none": `{"code":"JSException","message":"{\"no\":\"stack\"}"}`,
		} {
			if got := p.do("POST", path, ""); got.Body != `{"error":{"code":"InternalError","details":[`+detail+`],"message":"Exception thrown while executing."}}` {
				t.Error(got.Body)
			}
		}
	},
	"Errors/details only with option": func(t *testing.T, p *pair) {
		p.deploy(map[string]string{"m.js": `export function f() { throw new Error("secret") }`}, "POST /x m.js f")
		for options, shown := range map[string][2]bool{`{}`: {}, detailed: {true, false}, `{"log_exception_details": true}`: {false, true}} {
			p.options(options)
			before := strings.Count(p.both[0].log.buf.String(), "Error: secret")
			got := p.do("POST", "/x", "")
			logged := strings.Count(p.both[0].log.buf.String(), "Error: secret") > before
			if strings.Contains(got.Body, "details") != shown[0] || strings.Contains(got.Body, "secret") != shown[0] || logged != shown[1] {
				t.Error(options, got, logged)
			}
		}
	},
	"Limits/stack, heap, time, extreme values": func(t *testing.T, p *pair) {
		limitsApp(p)
		p.options(`{"return_exception_details":true,"max_heap_bytes":104857600,"max_stack_bytes":524288,"max_execution_time_ms":300000}`)
		p.want("/recursive?50", "50")
		refused(t, p, "/recursive?8192", messageThrown, reasonStackOverflow)
		refused(t, p, "/alloc?524288000", messageThrown, reasonOutOfMemory)
		p.want("/caught", `[true,"InternalError: out of memory"]`)
		p.options(`{"return_exception_details":true,"max_heap_bytes":3145728,"max_stack_bytes":1048576,"max_execution_time_ms":300000}`)
		refused(t, p, "/alloc?5242880", messageThrown, reasonOutOfMemory)
		p.options(`{"return_exception_details":true,"max_heap_bytes":104857600,"max_stack_bytes":1048576,"max_execution_time_ms":30}`)
		refused(t, p, "/sleep?5000", messageTimeout, reasonInterrupted)
		refused(t, p, "/spin", messageTimeout, reasonInterrupted)
		const most = "18446744073709551615"
		for options, want := range map[string][2]string{
			`"max_heap_bytes":100,"max_stack_bytes":1048576,"max_execution_time_ms":300000`:   {messageThrown, reasonOutOfMemory},
			`"max_heap_bytes":0,"max_stack_bytes":1048576,"max_execution_time_ms":300000`:     {messageThrown, reasonOutOfMemory},
			`"max_heap_bytes":104857600,"max_stack_bytes":100,"max_execution_time_ms":300000`: {messageThrown, reasonStackOverflow},
			`"max_heap_bytes":104857600,"max_stack_bytes":0,"max_execution_time_ms":300000`:   {messageThrown, reasonStackOverflow},
			`"max_heap_bytes":104857600,"max_stack_bytes":1048576,"max_execution_time_ms":0`:  {messageTimeout, reasonInterrupted},
		} {
			p.options(`{"return_exception_details":true,` + options + `}`)
			refused(t, p, "/recursive?1", want[0], want[1])
		}
		p.options(`{"max_heap_bytes":` + most + `,"max_stack_bytes":` + most + `,"max_execution_time_ms":` + most + `,"max_cached_interpreters":` + most + `}`)
		p.want("/recursive?50", "50")
	},
	"Limits/recovery afterwards with default limits": func(t *testing.T, p *pair) {
		limitsApp(p)
		for _, options := range []string{
			`{"max_heap_bytes":100,"max_stack_bytes":100,"max_execution_time_ms":0}`, `{"max_heap_bytes":3145728,"max_stack_bytes":65536,"max_execution_time_ms":20}`,
		} {
			p.options(options)
			for _, path := range []string{"/recursive?100000", "/alloc?524288000", "/spin"} {
				refused(t, p, path, `"InternalError"`, "")
			}
			for _, s := range p.both {
				s.tx.Clear(tables.JSRuntime)
			}
			p.want("/recursive?1000", "1000")
			p.want("/alloc?1000000", "1000000")
			for _, s := range p.both { // the clock moves: memories differ
				if got := s.do("POST", "/sleep?1", ""); got.Body != "slept" {
					t.Error(got)
				}
			}
		}
	},
}
