package js

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"synod/app"
)

// checkLine is a line of the conformance checklist
// (javascript-apps.md, section 12) and where it is tested.
type checkLine struct{ section, line, where string }

// The places of lines. Others are "file: TestName", or begin with "later: "
// and say why the line cannot hold yet.
const (
	here   = "here"                         // checklistHere, on both back ends
	onNode = "../node/js_checklist_test.go" // TestChecklistOnNode, over HTTP
	later  = "later: "
)

// checklist is every line, in the order of the document.
var checklist = []checkLine{
	{"Modules", "static import across folders, single instantiation", here},
	{"Modules", "missing module/export messages", here},
	{"Modules", "js_metrics bytecode states (disabled, enabled, redeployed, refreshed)", onNode},
	{"Modules", "gov API read-back of app and modules", onNode},
	{"Dispatch", "404/405/OPTIONS + allow", onNode},
	{"Dispatch", "template extraction", here},
	{"Dispatch", "ambiguous templates 500 naming both", here},
	{"Dispatch", "empty authn_policies open to anyone", onNode},
	{"Dispatch", "redeploy changes auth at once", onNode},
	{"Dispatch", "remove_js_app → 404 and module key deleted in the ledger", onNode},
	{"Request/response", "echo of all request members for GET/POST/DELETE with and without query and template", here},
	{"Request/response", "content types text/json/binary/custom", here},
	{"Request/response", "header names lower-case", here},
	{"Request/response", "typed-array body", here},
	{"Request/response", "protobuf custom content-type", here},
	{"Request/response", "status 201/204/401 passthrough", here},
	{"Request/response", "non-object return, bad statusCode, cyclic body", here},
	{"Errors", "trace text exact", here},
	{"Errors", "details only with option", here},
	{"Errors", "options reset when omitted", onNode},
	{"Limits", "stack, heap, time, extreme values", here},
	{"Limits", "recovery afterwards with default limits", here},
	{"Auth", "expired/not-yet-valid certs 401 with the words Not After/Not Before in details", "../auth/auth_test.go: TestCertificates"},
	{"Auth", "JWT nbf/exp/kid/issuer constraint messages", "../auth/jwt_test.go: TestJWT"},
	{"Auth", "user data roles", onNode},
	{"Auth", "COSE body content", here},
	{"Auth", "all_of object shape", here},
	{"Auth", "multi_auth texts", here},
	{"KV", "permissions matrix", here},
	{"KV", "set chaining", here},
	{"KV", "empty key", here},
	{"KV", "getVersionOfPreviousWrite monotone and per key", here},
	{"KV", "forEach arguments", here},
	{"KV", "size getter", here},
	{"KV", "readonly set throws", here},
	{"rpc", "apply-writes matrix", here},
	{"rpc", "claims digest appears in receipts", onNode},
	{"Crypto", "every algorithm round trip with an independent implementation", "crypto_test.go: TestCryptoSignatures"},
	{"Crypto", "P1363", "crypto_test.go: TestCryptoSignatures"},
	{"Crypto", "JWK equality with jwcrypto", "crypto_test.go: TestCryptoJWK"},
	{"Crypto", "chains with intermediate as root", "crypto_test.go: TestCryptoCertificates"},
	{"Crypto", "SNP sample vectors", "snp_test.go: TestSNP"},
	{"Reuse", "fib cache, keys, LRU cap", here},
	{"Reuse", "DI sample faster", here},
	{"Reuse", "handle caching", here},
	{"Reuse", "flush on redeploy on all nodes", onNode},
	{"Time/random", "Date within 1 s", onNode},
	{"Time/random", "no repeated randoms", here},
	{"Time/random", "metrics log line regexp", here},
	{"Governance", "validateConstitution cases of CCF: src/js/test/js.cpp", here},
	{"Governance", "ballots in own interpreter", here},
	{"Governance", "resolve statuses", "../gov/proposal_test.go: TestFailures"},
	{"Governance", "failures carry reason and trace", here},
	{"Governance", "limits not below defaults", here},
	{"Governance", "app-table write from apply allowed, read refused", here},
	{"Historical", "historicalState receipt verifies", here},
	{"Historical", "range API null → array", here},
	{"Historical", "write attempts throw", here},
}

// checklistHere are the subtests of this package, "section/line" to test.
var checklistHere = merged(modulesChecks, dispatchChecks, errorChecks, authChecks, kvChecks, reuseChecks, governanceChecks)

func merged(parts ...map[string]func(*testing.T, *pair)) map[string]func(*testing.T, *pair) {
	all := map[string]func(*testing.T, *pair){}
	for _, part := range parts {
		for name, f := range part {
			all[name] = f
		}
	}
	return all
}

func TestChecklist(t *testing.T) {
	engines := differentialEngines(t)
	for _, c := range checklist {
		if f := checklistHere[c.section+"/"+c.line]; f != nil {
			t.Run(c.section+"/"+c.line, func(t *testing.T) { f(t, newPair(t, engines)) })
		}
	}
}

// TestChecklistIsComplete fails if a line has no test and no reason.
func TestChecklistIsComplete(t *testing.T) {
	lines := map[string]bool{}
	for _, c := range checklist {
		name := c.section + "/" + c.line
		lines[name] = true
		switch {
		case c.where == here:
			if checklistHere[name] == nil {
				t.Errorf("%s: no subtest", name)
			}
		case strings.HasPrefix(c.where, later):
			t.Logf("%s: %s", name, c.where)
		default:
			file, want, ok := strings.Cut(c.where, ": ")
			if want = "func " + want + "("; !ok {
				want = fmt.Sprintf("%q: ", name)
			}
			if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), want) {
				t.Errorf("%s: %s has no %s (%v)", name, file, want, err)
			}
		}
	}
	for name := range checklistHere {
		if !lines[name] {
			t.Errorf("%s is no line of the checklist", name)
		}
	}
}

// pair is one application on both back ends, with the same clock and the
// same randomness: answers, tables and memories must be equal.
type pair struct {
	t    *testing.T
	both [2]*service
	seen [2][32]byte // the memory after the last call
}

func newPair(t *testing.T, engines [2]*Engine) *pair {
	t.Helper()
	p := &pair{t: t}
	for i, e := range engines {
		e.now = func() time.Time { return differentialTime }
		p.both[i] = newServiceOn(t, e)
		e.observe = func(v *vm) {
			if !v.broken {
				p.seen[i] = v.memoryHash()
			}
		}
	}
	return p
}

func (p *pair) deploy(modules map[string]string, endpoints ...string) {
	p.t.Helper()
	for _, s := range p.both {
		s.deploy(modules, endpoints...)
	}
}

func (p *pair) options(o string) {
	for _, s := range p.both {
		s.options(o)
	}
}

// do sends a request to both and compares all that can be seen.
func (p *pair) do(method, path, body string, change ...func(*app.Context)) answer {
	p.t.Helper()
	var got [2]answer
	p.seen = [2][32]byte{}
	for i, s := range p.both {
		s.eng.random = randomness{n: len(s.eng.random.buf)}
		got[i] = s.do(method, path, body, change...)
	}
	if d := cmp.Diff(got[0], got[1]); d != "" {
		p.t.Errorf("%s %s: answers differ: %s", method, path, d)
	}
	if d := cmp.Diff(p.both[0].tx.maps, p.both[1].tx.maps); d != "" {
		p.t.Errorf("%s %s: tables differ: %s", method, path, d)
	}
	if p.seen[0] != p.seen[1] {
		p.t.Errorf("%s %s: memories differ", method, path)
	}
	return got[0]
}

// want is do for a POST whose body is all that matters.
func (p *pair) want(path, body string) {
	p.t.Helper()
	if got := p.do("POST", path, ""); got.Body != body {
		p.t.Fatalf("%s: got %+v, want %s", path, got, body)
	}
}

// gov calls a function of governance on both.
func (p *pair) gov(access Access, source string, args ...any) (string, *Exception) {
	p.t.Helper()
	var got [2]string
	var x [2]*Exception
	p.seen = [2][32]byte{}
	for i, s := range p.both {
		s.eng.random = randomness{n: len(s.eng.random.buf)}
		out, err := s.eng.CallGov(p.t.Context(), GovCall{Module: "public:ccf.gov.constitution[0]", Source: source, Function: "f", Args: args, Access: access, Tx: s.tx})
		got[i], x[i] = string(out), exceptionOf(p.t, err)
	}
	if got[0] != got[1] || cmp.Diff(x[0], x[1]) != "" || p.seen[0] != p.seen[1] {
		p.t.Errorf("back ends differ: %v %v, %v %v, memories equal: %t", got[0], x[0], got[1], x[1], p.seen[0] == p.seen[1])
	}
	return got[0], x[0]
}

// realTime gives both engines the clock of the machine: for time limits.
func (p *pair) realTime() {
	for _, s := range p.both {
		s.eng.now = time.Now
	}
}
