package gov_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"synod/internal/tables"
)

// hostile is JavaScript that does not do what a ballot or a constitution
// should. Each piece is the body of a function.
var hostile = map[string]string{
	"loops":                   `for (;;) { try { for (;;); } catch (e) {} }`,
	"loops in finally":        `try { for (;;); } finally { for (;;); }`,
	"loops in a getter":       `throw { get message() { for (;;); }, toString() { for (;;); } };`,
	"loops in a promise":      `Promise.resolve().then(function f() { return Promise.resolve().then(f); }); return new Promise(() => {});`,
	"loops in JSON":           `return { toJSON() { for (;;); } };`,
	"loops in a pattern":      `return /^(a+)+$/.test("a".repeat(64) + "b");`,
	"recurses":                `return (function f() { return f() + 1; })();`,
	"recurses in handlers":    `(function f() { try { f(); } finally { f(); } })();`,
	"nests":                   `let a = []; for (;;) a = [a];`,
	"returns a deep nest":     `let a = []; for (let i = 0; i < 2e4; i++) a = [a]; return a;`,
	"allocates":               `const a = []; for (;;) a.push(new Uint8Array(1 << 20).fill(1));`,
	"allocates text":          `let s = "x"; for (;;) s += s;`,
	"allocates at once":       `return new Array(2 ** 32 - 1).fill(0);`,
	"throws nothing":          `throw undefined;`,
	"throws null":             `throw null;`,
	"throws a number":         `throw 7;`,
	"throws a symbol":         `throw Symbol("s");`,
	"throws a big number":     `throw 7n;`,
	"throws a function":       `throw () => 1;`,
	"throws a trap":           `throw new Proxy({}, { get() { throw new Error("trap"); } });`,
	"throws what cannot show": `throw { toString() { throw new Error("no"); }, toJSON() { throw new Error("no"); } };`,
	"throws a circle":         `const a = {}; a.a = a; throw a;`,
	"throws much":             `throw new Error("x".repeat(10 << 20));`,
	"throws without a stack":  `const e = new Error("e"); e.stack = 7; throw e;`,
	"returns a symbol":        `return Symbol("s");`,
	"returns a big number":    `return 7n;`,
	"returns a circle":        `const a = {}; a.a = a; return a;`,
	"returns a function":      `return () => true;`,
	"returns a trap":          `return new Proxy({}, { get() { throw new Error("trap"); }, ownKeys() { throw new Error("trap"); } });`,
	"returns a promise":       `return Promise.resolve(true);`,
	"returns an object":       `return new Boolean(true);`,
	"returns a text":          `return "true";`,
	"returns not a number":    `return NaN;`,
	"spoils the built-in":     `JSON.stringify = () => "true"; JSON.parse = null; Array.prototype.map = null; globalThis.ccf = null; return 7;`,
	"ends the interpreter":    `ccf.kv = null; globalThis.undefined = 1; Object.prototype.toJSON = () => true; return {};`,
	"reads what is private":   `return ccf.kv["secrets"].get(new ArrayBuffer(1)) === undefined;`,
	"writes":                  `ccf.kv["public:ccf.gov.members.info"].clear(); return 7;`,
	"calls what is not there": `ccf.node.triggerLedgerRekey(); return 7;`,
}

// soon is a clock on which every time limit is soon reached.
func soon() func() time.Time {
	start := time.Now()
	return func() time.Time { return start.Add(100 * time.Since(start)) }
}

// async are the pieces that are awaited or unwrapped, as documented in
// docs/differences-from-ccf.md: the result is true.
var async = []string{"returns a promise", "returns an object"}

// TestHostileBallots has a member's ballot misbehave: it counts as a failure
// or as a vote against, never as one for, and the proposal goes on.
func TestHostileBallots(t *testing.T) {
	t.Parallel()
	s := newServiceAt(t, plain, soon())
	m := s.addMembers(2)
	for name, code := range hostile {
		if slices.Contains(async, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			s.t = t
			id, _ := s.propose(m[0], parts(t, nil)).value(t, "proposalId").(string)
			a := s.vote(m[0], id, "export function vote(proposal, proposerId) { "+code+" }")
			if name == "reads what is private" || name == "writes" || name == "calls what is not there" {
				if got, _ := s.read(tables.Members, m[0].id); got == "" {
					t.Fatal("a ballot has written")
				}
			}
			if a.Status != 200 || a.value(t, "proposalState") != "Open" {
				t.Fatalf("%.300s", fmt.Sprint(a))
			}
			a = s.vote(m[1], id, yes)
			if a.Status != 200 || a.value(t, "proposalState") != "Accepted" {
				t.Fatalf("the next ballot: %.300s", fmt.Sprint(a))
			}
			final, _ := a.value(t, "finalVotes").(map[string]any)
			failures, _ := a.value(t, "voteFailures").(map[string]any)
			if _, failed := failures[m[0].id]; failed == (final[m[0].id] == false) {
				t.Errorf("neither failed nor against: %.300s", a.Body)
			}
		})
	}
	t.Run("at the top", func(t *testing.T) {
		s.t = t
		for name, code := range hostile {
			if strings.Contains(code, "return") {
				continue // not allowed outside of functions
			}
			id, _ := s.propose(m[0], parts(t, nil)).value(t, "proposalId").(string)
			a := s.vote(m[0], id, code+"\nexport function vote() { return true; }")
			if a.Status == 200 && a.value(t, "proposalState") != "Open" || a.Status != 200 && a.Status != 400 {
				t.Errorf("%s: %.300s", name, fmt.Sprint(a))
			}
		}
	})
}

// TestHostileConstitutions has one of the constitution's functions misbehave:
// the answer is an error that a member can read, nothing is written, and the
// next proposal is served.
func TestHostileConstitutions(t *testing.T) {
	t.Parallel()
	for _, function := range []string{"validate", "resolve", "apply"} {
		t.Run(function, func(t *testing.T) {
			s := newServiceAt(t, plain, soon())
			m := s.addMembers(1)
			for _, name := range slices.Sorted(maps.Keys(hostile)) {
				code := hostile[name]
				if function == "apply" && name == "writes" {
					continue // it may, and no member would be left
				}
				p := map[string]string{"resolve": `"Accepted"`, "apply": ""}
				switch function {
				case "validate":
					p["valid"] = "(() => {" + code + "})()"
				default:
					p[function] = "(() => {" + code + "})()"
				}
				before := s.store.Tip()
				a := s.propose(m[0], parts(t, p))
				throws := !strings.Contains(code, "return") || strings.HasPrefix(name, "loops") || strings.HasPrefix(name, "recurses")
				if function == "apply" && (name == "loops in a promise" || name == "loops in JSON") {
					throws = false // nobody looks at what it returns
				}
				switch {
				case function == "apply" && a.Status == 200:
					if throws {
						t.Errorf("%s: %.300s", name, fmt.Sprint(a))
					}
				case function == "validate" && a.code() == "ProposalFailedToValidate" && !throws:
				case a.Status == 500 && a.code() == "InternalError" && s.store.Tip() == before:
				default:
					t.Errorf("%s: %.300s", name, fmt.Sprint(a))
				}
				if a := s.propose(m[0], parts(t, nil)); a.Status != 200 {
					t.Fatalf("after %q: %.300s", name, fmt.Sprint(a))
				}
			}
		})
	}
}
