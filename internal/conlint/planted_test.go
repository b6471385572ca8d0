package conlint

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// small is a sound constitution with few actions.
const small = `const kv = (name) => ccf.kv["public:ccf.gov." + name];
const need = (ok, what) => { if (!ok) throw new Error(what); };
const actions = new Map([
  ["set_constitution", {
    check(args) {
      ccf.gov.validateConstitution(args.constitution);
    },
    run(args) {
      kv("constitution").set(new ArrayBuffer(8), ccf.jsonCompatibleToBuf(args.constitution));
    },
  }],
  ["remove_member", {
    check(args) {
      need(typeof args.member_id === "string", "member_id must be a text");
    },
    run(args) {
      kv("members.info").delete(ccf.strToBuf(args.member_id));
    },
  }],
  ["rename", {
    check(args) {
      need(typeof args?.title === "string", "title must be a text");
    },
    run(args) {
      kv("title").set(new ArrayBuffer(8), ccf.strToBuf(args.title));
    },
  }],
  ["trigger_snapshot", { check() {}, run: () => ccf.node.triggerSnapshot() }],
]);

export function validate(input) {
  const faults = [];
  const list = JSON.parse(input)?.actions;
  if (!Array.isArray(list)) return { valid: false, description: "no actions" };
  for (const one of list) {
    const action = actions.get(one?.name);
    if (!action) {
      faults.push(one?.name + ": no such action");
      continue;
    }
    try {
      action.check(one.args);
    } catch (e) {
      faults.push(one.name + ": " + e);
    }
  }
  return { valid: faults.length === 0, description: faults.join(", ") };
}

const infoOf = (id) => {
  const bytes = kv("members.info").get(ccf.strToBuf(id));
  return bytes && ccf.bufToJsonCompatible(bytes);
};

export function resolve(proposal, proposerId, votes) {
  const list = JSON.parse(proposal).actions;
  let size = 0;
  kv("members.info").forEach((value) => {
    if (ccf.bufToJsonCompatible(value).status === "Active") size++;
  });
  const active = votes.filter((v) => infoOf(v.member_id)?.status === "Active");
  const count = active.filter((v) => v.vote).length;
  // rules
  if (count > size / 2) return "Accepted";
  return "Open";
}

export function apply(proposal, proposalId) {
  for (const { name, args } of JSON.parse(proposal).actions) {
    actions.get(name).run(args, proposalId);
  }
}
`

const here = "/*here*/"

// planted are defects: what is replaced in small, and by what. The finding must
// be at the line that has the mark.
var planted = []struct {
	name, old, new string
	id             string
	severity       Severity
	says           string
}{
	{"syntax", "let size = 0;", "let size = ;" + here, "syntax", Error, "does not compile"},
	{"declared twice", "const infoOf =", "const " + here + " kv = 1;\nconst infoOf =", "syntax", Error, "kv is declared before"},
	{"import", "const kv =", "import { x } from 'other.js';" + here + "\nconst kv =", "import", Error, "cannot import"},
	{"throws at the top", "const infoOf =", here + "undefinedThing.call();\nconst infoOf =", "top-level", Error, "undefinedThing is not defined"},
	{"no apply", "export function apply", here + "function apply", "contract", Error, "named apply"},
	{"too many arguments", "function resolve(proposal, proposerId, votes)", "function resolve(" + here + "a, proposal, proposerId, votes, b)", "contract", Error, "with 5 args"},
	{"anybody alone", "// rules", "if (true) return " + here + `"Accepted";`, "member-alone", Error, "one key is enough"},
	{"zero votes suffice", "count > size / 2", here + "count >= 0", "member-alone", Error, "set_constitution"},
	{"one key in the text", "// rules", "if (proposerId === " + here + `"` + strings.Repeat("ab", 32) + `") return "Accepted";`, "member-alone", Error, "a member abababab… alone passes"},
	{"a fixed ID", "// rules", "if (proposerId === " + here + `"` + strings.Repeat("ab", 32) + `") return "Open";`, "fixed-member", Warning, "an ID is written into the text"},
	{"operator passes everything", "// rules", "if (infoOf(proposerId)?.member_data?.is_operator) return " + here + `"Accepted";`, "operator-alone", Error, "marked is_operator"},
	{"role by another name", "// rules", "if (infoOf(proposerId)?.member_data?.job === \"boss\") return " + here + `"Accepted";`, "operator-alone", Error, "marked job=boss"},
	{"operator passes a little much", "// rules", "if (list.every((a) => a.name === \"rename\") && infoOf(proposerId)?.member_data?.is_operator) " + here + `return "Accepted";`, "operator-alone", Warning, "alone passes rename"},
	{"some instead of every", "// rules", "if (list.some((a) => a.name === \"trigger_snapshot\") && infoOf(proposerId)?.member_data?.is_operator) " + here + `return "Accepted";`, "smuggled", Error, "stands in one proposal with trigger_snapshot"},
	{"first action decides", "// rules", "if (list[0].name === \"set_constitution\" && count < size) return \"Open\";\n  if (count > 0) return " + here + `"Accepted";`, "diluted", Error, "takes 5 votes of 5, but only 1"},
	{"minority", "count > size / 2", here + "count >= Math.min(2, size)", "minority", Error, "2 of 5 members pass"},
	{"half is enough", "count > size / 2", here + "count >= size / 2", "accepted-by-nobody", Warning, "when no member is active"},
	{"frozen", "// rules", "if (list.some((a) => a.name === \"set_constitution\")) return \"Rejected\";", "frozen", Error, "nobody can pass"},
	{"no set_constitution", `"set_constitution", {`, `"set_thing", {`, "frozen", Warning, "replaces the constitution"},
	{"never passes", "// rules", "if (list.some((a) => a.name === \"rename\")) return \"Open\";", "never-passes", Warning, "nobody can pass rename"},
	{"unanimous", "count > size / 2", here + "count >= size && size > 0", "unanimous", Note, "one who lost the key"},
	{"former members vote", `infoOf(v.member_id)?.status === "Active"`, "true", "former-votes", Warning, "a removed member"},
	{"returns nothing", `return "Open";`, "", "resolve-result", Error, "returns undefined"},
	{"returns a boolean", `return "Accepted";`, "return true;", "resolve-result", Error, "returns true"},
	{"reference error in a branch", "// rules", "if (count === 2) " + here + "return proposer_id;", "resolve-throws", Error, "proposer_id is not defined"},
	{"throws for who left", "// rules", "const status = " + here + "infoOf(proposerId).status;", "resolve-throws", Warning, "its proposer is a removed member"},
	{"resolve loops", "// rules", "if (count === 1) {\n " + here + " while (true);\n}", "endless", Error, "does not end"},
	{"validate loops", "const faults = [];", "const faults = [];\nlet n = 0;\n" + here + "for (;;) { n++; }", "endless", Error, "does not end"},
	{"top level loops", "const infoOf =", here + "while (true);\nconst infoOf =", "endless", Error, "does not end"},
	{"takes all memory", "// rules", "const all = [];\n  for (;;) " + here + "all.push(new Array(1000000).fill(0));", "memory", Error, "memory"},
	{"unknown action taken", `faults.push(one?.name + ": no such action");`, "", "unknown-action", Error, "an action that there is not"},
	{"names that every object has", "const action = actions.get(one?.name);", "const action = Object.fromEntries(actions)[one?.name];\n if (!action?.check) { if (!action) faults.push('?'); continue; }", "unknown-action", Error, "takes constructor as an action"},
	{"no list of actions taken", `return { valid: false, description: "no actions" };`, "return { valid: true };", "malformed-proposal", Error, "no list of actions"},
	{"validate answers true", "return { valid: faults.length === 0, description: faults.join(\", \") };", "return true;", "validate-result", Error, "does not return an object"},
	{"valid is no boolean", "valid: faults.length === 0", "valid: faults.length === 0 ? 'yes' : 'no'", "validate-result", Error, "only the boolean true"},
	{"any constitution taken", "ccf.gov.validateConstitution(args.constitution);", "args.constitution.length;", "broken-constitution", Error, "does not compile"},
	{"arguments not checked", `need(typeof args?.title === "string", "title must be a text");`, "", "takes-garbage", Warning, "rename: validate takes null"},
	{"wrong type taken", `need(typeof args.member_id === "string", "member_id must be a text");`, "args.member_id;", "wrong-type", Warning, "a number as member_id"},
	{"apply throws", `kv("members.info").delete(ccf.strToBuf(args.member_id));`, here + `kv("members.info").remove(args.member_id);`, "apply-throws", Error, "apply throws on remove_member"},
	{"apply refuses", `kv("title").set(`, "need(false, 'not today');\n" + `kv("title").set(`, "apply-throws", Warning, "not today"},
	{"apply writes a private table", `kv("title").set(`, here + `ccf.kv["private"].set(`, "forbidden-table", Error, "table named private"},
	{"writes the application's", `kv("title").set(`, `ccf.kv["public:app"].set(`, "application-table", Note, "public:app"},
	{"chance", "// rules", "if (count === 1 && " + here + "Math.random() > 2) return \"Accepted\";", "not-repeatable", Warning, "Math.random"},
	{"the time", "// rules", "if (" + here + "Date.now() < 0) return \"Accepted\";", "not-repeatable", Warning, "Date"},
	{"looks at itself", "// rules", `if (resolve.toString().includes("synod" + "Test")) return "Rejected";`, "reads-itself", Error, "its own text"},
	{"no actions", "action = actions.get(one?.name)", "action = undefined", "no-actions", Error, "nothing could be proposed"},
}

func TestPlanted(t *testing.T) {
	t.Parallel()
	for _, tc := range planted {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if strings.Count(small, tc.old) != 1 {
				t.Fatalf("%q is there %d times", tc.old, strings.Count(small, tc.old))
			}
			text := strings.Replace(small, tc.old, tc.new, 1)
			patience := 5 * time.Second
			if tc.id == "endless" {
				patience = 300 * time.Millisecond
			}
			r := lintFor(t, text, patience)
			i := slices.IndexFunc(r.Findings, func(f Finding) bool {
				return f.ID == tc.id && f.Severity == tc.severity && strings.Contains(f.What, tc.says)
			})
			if i < 0 {
				t.Fatalf("no %s %s with %q among %+v", tc.severity, tc.id, tc.says, r.Findings)
			}
			if before, _, ok := strings.Cut(text, here); ok {
				if want := strings.Count(before, "\n") + 1; r.Findings[i].Line != want {
					t.Errorf("at line %d, want %d: %+v", r.Findings[i].Line, want, r.Findings[i])
				}
			}
		})
	}
}

// TestSound finds nothing in a sound constitution, and reaches all of it.
func TestSound(t *testing.T) {
	t.Parallel()
	r := lint(t, small)
	if len(r.Findings) > 0 || len(r.Unreached) > 0 || r.Branches == 0 {
		t.Errorf("findings %+v, unreached %+v, branches %d", r.Findings, r.Unreached, r.Branches)
	}
}

func lint(t *testing.T, text string) *Report {
	t.Helper()
	return lintFor(t, text, 5*time.Second)
}

func lintFor(t *testing.T, text string, patience time.Duration) *Report {
	t.Helper()
	r, err := Lint(t.Context(), []File{{"constitution.js", text}}, Options{callTime: patience})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestUnreached names dead branches and functions.
func TestUnreached(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, old, new, what string }{
		{"if", "// rules", here + `if (size === -1) { return "Rejected"; }`, "the condition is never true"},
		{"else", "// rules", here + `if (size > -1) size += 0; else return "Rejected";`, "the condition is never false"},
		{"conditional", "// rules", "size += (size < 0)\n? " + here + "(1 + 2) : 0;", "the condition is never true"},
		{"case", "// rules", "switch (size) {\n" + here + "case -1: return \"Rejected\";\ndefault: }", "this case is never taken"},
		{"catch", "// rules", "try { size += 0; }\n" + here + "catch { return \"Rejected\"; }", "nothing is ever caught here"},
		{"loop", "// rules", here + "while (\n size < 0) size++;", "the loop is never entered"},
		{"for", "// rules", "for (let i = 0;\n" + here + "(i) < (size - size); i++) size++;", "the loop is never entered"},
		{"for of", "// rules", "for (const v of [])\n" + here + "{ size++; }", "the loop is never entered"},
		{"function", "const infoOf =", here + "function unused(a) { if (a) return 1; return 2; }\nconst infoOf =", "unused is never called"},
		{"arrow", "const infoOf =", here + "const unused = (a) => (a ? 1 : 2);\nconst infoOf =", "unused is never called"},
		{"method", "const infoOf =", "const o = {\n" + here + "unused() {} };\nconst infoOf =", "unused is never called"},
		{"class", "const infoOf =", "class C {\n" + here + "unused() {} };\nconst infoOf =", "unused is never called"},
		{"with a parenthesis in a comment", "// rules", here + `if /* ( */ ((size) === (-1)) /* ) */ return "Rejected"; // )`, "the condition is never true"},
		{"with a parenthesis in a pattern", "// rules", here + `if (/[)(]/.test("" + size)) return "Rejected";`, "the condition is never true"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(small, tc.old, tc.new, 1)
			r := lint(t, text)
			before, _, _ := strings.Cut(text, here)
			want := []Unreached{{Place{"constitution.js", strings.Count(before, "\n") + 1}, tc.what}}
			if !slices.Equal(r.Unreached, want) || r.Branches == 0 {
				t.Errorf("unreached %+v of %d, want %+v; findings %+v", r.Unreached, r.Branches, want, r.Findings)
			}
		})
	}
}
