package bundle

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The TypeScript sample imports a real npm package, which npm ci brings.
func TestSampleApplication(t *testing.T) {
	dir := filepath.Join("..", "..", "examples", "logging-ts")
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
		t.Skip("run npm ci in examples/logging-ts first")
	}
	res, err := Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := res.Bundle.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(text); err != nil {
		t.Fatal(err)
	}
	for _, m := range res.Bundle.Modules {
		if strings.Contains(m.Source, `from "@microsoft`) {
			t.Errorf("module %s still imports from npm", m.Name)
		}
	}
}
