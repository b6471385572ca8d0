package bundle

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// unpack writes a txtar text into a new folder.
func unpack(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range txtar.Parse([]byte(text)).Files {
		name := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func manifest(module, function string) string {
	return `{"endpoints":{"/x":{"get":{"js_module":"` + module + `","js_function":"` + function +
		`","mode":"readonly","forwarding_required":"sometimes","authn_policies":["no_auth"],"openapi":{}}}}}`
}

func TestPlainJavaScriptIsPackedUnchanged(t *testing.T) {
	// Imports by table name and by relative path with extension need nothing.
	dir := unpack(t, `
-- app.json --
`+manifest("a/main.js", "f")+`
-- src/a/main.js --
import { g } from "../lib/g.js";
import { h } from "lib/h.js";
// kept comment
export function f() { return g() + h(); }
-- src/lib/g.js --
export const g = () => 1;
-- src/lib/h.js --
export const h = () => 2;
-- src/unused.txt --
any text
`)
	res, err := Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !res.Packed {
		t.Error("the sources were transformed")
	}
	var names []string
	for _, m := range res.Bundle.Modules {
		names = append(names, m.Name)
	}
	if diff := cmp.Diff([]string{"a/main.js", "lib/g.js", "lib/h.js", "unused.txt"}, names); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(res.Bundle.Modules[0].Source, "// kept comment") {
		t.Errorf("main.js was changed: %s", res.Bundle.Modules[0].Source)
	}
}

func TestTypeScriptIsBundled(t *testing.T) {
	// Two entry modules share a class, which must stay one class; one entry is
	// named .js and one .ts; a package comes from node_modules.
	dir := unpack(t, `
-- app.json --
{"endpoints":{"/one":{"get":{"js_module":"one.js","js_function":"f","mode":"readonly","forwarding_required":"sometimes","authn_policies":[{"all_of":["user_cert","jwt"]}],"extra":1}},
"/two":{"post":{"js_module":"sub/two.ts","js_function":"g","mode":"readwrite","forwarding_required":"always","authn_policies":[]}}}}
-- src/one.ts --
import { Shared } from "./shared";
import { twice } from "pkg";
export function f(): number { return twice(new Shared(1).n); }
-- src/sub/two.ts --
import { Shared } from "../shared.js";
export const g = (x: unknown): boolean => x instanceof Shared;
export const unused = 1;
-- src/shared.ts --
export class Shared { constructor(public n: number) {} }
-- node_modules/pkg/package.json --
{"name":"pkg","module":"m.js","main":"m.cjs"}
-- node_modules/pkg/m.js --
export const twice = (n) => 2 * n;
export const never = "must not be in the bundle";
`)
	res, err := Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	if res.Packed {
		t.Error("the sources were not transformed")
	}
	all, shared := "", 0
	var names []string
	for _, m := range res.Bundle.Modules {
		names = append(names, m.Name)
		all += m.Source
		shared += strings.Count(m.Source, "constructor(n)")
	}
	if len(names) != 3 || names[0] != "one.js" || !strings.HasPrefix(names[1], "shared/chunk-") || names[2] != "sub/two.js" {
		t.Errorf("modules are %v", names)
	}
	if shared != 1 {
		t.Errorf("the shared class is there %d times", shared)
	}
	if strings.Contains(all, "must not be in the bundle") {
		t.Error("dead code was kept")
	}
	if !strings.Contains(all, `from "../shared/chunk-`) || !strings.Contains(all, `from "./shared/chunk-`) {
		t.Errorf("imports are not relative paths: %s", all)
	}
	if strings.Contains(all, "sourceMappingURL") || len(res.SourceMaps) == 0 {
		t.Errorf("source maps: %d aside", len(res.SourceMaps))
	}
	var meta map[string]map[string]map[string]map[string]any
	if err := json.Unmarshal(res.Bundle.Metadata, &meta); err != nil {
		t.Fatal(err)
	}
	two := meta["endpoints"]["/two"]["post"]
	if two["js_module"] != "sub/two.js" {
		t.Errorf("js_module is %v", two["js_module"])
	}
	if meta["endpoints"]["/one"]["get"]["extra"] != 1.0 {
		t.Error("an unknown member was dropped")
	}

	// The same sources give the same bytes, and the bytes are a bundle.
	again, err := Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	a, errA := res.Bundle.Encode()
	b, errB := again.Bundle.Encode()
	if errA != nil || errB != nil || string(a) != string(b) {
		t.Errorf("two builds differ (%v, %v)", errA, errB)
	}
	parsed, err := Parse(a)
	if err != nil {
		t.Fatal(err)
	}
	if len(parsed.Modules) != 3 {
		t.Errorf("parsed %d modules", len(parsed.Modules))
	}
}

func TestFaults(t *testing.T) {
	good := "-- app.json --\n" + manifest("a.js", "f") + "\n"
	tests := map[string]struct {
		files string
		want  []string // parts of the message
		hint  string   // part of the hint
	}{
		"no manifest":    {"-- src/a.js --\n", []string{"app.json", "no such file"}, "app.json and src/"},
		"bad JSON":       {"-- app.json --\n{\n \"endpoints\": [}\n", []string{"app.json:2:16", "invalid character"}, "app.json is"},
		"trailing data":  {"-- app.json --\n{\"endpoints\":{}} x\n", []string{"data after"}, ""},
		"no endpoints":   {"-- app.json --\n{}\n", []string{"app.json: endpoints: is missing"}, "list"},
		"missing module": {good, []string{`endpoints./x.get.js_module`, `no source file for module "a.js"`}, "src/a.js, src/a.ts"},
		"missing export": {good + "-- src/a.js --\nexport const h = 1, g = 2;\n", []string{`src/a.js has no export "f"`}, "exports g, h"},
		"no export":      {good + "-- src/a.js --\nlet f = 1;\n", []string{`has no export "f"`}, "exports nothing"},
		"syntax error":   {good + "-- src/a.js --\nexport function f( {}\nlet;\n", []string{"src/a.js:2:"}, ""},
		"missing import": {
			good + "-- src/a.js --\nimport x from './gone.js';\nexport const f = x;\n",
			[]string{"src/a.js:1:15", `Could not resolve "./gone.js"`},
			"no such file",
		},
		"missing package": {
			good + "-- src/a.ts --\nimport x from '@microsoft/ccf-app';\nexport const f = x;\n",
			[]string{`Could not resolve "@microsoft/ccf-app"`},
			"npm ci",
		},
		"node module": {good + "-- src/a.ts --\nimport x from 'fs';\nexport const f = x;\n", []string{`"fs"`}, "no Node.js modules"},
		"all faults at once": {`-- app.json --
{"endpoints":{"x":{"fetch":{},"get":{"js_module":"a.js","mode":"rw","authn_policies":["nobody",{"all_of":[]}],"openapi":3},"put":{"openapi":{"x-synod-feed":{"maps":[]}}}}}}
`, []string{
			"endpoints.x: the path does not start with /", "endpoints.x.fetch: is not an HTTP method",
			"js_function: is missing", `mode: "rw" is not known`, "forwarding_required: is missing",
			`authn_policies[0]: "nobody"`, "authn_policies[1]", "openapi: is not an object", "openapi.x-synod-feed: names no maps",
		}, ""},
		"outside src": {
			"-- app.json --\n" + manifest("../a.js", "f") + "\n-- a.js --\nexport const f = 1;\n",
			[]string{"no source file"},
			"",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Build(unpack(t, tt.files))
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error is %v", err)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not contain %q", err, part)
				}
			}
			if !strings.Contains(e.Hint(), tt.hint) {
				t.Errorf("hint %q does not contain %q", e.Hint(), tt.hint)
			}
		})
	}
}

func TestBinaryFileIsRefused(t *testing.T) {
	dir := unpack(t, "-- app.json --\n"+manifest("a.js", "f")+"\n-- src/a.js --\nexport const f = 1;\n")
	if err := os.WriteFile(filepath.Join(dir, "src", "x.bin"), []byte{0xff, 0xfe}, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Build(dir); err == nil || !strings.Contains(err.Error(), "src/x.bin: is not UTF-8") {
		t.Errorf("error is %v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"not JSON", `nope`, "not a bundle"},
		{"unknown member", `{"metadata":{"endpoints":{}},"modules":[],"x":1}`, "unknown field"},
		{"trailing", `{"metadata":{"endpoints":{}},"modules":[]}{}`, "data after"},
		{"no metadata", `{"modules":[]}`, "is empty"},
		{"twice", `{"metadata":{"endpoints":{}},"modules":[{"name":"a","module":""},{"name":"/a","module":""}]}`, "occurs twice"},
		{"missing module", `{"metadata":` + manifest("a.js", "f") + `,"modules":[]}`, `no module "a.js"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Parse([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"metadata":` + manifest("a.js", "f") + `,"modules":[{"name":"a.js","module":"export const f = 1"}]}`))
	f.Add([]byte(`{"metadata":{"endpoints":null},"modules":null}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, b []byte) {
		parsed, err := Parse(b)
		if err != nil {
			return
		}
		text, err := parsed.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(text); err != nil {
			t.Fatalf("the encoding of a bundle is refused: %v", err)
		}
	})
}
