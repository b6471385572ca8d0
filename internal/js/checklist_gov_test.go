package js

import (
	"fmt"
	"strings"
	"testing"
)

// constitutionOf is a constitution whose functions take the given arguments.
func constitutionOf(validate, resolve, apply string) string {
	var s strings.Builder
	for name, args := range map[string]string{"validate": validate, "resolve": resolve, "apply": apply} {
		if args != "absent" {
			fmt.Fprintf(&s, "export function %s(%s) {}\n", name, args)
		}
	}
	return s.String()
}

var governanceChecks = checks{
	"Governance/validateConstitution cases of CCF: src/js/test/js.cpp": func(t *testing.T, p *pair) {
		const r3, r4, a2 = "proposal, proposerId, votes", "proposal, proposerId, votes, proposalId", "proposal, proposerId"
		quoted := func(s string) string { return fmt.Sprintf("%q", s) }
		cases := []struct{ constitution, want string }{
			{"1", "not a string"},
			{"1 + 2", "not a string"},
			{"{}", "not a string"},
			{"true", "not a string"},
			{"null", "not a string"},
			{`""`, "empty"},
			{"``", "empty"},
			{"`this is not syntactically valid JavaScript`", "Failed to compile"},
			{quoted(constitutionOf("absent", r3, a2)), "Failed to find export 'validate'"},
			{quoted(constitutionOf("input", "absent", a2)), "Failed to find export 'resolve'"},
			{quoted(constitutionOf("input", r3, "absent")), "Failed to find export 'apply'"},
			{quoted(constitutionOf("input", r3, a2)), ""},
			{quoted(constitutionOf("input", r4, a2)), ""},
			{quoted(constitutionOf("input", r3, a2) + "globalThis.ccf.kv; console.log(1)"), ""},
			{quoted(constitutionOf("", r3, a2)), "validate with 0 args, expected 1 arg"},
			{quoted(constitutionOf("a, b", r3, a2)), "validate with 2 args, expected 1 arg"},
			{quoted(constitutionOf("input", "a, b", a2)), "resolve with 2 args, expected between 3 and 4 args"},
			{quoted(constitutionOf("input", "a, b, c, d, e", a2)), "resolve with 5 args, expected between 3 and 4 args"},
			{quoted(constitutionOf("input", r3, "a")), "apply with 1 arg, expected 2 args"},
			{quoted(constitutionOf("input", r3, "a, b, c")), "apply with 3 args, expected 2 args"},
		}
		for _, c := range cases {
			out, x := p.gov(GovReadOnly, "export function f() { return ccf.gov.validateConstitution("+c.constitution+") }")
			switch {
			case c.want == "" && (x != nil || out != "true"):
				t.Errorf("%s: %s %v", c.constitution, out, x)
			case c.want != "" && (x == nil || !strings.HasPrefix(x.Reason, "TypeError: ") || !strings.Contains(x.Reason, c.want)):
				t.Errorf("%s: %v, want %s", c.constitution, x, c.want)
			}
		}
	},
	"Governance/ballots in own interpreter": func(t *testing.T, p *pair) {
		const ballot = `globalThis.n = (globalThis.n ?? 0) + 1; Array.prototype.x = (Array.prototype.x ?? 0) + 1; export function f() { n += 10; return [n, [].x] }`
		for range 3 {
			if got, x := p.gov(GovReadOnly, ballot); got != "[11,1]" || x != nil {
				t.Error(got, x)
			}
		}
	},
	"Governance/failures carry reason and trace": func(t *testing.T, p *pair) {
		_, x := p.gov(GovReadWrite, "function deep() {\n  throw new Error('no: ' + 42);\n}\nexport function f() { deep() }")
		const trace = "    at deep (public:ccf.gov.constitution[0]:2)\n    at f (public:ccf.gov.constitution[0]:4)\n"
		if x == nil || x.Reason != "Error: no: 42" || x.Trace != trace {
			t.Errorf("%+v", x)
		}
	},
	"Governance/limits not below defaults": func(t *testing.T, p *pair) {
		const source = `export function f() { return new Uint8Array(50 << 20).length }`
		for _, s := range p.both {
			for _, l := range []Limits{{}, {HeapBytes: 100, StackBytes: 100, Execution: 1}, {HeapBytes: 200 << 20, StackBytes: 2 << 20, Execution: DefaultLimits().Execution * 2}} {
				if out, err := s.eng.CallGov(t.Context(), GovCall{Module: "m", Source: source, Function: "f", Tx: s.tx, Limits: l}); err != nil || string(out) != "52428800" {
					t.Error(l, string(out), err)
				}
			}
		}
	},
	"Governance/app-table write from apply allowed, read refused": func(t *testing.T, p *pair) {
		got, x := p.gov(GovReadWrite, `export function f() { const m = ccf.kv["public:app"], k = ccf.strToBuf("k"); m.set(k, k); try { m.get(k) } catch (e) { return String(e) } }`)
		if x != nil || !strings.Contains(got, `This table is write-only in current (read-write governance) execution context. See `+restrictionsPage) || p.both[1].tx.Len("public:app") != 1 {
			t.Error(got, x)
		}
	},
	"Historical/write attempts throw": func(t *testing.T, p *pair) {
		p.deploy(map[string]string{"m.js": `const b = ccf.strToBuf; export function f() { const s = ccf.historicalState.kv, out = []; for (const a of [() => ccf.kv["public:t"].set(b("k"), b("k")), () => s.t.set(b("k"), b("k")), () => s["public:t"].delete(b("k")), () => s.t.clear(), () => s["public:ccf.gov.x"].size, () => s["ccf.gov.x"].size, () => s.t.size]) { try { out.push(a()) } catch (e) { out.push(String(e)) } } return { body: out } }`}, `POST /x m.js f {"mode":"historical"}`)
		const only = ` This table is read-only in current (read-only application) execution context. All tables are read-only during historical transaction.`
		want := `["TypeError: Cannot call \"set\" on table named public:t. This table is read-only in current (read-only application) execution context. See ` + restrictionsPage + ` for more detail.",` +
			`"TypeError: Cannot call \"set\" on table named t.` + only + `","TypeError: Cannot call \"delete\" on table named public:t.` + only + `","TypeError: Cannot call \"clear\" on table named t.` + only +
			`",1,"TypeError: Cannot call \"size\" on table named ccf.gov.x. This table is inaccessible in current (read-only application) execution context. See ` + restrictionsPage + ` for more detail.",1]`
		if got := p.do("POST", "/x", ""); got.Body != want {
			t.Errorf("%s\nwant %s", got.Body, want)
		}
	},
	"Historical/historicalState receipt verifies": func(t *testing.T, p *pair) {
		p.deploy(map[string]string{"m.js": `export function f(r) { const s = r.query ? ccf.historical.getStateRange(1, 7, 7, 1)[0] : ccf.historicalState; const a = s.receipt; delete a.leaf_components?.claims_digest; return { body: [s.transactionId, a === s.receipt, s.receipt, Object.keys(s)] } }`}, `POST /x m.js f {"mode":"historical"}`)
		if got := p.do("POST", "/x", "").Body; got != `["2.3",true,{"signature":"s","cert":"C","node_id":"n","is_signature_transaction":false,"leaf_components":{"write_set_digest":"wsd","commit_evidence":"ce"},"proof":[{"left":"l"}]},["transactionId","receipt","kv"]]` {
			t.Error(got)
		}
		if got := p.do("POST", "/x?signature", "").Body; got != `["2.7",true,{"signature":"s","cert":"","node_id":"n","is_signature_transaction":true,"root_hex":"root"},["transactionId","receipt","kv"]]` {
			t.Error(got)
		}
	},
	"Historical/range API null → array": func(t *testing.T, p *pair) {
		p.deploy(map[string]string{"m.js": `export function f() { const r = ccf.historical.getStateRange; const m = r(1, 2, 5, 10).map((s) => { let seen = ""; s.kv.t.forEach((v, k, h) => { seen += ccf.bufToStr(k) + ccf.bufToStr(v) + h.size }); return seen + s.kv.t.has(ccf.strToBuf("x")) + s.kv.t.getVersionOfPreviousWrite(ccf.strToBuf("k")) }); return { body: [r(99, 1, 2, 3), m] } }`}, `POST /x m.js f`)
		if got := p.do("POST", "/x", "").Body; got != `[null,["k2.21false2","k2.31false3","k2.41false4","k2.51false5"]]` {
			t.Error(got)
		}
	},
}
