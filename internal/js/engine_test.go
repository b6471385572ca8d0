package js

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// backends are what every test of behaviour runs on.
var backends = []Backend{Wasm2Go, Wazero}

func newTestEngine(t testing.TB, b Backend) *Engine {
	t.Helper()
	e, err := NewEngine(Config{Backend: b})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// patient are the default limits, for tests of the others: a busy machine takes
// longer to fill the memory than scripts may run.
func patient() Limits {
	l := DefaultLimits()
	l.Execution = 5 * time.Minute
	return l
}

func TestCallGov(t *testing.T) {
	for _, b := range backends {
		t.Run(string(b), func(t *testing.T) {
			e := newTestEngine(t, b)
			for _, tc := range []struct {
				name, source, want, reason string
				trace                      string
			}{
				{name: "sum", source: `export function f(a, b) { return {sum: a.x + b} }`, want: `{"sum":3}`},
				{name: "nothing", source: `export function f() {}`, want: ``},
				{name: "async", source: `export async function f(a) { await null; return a.x }`, want: `1`},
				{name: "throws", source: "export function f() {\n  throw new Error('boom: ' + 42) }", reason: "Error: boom: 42", trace: "    at f (m.js:2)\n"},
				{name: "throws an object", source: "export function f() { throw {a: 1} }", reason: `{"a":1}`},
				{name: "throws text", source: "export function f() { throw 'x' }", reason: `x`},
				{name: "native frame", source: "export function f() { JSON.parse('{') }", reason: "SyntaxError: ", trace: "    at <input>:1\n    at parse (native)\n    at f (m.js:1)\n"},
				{name: "recursion", source: "export function f() { f() }", reason: reasonStackOverflow},
				{name: "memory", source: "export function f() { const a = []; for (;;) a.push(new Array(1000).fill(1)) }", reason: reasonOutOfMemory},
				{name: "missing", source: "export function g() { }", reason: "Failed to find export 'f' in module 'm.js'"},
				{name: "no function", source: "export const f = 1", reason: "Export 'f' of module 'm.js' is not a function"},
				{name: "syntax", source: "export function", reason: "Failed to compile module 'm.js': SyntaxError"},
				{name: "import", source: "import 'x.js'; export function f() {}", reason: "Failed to resolve dependencies for module 'm.js': ReferenceError: could not load module '/x.js'"},
			} {
				t.Run(tc.name, func(t *testing.T) {
					out, err := e.CallGov(t.Context(), GovCall{Module: "m.js", Source: tc.source, Function: "f", Args: []any{map[string]int{"x": 1}, 2}, Limits: patient()})
					var x *Exception
					if errors.As(err, &x) {
						if tc.reason == "" || !strings.HasPrefix(x.Reason, tc.reason) || !strings.HasPrefix(x.Trace, tc.trace) {
							t.Fatalf("got %q\n%q", x.Reason, x.Trace)
						}
						return
					}
					if err != nil || tc.reason != "" {
						t.Fatalf("got %s, %v", out, err)
					}
					if string(out) != tc.want {
						t.Fatalf("got %s, want %s", out, tc.want)
					}
				})
			}
		})
	}
}
