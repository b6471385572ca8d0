package js

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"synod"
	"synod/internal/tables"
)

const goodConstitution = `
export function validate(input) { return {valid: true} }
export function resolve(proposal, proposerId, votes, proposalId) { return "Open" }
export function apply(proposal, proposalId) {}
`

func TestValidateConstitution(t *testing.T) {
	e := newTestEngine(t, Wasm2Go)
	for name, tc := range map[string]struct{ source, want string }{
		"good":                           {fmt.Sprintf("%q", goodConstitution), ""},
		"three arguments":                {fmt.Sprintf("%q", strings.Replace(goodConstitution, ", proposalId) { return", ") { return", 1)), ""},
		"top level uses console and ccf": {fmt.Sprintf("%q", goodConstitution+"console.info('x'); ccf.kv"), ""},
		"top level throws":               {fmt.Sprintf("%q", "throw 1;"+goodConstitution), ""},
		"no string":                      {"12", "TypeError: constitution is not a string"},
		"empty":                          {"''", "TypeError: constitution is empty"},
		"does not compile":               {"'export function'", "TypeError: proposed constitution does not export a function named apply: Failed to compile proposed constitution"},
		"no apply":                       {"'export function validate(i) {}'", "TypeError: proposed constitution does not export a function named apply: Failed to find export 'apply' in module 'proposed constitution'"},
		"no function":                    {fmt.Sprintf("%q", "export const apply = 1"), "TypeError: proposed constitution does not export a function named apply: Export 'apply' of module 'proposed constitution' is not a function"},
		"arguments of apply":             {fmt.Sprintf("%q", strings.Replace(goodConstitution, "proposal, proposalId) {}", "proposal) {}", 1)), "TypeError: proposed constitution exports function apply with 1 arg, expected 2 args (proposal, proposerId)"},
		"arguments of resolve":           {fmt.Sprintf("%q", strings.Replace(goodConstitution, "(proposal, proposerId, votes, proposalId)", "(a, b)", 1)), "TypeError: proposed constitution exports function resolve with 2 args, expected between 3 and 4 args (proposal, proposerId, votes[, proposalId])"},
		"arguments of validate":          {fmt.Sprintf("%q", strings.Replace(goodConstitution, "validate(input)", "validate()", 1)), "TypeError: proposed constitution exports function validate with 0 args, expected 1 arg (input)"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := e.CallGov(t.Context(), GovCall{
				Module: "m", Source: "export function f() { return ccf.gov.validateConstitution(" + tc.source + ") }", Function: "f",
			})
			var x *Exception
			switch {
			case errors.As(err, &x):
				if x.Reason != tc.want {
					t.Fatalf("got  %s\nwant %s", x.Reason, tc.want)
				}
			case err != nil || tc.want != "" || string(out) != "true":
				t.Fatal(string(out), err)
			}
		})
	}
}

func TestGovernanceGlobals(t *testing.T) {
	e := newTestEngine(t, Wasm2Go)
	const list = `export function f() { return [Object.keys(ccf).sort().join(), typeof ccf.kv, typeof console, typeof ccf.rpc] }`
	common := "bufToJsonCompatible,bufToStr,crypto,digest,enableMetricsLogging,enableUntrustedDateTime,generateAesKey,generateEcdsaKeyPair,generateRsaKeyPair,gov,isValidX509CertBundle,isValidX509CertChain,jsonCompatibleToBuf,kv,"
	for access, want := range map[Access]string{
		GovReadOnly:  common + "pemToId,strToBuf,tcbHexToPolicy,wrapKey",
		GovReadWrite: common + "network,node,pemToId,refreshAppBytecodeCache,removeJwtPublicSigningKeys,setJwtPublicSigningKeys,strToBuf,tcbHexToPolicy,wrapKey",
	} {
		out, err := e.CallGov(t.Context(), GovCall{Module: "m", Source: list, Function: "f", Access: access})
		if want := `["` + want + `","object","object","undefined"]`; err != nil || string(out) != want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", access, err, out, want)
		}
	}
}

// TestTopLevelRunsOncePerCall is what CCF's test of console output counts.
func TestTopLevelRunsOncePerCall(t *testing.T) {
	log := &logBuffer{}
	e, err := NewEngine(Config{Log: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for range 3 {
		if _, err := e.CallGov(t.Context(), GovCall{Module: "m", Source: "console.info('top'); let n = 0; export function f() { if (n++) throw 1 }", Function: "f"}); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(slicesRepeat("level=INFO msg=top tag=gov", 3), log.lines()); d != "" {
		t.Fatal(d)
	}
}

func slicesRepeat(s string, n int) []string {
	return strings.Split(strings.Repeat(s+"\n", n-1)+s, "\n")
}

func TestEffects(t *testing.T) {
	e := newTestEngine(t, Wasm2Go)
	var did []string
	note := func(s string) func() error { return func() error { did = append(did, s); return nil } }
	effects := &Effects{
		TriggerLedgerRekey: note("rekey"), TriggerRecoverySharesRefresh: note("refresh"), TriggerLedgerChunk: note("chunk"),
		TriggerSnapshot: func() error { return errors.New("no disk") },
		TransitionServiceToOpen: func(previous, next []byte) error {
			did = append(did, fmt.Sprintf("open %v %q %s", previous == nil, previous, next))
			return nil
		},
		SetSealedResume: func(allowed bool) error {
			did = append(did, fmt.Sprint("seal ", allowed))
			return nil
		},
		LatestLedgerSecretSeqno: func() (synod.SeqNo, error) { return 12, nil },
		GenerateEndorsedCertificate: func(csr, from string, days int) (string, error) {
			return fmt.Sprint("cert ", csr, from, days), nil
		},
		SetJWTPublicSigningKeys: func(issuer string, metadata, jwks json.RawMessage) error {
			did = append(did, fmt.Sprint("jwt ", issuer, string(metadata), string(jwks)))
			return nil
		},
		RemoveJWTPublicSigningKeys: func(issuer string) error { did = append(did, "remove "+issuer); return nil },
	}
	tx := newFakeTx()
	out, err := e.CallGov(t.Context(), GovCall{
		Module: "m", Access: GovReadWrite, Tx: tx, Effects: effects, Function: "f", Source: `
export function f() {
  const failed = (f) => { try { return f() } catch (e) { return String(e) } };
  ccf.node.triggerLedgerRekey(); ccf.node.triggerRecoverySharesRefresh(); ccf.node.triggerLedgerChunk();
  ccf.node.transitionServiceToOpen(undefined, ccf.strToBuf("next")); ccf.node.transitionServiceToOpen(ccf.strToBuf("prev"), ccf.strToBuf("next"));
  ccf.setJwtPublicSigningKeys("iss", {a: 1}, {keys: []}); ccf.removeJwtPublicSigningKeys("iss");
  ccf.kv["public:ccf.gov.x"].set(ccf.strToBuf("k"), ccf.strToBuf("v"));
  return [ccf.network.getLatestLedgerSecretSeqno(), ccf.network.generateEndorsedCertificate("csr", "now", 3),
    failed(() => ccf.node.triggerSnapshot()), failed(() => ccf.network.generateNetworkCertificate("now", 1)), failed(() => ccf.node.triggerLedgerChunk(1)),
    failed(() => ccf.node.transitionServiceToOpen(1, 2)), failed(() => ccf.node.transitionServiceToOpen(undefined, undefined)),
    ccf.node.setSealedResume(true), ccf.node.setSealedResume(false), failed(() => ccf.node.setSealedResume(1)), failed(() => ccf.node.setSealedResume())];
}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `[12,"cert csrnow3","InternalError: Unable to request snapshot: no disk","InternalError: Error: this node does not offer it",` +
		`"TypeError: Passed 1 arguments but expected none","TypeError: Previous service identity argument is not an array buffer","InternalError: Proposal requires a service identity",null,null,` +
		`"TypeError: allowed is not a boolean","TypeError: Passed 0 arguments, but expected 1"]`
	if string(out) != want {
		t.Errorf("got  %s\nwant %s", out, want)
	}
	wantDid := []string{"rekey", "refresh", "chunk", `open true "" next`, `open false "prev" next`, `jwt iss{"a":1}{"keys":[]}`, "remove iss", "seal true", "seal false"}
	if d := cmp.Diff(wantDid, did); d != "" {
		t.Error(d)
	}
	if v, _ := tx.Get("public:ccf.gov.x", []byte("k")); string(v) != "v" {
		t.Error("write is missing")
	}
}

func TestBytecodeTables(t *testing.T) {
	s := newService(t, Wasm2Go)
	s.deploy(map[string]string{"a.js": `import { b } from "./b.js"; import "./missing.js"; export function f() {}`, "b.js": "export const b = 1"})
	refresh := func() error {
		_, err := s.eng.CallGov(t.Context(), GovCall{
			Module: "m", Access: GovReadWrite, Tx: s.tx, Source: "export function f() { ccf.refreshAppBytecodeCache() }", Function: "f",
		})
		return err
	}
	m, err := s.eng.Metrics(s.tx)
	if err != nil || m.BytecodeUsed || m.BytecodeSize != 0 || m.MaxHeapSize != 100<<20 || m.MaxExecutionTime != 5000 {
		t.Fatal(m, err)
	}
	if err := refresh(); err != nil {
		t.Fatal(err)
	}
	if m, err = s.eng.Metrics(s.tx); err != nil || !m.BytecodeUsed || m.BytecodeSize != 64 {
		t.Fatal(m, err)
	}
	s.tx.Put(tables.Modules, []byte("/b.js"), []byte("export const"))
	var x *Exception
	if err := refresh(); !errors.As(err, &x) || !strings.HasPrefix(x.Reason, "InternalError: Failed to refresh bytecode: ") || !strings.Contains(x.Reason, "/b.js") {
		t.Fatal(err)
	}
}

func TestGovernanceLimitsAreNoLowerThanTheDefaults(t *testing.T) {
	e := newTestEngine(t, Wasm2Go)
	out, err := e.CallGov(t.Context(), GovCall{
		Module: "m", Source: "export function f() { const r = (n) => n ? 1 + r(n - 1) : 0; return r(500) + new Uint8Array(5e6).length }", Function: "f",
		Limits: Limits{HeapBytes: 100, StackBytes: 100, Execution: time.Nanosecond},
	})
	if err != nil || string(out) != "5000500" {
		t.Fatal(string(out), err)
	}
}
