package conlint

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"synod/constitutions"
	"synod/internal/js"
)

// TestPlaces maps positions of the joined text back to its files.
func TestPlaces(t *testing.T) {
	t.Parallel()
	files := []File{{"none.js", ""}, {"a.js", "a1\na2"}, {"empty.js", ""}, {"b.js", "b1\nb2\n"}, {"c.js", "c1"}}
	s := join(files)
	if want := "a1\na2\n\nb1\nb2\n\nc1"; s.text != want {
		t.Fatalf("joined %q, want %q", s.text, want)
	}
	for text, want := range map[string]string{"a1": "a.js:1", "a2": "a.js:2", "b1": "b.js:1", "b2": "b.js:2", "c1": "c.js:1"} {
		at := strings.Index(s.text, text)
		if got := s.at(at); got.text() != want {
			t.Errorf("%s is at %s, want %s", text, got.text(), want)
		}
		if got := s.line(strings.Count(s.text[:at], "\n") + 1); got.text() != want {
			t.Errorf("the line of %s is %s, want %s", text, got.text(), want)
		}
	}
	if got, ok := s.traced("    at f (native)\n    at g (constitution:5)\n    at h (constitution:1)\n"); !ok || got.text() != "b.js:2" {
		t.Errorf("traced to %s, %t", got.text(), ok)
	}
	for _, trace := range []string{"", "at f (other:5)", "at f (constitution:99999999999999999999)"} {
		if got, ok := s.traced(trace); ok {
			t.Errorf("%q is traced to %s", trace, got.text())
		}
	}
}

// TestProbesKeepMeaning compiles our constitutions with probes and compares
// their lines.
func TestProbesKeepMeaning(t *testing.T) {
	t.Parallel()
	run, err := newRunner(t.Context(), "", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer run.engine.Close()
	for name, text := range map[string]string{"default": constitutions.Default(), "provisioner": constitutions.OperatorProvisioner(), "small": small} {
		tree, err := parse(join([]File{{name, text}}))
		if err != nil {
			t.Fatal(err)
		}
		p := instrument(tree)
		if a, b := strings.Count(text, "\n"), strings.Count(p.text, "\n"); a != b {
			t.Errorf("%s: %d lines became %d", name, a, b)
		}
		out, err := run.run(nil, `export function f(text) { return ccf.gov.validateConstitution(text); }`, "f", js.GovReadOnly, nil, p.text)
		if err != nil || out.thrown != nil {
			t.Errorf("%s: %v, %v", name, out.thrown, err)
		}
	}
}

// TestHostile lints texts that are made to break tools.
func TestHostile(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ text, id string }{
		"empty":          {"", "contract"},
		"not JavaScript": {"\x00\xff\xfe{", "syntax"},
		"deep":           {strings.Repeat("(", 100_000), "syntax"},
		"too large":      {"//" + strings.Repeat("x", sourceMax) + "\n" + small, "not-read"},
		"deep but fine":  {"const deep = " + strings.Repeat("[", nestingMax+1) + strings.Repeat("]", nestingMax+1) + ";\n" + small, "not-read"},
		"own prologue":   {"const $synodSeen = 1;\n" + small, "not-counted"},
		"takes console":  {"console.log = () => { throw new Error('no'); };\n" + small, ""},
		"prints":         {"console.log('\\u0001synod-probe 99999');\nconsole.log('\\u0001synod-probe -1');\n" + small, ""},
		"escapes":        {small + "\nconst text = `${`${1}`} export function x() {} import y`;\n/export function z/.test(text);", ""},
		"exports a list": {strings.NewReplacer("export function", "function").Replace(small) + "\nexport { validate, resolve, apply };\n", ""},
		"async resolve":  {strings.Replace(small, "export function resolve", "export async function resolve", 1), ""},
		"frozen objects": {"Object.freeze(Object.prototype); Object.freeze(Array.prototype);\n" + small, ""},
		"rejects":        {strings.Replace(small, "export function resolve", "export const resolve = async (p, q, r) => { throw new Error('later'); };\nfunction other", 1), "resolve-throws"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := lint(t, tc.text)
			if tc.id == "" && len(r.Findings) == 0 {
				return
			}
			for _, f := range r.Findings {
				if f.ID == tc.id {
					return
				}
			}
			t.Errorf("findings %+v, want %q", r.Findings, tc.id)
		})
	}
}

// FuzzParse takes any text, and puts probes only where they leave lines alone.
func FuzzParse(f *testing.F) {
	f.Add(small)
	f.Add(constitutions.Default())
	for _, text := range []string{"", "export default function () {}", "import 'x'", "if (a) (b) ? c : d; else e", "`${a ? `${b}` : c}`", "for (;;) ;", "switch (a) { case (1): b }", "x => (y)", "class A { #x = () => 1; static { if (1) 2 } get y() {} }", "/[/]/ // (", "\u2028export {a}"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { checkParse(t, text) })
}

// TestMutated does what FuzzParse does, for texts that are nearly right. For
// fuzzing, -fuzzminimizetime 1x keeps Go from shortening each text for a minute.
func TestMutated(t *testing.T) {
	t.Parallel()
	seeds := []string{small, "`${a ? `${b}` : c}`", "switch (a) { case (1): b }", "class A { #x = () => 1; static { if (1) 2 } get y() {} }", "if (a) (b) ? c : d; else e"}
	bits := []string{"(", ")", "{", "}", "`", "${", "/", "*/", "/*", "\n", "if (", "=>", "export ", "import ", "?", ":", "'", "\\", "class ", "\u2028", "async ", "for (", ";", "case ", "#x", "..."}
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		text := seeds[random.IntN(len(seeds))]
		for range 1 + random.IntN(4) {
			from := random.IntN(len(text) + 1)
			to := min(len(text), from+random.IntN(20)*random.IntN(2))
			text = text[:from] + bits[random.IntN(len(bits))] + text[to:]
		}
		checkParse(t, text)
	}
}

// checkParse reads a text and puts probes into it.
func checkParse(t *testing.T, text string) {
	t.Helper()
	src := join([]File{{"a.js", text}, {"b.js", "\n"}})
	tree, err := parse(src)
	if err != nil {
		return
	}
	if len(tree.mask) != len(src.text) || strings.Count(tree.mask, "\n") != strings.Count(src.text, "\n") {
		t.Fatalf("the mask has %d bytes, the text %d", len(tree.mask), len(src.text))
	}
	p := instrument(tree)
	if strings.Count(p.text, "\n") != strings.Count(src.text, "\n") {
		t.Fatal("probes change lines")
	}
	harvest(tree)
	p.unreached(nil)
}

// TestReportIsStable lints the same twice.
func TestReportIsStable(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join("..", "..", "constitutions", "operator_provisioner", "resolve.js"))
	if err != nil {
		t.Fatal(err)
	}
	text := small[:strings.Index(small, "const infoOf")] + string(b) + small[strings.Index(small, "export function apply"):]
	var last string
	for range 2 {
		var out strings.Builder
		if err := lint(t, text).WriteText(&out); err != nil {
			t.Fatal(err)
		}
		if last != "" && last != out.String() {
			t.Errorf("first\n%s\nthen\n%s", last, out.String())
		}
		last = out.String()
	}
}
