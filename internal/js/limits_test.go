package js

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const limitsModule = `
export function recursive(r) { recurse(r.body.json().depth); return {} }
function recurse(n) { if (n > 0) recurse(n - 1) }
export function alloc(r) { new Uint8Array(r.body.json().size); return {} }
export function sleep(r) { const start = new Date(); const time = r.body.json().time; for (;;) { if (new Date() - start > time) break } return {} }
export function spin() { for (;;) {} }
export function catching() { try { for (;;) {} } catch { return {body: "caught"} } finally { return {body: "finally"} } }
export function regexp() { return {body: /^(a+)+$/.test("a".repeat(40) + "b")} }
export function caught(r) { let deep = 0; const f = () => { deep++; f() }; try { f() } catch (e) { return {body: (e instanceof RangeError) + " " + (deep > 100)} } }
export function grow() { let s = "x"; for (;;) s += s + Math.random() }
export function nested() { return {body: JSON.parse("[".repeat(100000))} }
export function nestedOK() { let s = []; for (let i = 0; i < 20000; i++) s = [s]; return {body: String(JSON.stringify(s).length)} }
export function ok() { return {body: "ok"} }
export function toJSON() { return {body: {toJSON() { for (;;) {} }}} }
export async function async() { for (;;) await null }
`

func limitsService(t *testing.T, s *service) {
	t.Helper()
	var endpoints []string
	for _, f := range []string{"recursive", "alloc", "sleep", "spin", "catching", "regexp", "caught", "grow", "nested", "nestedOK", "ok", "toJSON", "async"} {
		endpoints = append(endpoints, fmt.Sprintf("POST /%s l.js %s", f, f))
	}
	s.deploy(map[string]string{"l.js": limitsModule}, endpoints...)
}

func limitOptions(heap, stack int64, ms int) string {
	return fmt.Sprintf(`{"return_exception_details":true,"max_heap_bytes":%d,"max_stack_bytes":%d,"max_execution_time_ms":%d}`, heap, stack, ms)
}

// TestLimits goes through what CCF's end-to-end test of the limits asks.
func TestLimits(t *testing.T) {
	const heap, stack, ms = 100 << 20, 1 << 20, 1000
	onBackends(t, func(t *testing.T, s *service) {
		limitsService(t, s)
		thrown := func(reason string) string {
			return `{"error":{"code":"InternalError","details":[{"code":"JSException","message":"` + reason + `"`
		}
		const interrupted, stacked, memory = reasonInterrupted, reasonStackOverflow, reasonOutOfMemory
		for _, tc := range []struct {
			options, path, body string
			status              int
			want, message       string
		}{
			{limitOptions(heap, stack, ms), "/recursive", `{"depth":1000}`, 200, "", ""},
			{limitOptions(heap, 512<<10, ms), "/recursive", `{"depth":1}`, 200, "", ""},
			{limitOptions(heap, 512<<10, ms), "/recursive", `{"depth":8192}`, 500, thrown(stacked), messageThrown},
			{limitOptions(heap, 100, ms), "/recursive", `{"depth":1}`, 500, thrown(stacked), messageThrown},
			{limitOptions(heap, 0, ms), "/recursive", `{"depth":1}`, 500, thrown(stacked), messageThrown},
			{limitOptions(heap, 1<<60, ms), "/recursive", `{"depth":1000000}`, 500, thrown(stacked), messageThrown},
			{limitOptions(heap, stack, ms), "/alloc", `{"size":5242880}`, 200, "", ""},
			{limitOptions(3<<20, stack, ms), "/alloc", `{"size":5242880}`, 500, thrown(memory), messageThrown},
			{limitOptions(heap, stack, ms), "/alloc", `{"size":524288000}`, 500, thrown(memory), messageThrown},
			{limitOptions(1<<62, stack, ms), "/alloc", `{"size":2000000000}`, 500, thrown(memory), messageThrown},
			{limitOptions(100, stack, ms), "/alloc", `{"size":1}`, 500, thrown(memory), messageThrown},
			{limitOptions(0, stack, ms), "/alloc", `{"size":1}`, 500, thrown(memory), messageThrown},
			{limitOptions(heap, stack, 30), "/sleep", `{"time":50}`, 500, thrown(interrupted), messageTimeout},
			{limitOptions(heap, stack, ms), "/sleep", `{"time":10}`, 200, "", ""},
			{limitOptions(heap, stack, 0), "/sleep", `{"time":10}`, 500, thrown(interrupted), messageTimeout},
			{limitOptions(heap, stack, 30), "/spin", ``, 500, thrown(interrupted), messageTimeout},
			{limitOptions(heap, stack, 30), "/catching", ``, 500, thrown(interrupted), messageTimeout},
			{limitOptions(heap, stack, 30), "/regexp", ``, 500, thrown(interrupted), messageTimeout},
			{limitOptions(heap, stack, 30), "/toJSON", ``, 500, thrown(interrupted), messageTimeout},
			{limitOptions(heap, stack, 30), "/async", ``, 500, thrown(interrupted), messageTimeout},
			{limitOptions(heap, stack, ms), "/caught", ``, 200, "true true", ""},
			{limitOptions(heap, stack, 3000), "/grow", ``, 500, ``, messageThrown},
			{limitOptions(heap, stack, ms), "/nested", ``, 500, ``, messageThrown},
			{limitOptions(heap, stack, 60_000), "/nestedOK", ``, 200, "40002", ""},
			{limitOptions(1, 1, 1), "/ok", ``, 500, thrown(memory), messageThrown},
		} {
			t.Run(tc.path+tc.body+tc.options, func(t *testing.T) {
				s.options(tc.options)
				got := s.do("POST", tc.path, tc.body)
				if got.Status != tc.status || !strings.HasPrefix(got.Body, tc.want) || !strings.Contains(got.Body, tc.message) {
					t.Errorf("%d %.300s\nwant %s %s", got.Status, got.Body, tc.want, tc.message)
				}
				s.options(limitOptions(heap, stack, ms))
				if got := s.do("POST", "/ok", ""); got.Body != "ok" {
					t.Errorf("afterwards: %v", got)
				}
			})
		}
		// Every power of two works, or fails with a fixed text.
		for cap := int64(5 << 20); cap > 0; cap /= 2 {
			for _, o := range []string{limitOptions(cap, stack, ms), limitOptions(heap, cap, ms)} {
				s.options(o)
				for _, p := range []string{"/recursive", "/alloc"} {
					if got := s.do("POST", p, `{"depth":1,"size":1}`); got.Status != 200 && !strings.Contains(got.Body, messageThrown) {
						t.Errorf("%s %s: %v", o, p, got)
					}
				}
			}
		}
	})
}

func TestLoopAtTheTopLevelIsStopped(t *testing.T) {
	if testing.Short() {
		t.Skip("takes the time limit of 5 s")
	}
	s := newService(t, Wasm2Go)
	s.deploy(map[string]string{"m.js": `for (;;) {} export function f() {}`}, "GET /x m.js f")
	if got := s.do("GET", "/x", ""); !strings.Contains(got.Body, messageTimeout) {
		t.Fatal(got)
	}
}

// TestWatchdog stops a native function that never looks at the clock.
func TestWatchdog(t *testing.T) {
	s := newService(t, Wasm2Go)
	s.deploy(map[string]string{"m.js": `export function f() { const a = new Array(3000000).fill(0).map((_, i) => i * 7919 % 3000017); const at = Date.now(); a.sort(); return {body: Date.now() - at} }
export function g() { return {body: "ok"} }`}, "GET /x m.js f", "GET /g m.js g")
	s.options(limitOptions(500<<20, 1<<20, 600))
	start := time.Now()
	got := s.do("GET", "/x", "")
	t.Logf("%v after %v", got, time.Since(start))
	if !strings.Contains(got.Body, messageTimeout) || time.Since(start) > 5*time.Second {
		t.Fatal(got)
	}
	if got := s.do("GET", "/g", ""); got.Body != "ok" {
		t.Fatal(got)
	}
}

// slowTx takes its time to clear a table.
type slowTx struct {
	*fakeTx
	wait func()
}

func (t slowTx) Clear(table string) { t.wait(); t.fakeTx.Clear(table) }

// TestCompilingIsNoTimeOfTheScript: what the engine takes to compile modules
// for apply does not count toward its limit.
func TestCompilingIsNoTimeOfTheScript(t *testing.T) {
	s := newService(t, Wasm2Go)
	now := time.Now()
	s.eng.now = func() time.Time { return now }
	tx := slowTx{s.tx, func() { now = now.Add(2 * DefaultLimits().Execution) }}
	call := func(source string) error {
		_, err := s.eng.CallGov(t.Context(), GovCall{
			Module: "c", Source: "export function f() { " + source + "; for (let i = 0; i < 100000; i++); }", Function: "f", Access: GovReadWrite, Tx: tx,
		})
		return err
	}
	if err := call("ccf.refreshAppBytecodeCache()"); err != nil {
		t.Error(err)
	}
	if err := call(`ccf.kv["public:ccf.gov.x"].clear()`); err == nil || exceptionOf(t, err) == nil || !exceptionOf(t, err).Timeout {
		t.Errorf("a script's own time: %v", err)
	}
}
