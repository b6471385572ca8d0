package sourcemap_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"synod/internal/bundle"
	"synod/internal/sourcemap"
)

// app is an application in which types, comments and imports move every line.
var app = map[string]string{
	"app.json": `{"endpoints":{"/f":{"POST":{"js_module":"sub/app.js","js_function":"f","forwarding_required":"always",
		"authn_policies":["no_auth"],"mode":"readwrite","openapi":{}}}}}`,
	"src/sub/app.ts": `// A comment that the build drops.
import { deep } from "../lib";

interface Thing {
  name: string;
}

export function f(request: ccf.Request): ccf.Response {
  const thing: Thing = { name: "x" };
  return inner(
    thing,
  );
}

function inner(t: Thing): ccf.Response {
  if (t.name === "x") {
    deep(t.name); // the marked line
  }
  return { body: t };
}
`,
	"src/lib.ts": `export type Name = string;

export function deep(name: Name): void {
  throw new Error(name);
}
`,
}

// lineOf is the number of the line that holds a text.
func lineOf(t *testing.T, text, what string) int {
	t.Helper()
	for i, line := range strings.Split(text, "\n") {
		if strings.Contains(line, what) {
			return i + 1
		}
	}
	t.Fatalf("no line with %q in:\n%s", what, text)
	return 0
}

func build(t *testing.T) (*bundle.Result, *sourcemap.Mapper) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range app {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	res, err := bundle.Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := sourcemap.New(res.Bundle.Texts(), res.SourceMaps)
	if err != nil {
		t.Fatal(err)
	}
	return res, m
}

func TestLinesOfABuild(t *testing.T) {
	res, m := build(t)
	text := res.Bundle.Texts()["sub/app.js"]
	for what, file := range map[string]string{
		"throw new Error(name)": "src/lib.ts",
		"deep(t.name)":          "src/sub/app.ts",
		"return inner":          "src/sub/app.ts",
		"return { body: t }":    "src/sub/app.ts",
	} {
		got, line, ok := m.Line("/sub/app.js", lineOf(t, text, what))
		if want := lineOf(t, app[file], what); !ok || got != file || line != want {
			t.Errorf("%s: %s:%d (%t), want %s:%d", what, got, line, ok, file, want)
		}
	}
	for _, line := range []int{-1, 0, 100000} {
		if _, _, ok := m.Line("sub/app.js", line); ok {
			t.Errorf("line %d of the module has a source", line)
		}
	}
}

func TestTrace(t *testing.T) {
	_, m := build(t)
	res, _ := build(t)
	at := lineOf(t, res.Bundle.Texts()["sub/app.js"], "throw new Error")
	given := strings.ReplaceAll("Error: x\n    at deep (/sub/app.js:N)\n    at parse (native)\n    at <anonymous> (/other.js:N)\n    at f (/sub/app.js:N:7)\n", "N", strconv.Itoa(at))
	want := "Error: x\n    at deep (src/lib.ts:4)\n    at parse (native)\n    at <anonymous> (/other.js:" + strconv.Itoa(at) + ")\n    at f (src/lib.ts:4)\n"
	if got := m.Trace(given); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := new(sourcemap.Mapper).Trace(given); got != given {
		t.Errorf("a mapper without maps changed the trace to\n%s", got)
	}
}

func FuzzNew(f *testing.F) {
	f.Add([]byte(`{"version":3,"sources":["../src/a.ts"],"mappings":"AAAA;CACA","names":[]}`), "  x\ny", 1)
	f.Fuzz(func(t *testing.T, raw []byte, text string, line int) {
		m, err := sourcemap.New(map[string]string{"a.js": text}, map[string][]byte{"a.js.map": raw})
		if err == nil {
			m.Line("a.js", line)
			m.Trace("    at f (/a.js:1)\n")
		}
	})
}
