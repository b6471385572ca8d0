//go:build e2e

package sim

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// TestMutants plants each mistake of testdata/mutants.txtar in the nodes' code
// and sees that the simulation finds it within 1000 seeds.
func TestMutants(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/mutants.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(archive.Files) < 10 {
		t.Errorf("%d mutants", len(archive.Files))
	}
	for _, m := range archive.Files {
		what, file, _ := strings.Cut(m.Name, " @ ")
		was, instead, ok := strings.Cut(string(m.Data), "----\n")
		if !ok {
			t.Fatalf("%s: no line of dashes", what)
		}
		t.Run(what, func(t *testing.T) {
			binary := mutant(t, file, strings.TrimSuffix(was, "\n"), strings.TrimSuffix(instead, "\n"))
			out, err := exec.Command(binary, "-test.run=^TestUntilFound$", "-test.v").CombinedOutput()
			if err != nil {
				t.Fatalf("not found: %.2000s", out)
			}
			t.Logf("%.300s", regexp.MustCompile(`(?s)seed \d+: .*`).Find(out))
		})
	}
}

// mutant builds this package's tests with one change in a file.
func mutant(t *testing.T, file, was, instead string) (binary string) {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", filepath.FromSlash(file)))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), was); n != 1 {
		t.Fatalf("%s holds the lines to change %d times", file, n)
	}
	dir := t.TempDir()
	changed, overlay, binary := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "sim.test")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(source), was, instead, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{path: changed}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, replace, 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "test", "-c", "-vet=off", "-tags=e2e", "-ldflags=-s -w", "-overlay", overlay, "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %s", out)
	}
	return binary
}

// TestUntilFound runs seeds until one fails, which it must. TestMutants runs it
// in binaries with a mistake.
func TestUntilFound(t *testing.T) {
	if filepath.Base(os.Args[0]) != "sim.test" || len(os.Args) < 2 || os.Args[1] != "-test.run=^TestUntilFound$" {
		t.Skip("there is no mistake in this binary")
	}
	for seed := range uint64(1000) {
		if _, err := Run(at(seed, NoBug)); err != nil {
			t.Logf("seed %d: %v", seed, err)
			return
		}
	}
	t.Error("1000 seeds found nothing")
}
