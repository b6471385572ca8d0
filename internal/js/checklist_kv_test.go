package js

import (
	"fmt"
	"strings"
	"testing"
)

// kvTables are one table of each kind and what each context may do with it
// (CCF: src/js/permissions_checks.h, src/js/test/js.cpp).
var kvTables = []struct {
	name   string
	rights map[Access]permission
}{
	{"public:ccf.internal.x", map[Access]permission{AppReadWrite: permitRead, AppReadOnly: permitRead, GovReadOnly: permitRead, GovReadWrite: permitRead}},
	{"ccf.internal.x", nil},
	{"public:ccf.gov.x", map[Access]permission{AppReadWrite: permitRead, AppReadOnly: permitRead, GovReadOnly: permitRead, GovReadWrite: permitBoth}},
	{"ccf.gov.x", nil},
	{"public:app", map[Access]permission{AppReadWrite: permitBoth, AppReadOnly: permitRead, GovReadWrite: permitWrite}},
	{"app", map[Access]permission{AppReadWrite: permitBoth, AppReadOnly: permitRead}},
}

// kvProbe calls every method on a table and returns what each said.
const kvProbe = `function probe(name) {
  const m = ccf.kv[name], k = ccf.strToBuf("k"), out = {};
  const calls = { has: () => m.has(k), get: () => ccf.bufToStr(m.get(k)), getVersionOfPreviousWrite: () => m.getVersionOfPreviousWrite(k),
    size: () => m.size, forEach: () => { m.forEach((v, k) => { out.seen = ccf.bufToStr(k) }); return out.seen },
    set: () => m.set(ccf.strToBuf("new"), k) === m, delete: () => typeof m.delete(k), clear: () => typeof m.clear() };
  for (const c in calls) { try { out[c] = calls[c]() } catch (e) { out[c] = String(e) } }
  return out;
}
`

// probed is what kvProbe says when all goes as the rights say.
func probed(name string, p permission, a Access) string {
	var s strings.Builder
	s.WriteString("{")
	if p&permitRead != 0 {
		s.WriteString(`"seen":"k",`)
	}
	for i, m := range []struct {
		method, result string
		need           permission
	}{
		{"has", "true", permitRead},
		{"get", `"v"`, permitRead},
		{"getVersionOfPreviousWrite", "10", permitRead},
		{"size", "1", permitRead},
		{"forEach", `"k"`, permitRead},
		{"set", "true", permitWrite},
		{"delete", `"undefined"`, permitWrite},
		{"clear", `"undefined"`, permitWrite},
	} {
		if i > 0 {
			s.WriteString(",")
		}
		if p&m.need == 0 {
			m.result = fmt.Sprintf("%q", "TypeError: "+deniedText(m.method, name, p, a, "See "+restrictionsPage+" for more detail."))
		}
		fmt.Fprintf(&s, "%q:%s", m.method, m.result)
	}
	return sortedSeen(s.String() + "}")
}

// sortedSeen moves "seen", which the probe adds on its way, to its place.
func sortedSeen(s string) string {
	const seen = `"seen":"k",`
	if !strings.Contains(s, seen) {
		return s
	}
	s = strings.Replace(s, seen, "", 1)
	return strings.Replace(s, `"forEach":"k"`, seen+`"forEach":"k"`, 1)
}

func prepareTables(p *pair) {
	for _, s := range p.both {
		s.tx.at.SeqNo = 10
		for _, table := range kvTables {
			s.tx.Clear(table.name)
			s.tx.Put(table.name, []byte("k"), []byte("v"))
		}
	}
}

// unchanged fails if a table that may not be written was.
func unchanged(t *testing.T, p *pair, name string, right permission) {
	t.Helper()
	for _, s := range p.both {
		if v, ok := s.tx.Get(name, []byte("k")); right&permitWrite == 0 && (!ok || string(v) != "v" || s.tx.Len(name) != 1) {
			t.Errorf("%s was changed", name)
		}
	}
}

var kvChecks = checks{
	"KV/permissions matrix": func(t *testing.T, p *pair) {
		const f = "export function f(r) { return { body: probe(r.body.text()) } }"
		p.deploy(map[string]string{"m.js": kvProbe + f}, `POST /rw m.js f`, `POST /ro m.js f {"mode":"readonly"}`, `POST /historical m.js f {"mode":"historical"}`)
		for _, table := range kvTables {
			for path, a := range map[string]Access{"/rw": AppReadWrite, "/ro": AppReadOnly, "/historical": AppReadOnly} {
				prepareTables(p)
				if got, want := p.do("POST", path, table.name).Body, probed(table.name, table.rights[a], a); got != want {
					t.Errorf("%s %s\ngot  %s\nwant %s", path, table.name, got, want)
				}
				unchanged(t, p, table.name, table.rights[a])
			}
			for _, a := range []Access{GovReadOnly, GovReadWrite} {
				prepareTables(p)
				got, x := p.gov(a, kvProbe+"export function f(name) { return probe(name) }", table.name)
				if want := probed(table.name, table.rights[a], a); x != nil || got != want {
					t.Errorf("%s %s\ngot  %s\nwant %s (%v)", a, table.name, got, want, x)
				}
				unchanged(t, p, table.name, table.rights[a])
			}
		}
		for _, reserved := range []string{"public:ccf.other", "ccf.other"} {
			if got := p.do("POST", "/rw", reserved).Body; strings.Count(got, "This table is inaccessible") != 8 {
				t.Error(reserved, got)
			}
		}
	},
	"KV/set chaining": func(_ *testing.T, p *pair) {
		p.deploy(map[string]string{"m.js": `const b = ccf.strToBuf; export function f() { const m = ccf.kv.t; return { body: m.set(b("1"), b("a")).set(b("2"), b("b")).set(b("1"), b("c")) === m && m.size === 2 && ccf.bufToStr(m.get(b("1"))) } }`}, "POST /x m.js f")
		p.want("/x", "c")
	},
	"KV/empty key": func(_ *testing.T, p *pair) {
		p.deploy(map[string]string{"m.js": `export function f() { const m = ccf.kv.t, k = new ArrayBuffer(0); const before = [m.has(k), m.get(k)]; m.set(k, k); const during = [m.has(k), m.get(k).byteLength, m.size]; m.delete(k); return { body: [before, during, m.has(k)] } }`}, "POST /x m.js f")
		p.want("/x", "[[false,null],[true,0,1],false]")
	},
	"KV/getVersionOfPreviousWrite monotone and per key": func(t *testing.T, p *pair) {
		p.deploy(map[string]string{"m.js": `const b = ccf.strToBuf; export function f(r) { const m = ccf.kv["public:t"]; if (r.query) m.set(b(r.query), b("v")); return {} }
			export function g() { const m = ccf.kv["public:t"]; return { body: ["a", "b", "c"].map((k) => m.getVersionOfPreviousWrite(b(k)) ?? null) } }`}, "POST /f m.js f", "POST /g m.js g")
		at := func() (at [2]int) {
			var c any
			if _, err := fmt.Sscanf(p.do("POST", "/g", "").Body, "[%d,%d,", &at[0], &at[1]); err != nil {
				t.Fatal(err, c)
			}
			return at
		}
		p.want("/g", "[null,null,null]")
		p.do("POST", "/f?a", "")
		p.do("POST", "/f?b", "")
		first := at()
		p.do("POST", "/f?a", "")
		second := at()
		if first[0] >= first[1] || second[0] <= first[1] || second[1] != first[1] {
			t.Error(first, second)
		}
	},
	"KV/forEach arguments": func(_ *testing.T, p *pair) {
		p.deploy(map[string]string{"m.js": `const b = ccf.strToBuf, s = ccf.bufToStr; export function f() { const m = ccf.kv.t; m.clear(); m.set(b("k1"), b("v1")).set(b("k2"), b("v2")); const out = [];
			m.forEach((...a) => { out.push(a.length, s(a[0]), s(a[1]), a[2] === m) }); try { m.forEach(() => { throw new RangeError("stop") }) } catch (e) { out.push(String(e)) } return { body: out } }`}, "POST /x m.js f")
		p.want("/x", `[3,"v1","k1",true,3,"v2","k2",true,"RangeError: stop"]`)
	},
	"KV/size getter": func(_ *testing.T, p *pair) {
		p.deploy(map[string]string{"m.js": `export function f() { const m = ccf.kv.t, b = ccf.strToBuf; m.clear(); const n = [m.size]; m.set(b("x"), b("")); n.push(m.size, typeof m.size); m.delete(b("x")); n.push(m.size); return { body: n } }`}, "POST /x m.js f")
		p.want("/x", `[0,1,"number",0]`)
	},
	"KV/readonly set throws": func(t *testing.T, p *pair) {
		p.options(detailed)
		p.deploy(map[string]string{"m.js": `export function f() { ccf.kv.t.set(ccf.strToBuf("k"), ccf.strToBuf("v")); return {} }`}, `POST /x m.js f {"mode":"readonly"}`)
		got := p.do("POST", "/x", "")
		if got.Status != 500 || !strings.Contains(got.Body, `Cannot call \"set\" on table named t. This table is read-only in current (read-only application) execution context.`) || p.both[0].tx.Len("t") != 0 {
			t.Error(got)
		}
	},
	"rpc/apply-writes matrix": func(t *testing.T, p *pair) {
		p.deploy(map[string]string{"m.js": `export function f(r) { const { status, apply } = r.body.json(); if (apply !== undefined) ccf.rpc.setApplyWrites(apply); return { statusCode: status } }`}, "POST /x m.js f")
		for _, status := range []int{200, 202, 204, 302, 400, 404, 500} {
			for choice, want := range map[string]bool{"": status < 300, `,"apply":true`: true, `,"apply":1`: true, `,"apply":false`: false, `,"apply":0`: false, `,"apply":null`: false} {
				if got := p.do("POST", "/x", fmt.Sprintf(`{"status":%d%s}`, status, choice)); got.Applies != want || got.Status != status {
					t.Error(status, choice, got)
				}
			}
		}
	},
}
