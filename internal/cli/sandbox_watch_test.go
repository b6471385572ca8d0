package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What does not build is refused with its place before anything is proposed:
// there is no client here.
func TestRedeployOfBrokenSources(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := writeFile(filepath.Join(dir, name), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	write("app.json", `{"endpoints":{"/f":{"get":{"js_module":"f.js","js_function":"f","mode":"readonly",
		"forwarding_required":"sometimes","authn_policies":[],"openapi":{}}}}}`)
	write("src/f.ts", "export function f() { return { body: 1 } }\n")
	var stderr bytes.Buffer
	w := &watcher{s: &sandbox{env: &Env{Stderr: &stderr}, app: dir}}
	text, err := w.s.build()
	if err != nil {
		t.Fatal(err)
	}
	w.bundle = text
	if err := w.redeploy(t.Context(), time.Now()); err != nil {
		t.Errorf("the same bundle again: %v", err)
	}
	for _, c := range []struct{ name, text, want string }{
		{"src/f.ts", "\n  export function f( {", "src/f.ts:2:"},
		{"src/f.ts", "import './gone.ts'\nexport function f() {}", "src/f.ts:1:"},
		{"src/f.ts", "export function g() {}", `no export "f"`},
		{"app.json", "{", "app.json"},
	} {
		write(c.name, c.text)
		if err := w.redeploy(t.Context(), time.Now()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s as %q: %v, want %q", c.name, c.text, err, c.want)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, "src")); err != nil {
		t.Fatal(err)
	}
	if err := w.redeploy(t.Context(), time.Now()); err == nil {
		t.Error("an application without sources was built")
	}
	if !bytes.Equal(w.bundle, text) {
		t.Error("what counts as deployed has changed")
	}
}
