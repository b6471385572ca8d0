package js

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// library is a module of functions, of about this many bytes.
func library(size int) string {
	var s strings.Builder
	for i := 0; s.Len() < size; i++ {
		fmt.Fprintf(&s, "function helper%d(collection, iteratee, accumulator) { let index = -1; const length = collection == null ? 0 : collection.length;"+
			" while (++index < length) { accumulator = iteratee(accumulator, collection[index], index, collection) } return accumulator }\n", i)
	}
	return s.String()
}

// TestLargeBundles deploys what is large: it is served, or refused in words,
// in bounded time.
func TestLargeBundles(t *testing.T) {
	const handler = "export const f = () => ({ body: 1 });"
	flat, chain := map[string]string{}, map[string]string{"m.js": `import "./c0.js";` + handler}
	var imports strings.Builder
	const modules = 10_000
	for i := range modules {
		flat[fmt.Sprintf("d%d/l%d.js", i%100, i)] = fmt.Sprintf("export const v = %d;", i)
		fmt.Fprintf(&imports, "import './d%d/l%d.js';", i%100, i)
		chain[fmt.Sprintf("c%d.js", i)] = fmt.Sprintf("import './c%d.js';", i+1)
	}
	flat["m.js"] = imports.String() + handler
	chain[fmt.Sprintf("c%d.js", modules)] = ""
	for name, tc := range map[string]struct {
		modules map[string]string
		want    string
	}{
		"10^4 modules":     {flat, "1"},
		"10^4 in a chain":  {chain, "Failed to resolve dependencies for module '/m.js': InternalError: stack overflow"},
		"a module of 5 MB": {map[string]string{"m.js": `import "./l.js";` + handler, "l.js": library(5 << 20)}, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, Wasm2Go)
			s.deploy(tc.modules, "POST /x m.js f")
			start := time.Now()
			_, err := s.eng.CallGov(t.Context(), GovCall{Module: "c", Source: `export function f() { ccf.refreshAppBytecodeCache() }`, Function: "f", Access: GovReadWrite, Tx: s.tx})
			if err != nil {
				t.Error(err)
			}
			compiled := time.Since(start)
			if got := s.do("POST", "/x", ""); !strings.Contains(got.Body, tc.want) {
				t.Error(got)
			}
			t.Logf("compiled in %v, served after %v", compiled, time.Since(start))
		})
	}
}

// TestTopLevelThatReadsTheNode: what a module reads when it is evaluated is
// read anew for each request.
func TestTopLevelThatReadsTheNode(t *testing.T) {
	onBackends(t, func(t *testing.T, s *service) {
		for name, source := range map[string]string{
			"kv": `ccf.kv["public:t"].has(ccf.strToBuf("k"))`, "rpc": `ccf.rpc.setApplyWrites(false)`, "consensus": `ccf.consensus.getLastCommittedTxId()`,
			"clock": `Date.now()`, "new Date": `new Date()`, "random": `Math.random()`, "console": `console.info("x")`, "key": `ccf.crypto.generateAesKey(128)`,
			"forEach": `ccf.kv["public:t"].forEach(() => {})`, "caught": `(() => { try { ccf.kv["public:t"].get() } catch {} })()`,
		} {
			s.deploy(map[string]string{"m.js": "import './d.js'; export const f = () => ({ body: globalThis.seen });", "d.js": "globalThis.seen = 1; " + source}, "POST /x m.js f")
			for range 2 {
				if got := s.do("POST", "/x", ""); got.Body != "1" || name == "rpc" && got.Applies {
					t.Error(name, got)
				}
			}
			p, err := s.app.Resolver().(*scriptApp).program(t.Context(), s.tx, "/m.js")
			if err != nil || p.pure {
				t.Errorf("%s: kept from before the request (%v)", name, err)
			}
		}
	})
}

// TestOneKeyIsNoLock: calls of one key run at the same time, each in an
// interpreter of its own.
func TestOneKeyIsNoLock(t *testing.T) {
	s := newService(t, Wasm2Go)
	s.deploy(map[string]string{"m.js": `export function f() { globalThis.calls = (globalThis.calls ?? 0) + 1; ccf.consensus.getLastCommittedTxId(); return { body: globalThis.calls } }`}, "POST /x m.js f "+reuse("k"))
	meet := meeting{fakeHost: fakeHost{}, both: make(chan struct{}), waiting: make(chan struct{}, 2)}
	s.app = NewApp(s.eng, meet, nil)
	other := *s
	other.tx = s.tx.copied()
	var wg sync.WaitGroup
	for _, x := range []*service{s, &other} {
		wg.Go(func() {
			if got, err := x.try("POST", "/x", ""); err != nil || got.Body != "1" {
				t.Error(got, err)
			}
		})
	}
	for range 2 {
		select {
		case <-meet.waiting:
		case <-time.After(10 * time.Second):
			t.Fatal("one call waits for the other")
		}
	}
	close(meet.both)
	wg.Wait()
	if got := s.do("POST", "/x", ""); got.Body != "2" {
		t.Error("a later call does not see what an earlier one left", got)
	}
}
