//go:build e2e

package snapshot

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// verifyPy asks CCF's own Python package about a snapshot.
func verifyPy(t *testing.T, name string, file []byte) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(path, file, 0o600))
	out, err := exec.Command("../../.venv/bin/python3", "../../e2e/python/verify.py", "snapshot", path).CombinedOutput()
	return string(out), err
}

// TestPython: CCF's reader takes what we write, sees the tables and the
// transaction, and refuses it changed.
func TestPython(t *testing.T) {
	s := newService(t, 2)
	s.set("public:app", []byte("k"), []byte("v"))
	s.set("private", []byte("k"), []byte("v"))
	file, trust := s.snapshot()
	out, err := verifyPy(t, trust.Name.String(), file)
	if err != nil || !strings.Contains(out, "5 public tables") {
		t.Errorf("%v: %s", err, out)
	}
	for _, at := range []int{60, len(file) / 3, len(file) - 200} {
		file[at] ^= 1
		if out, err := verifyPy(t, trust.Name.String(), file); err == nil {
			t.Errorf("byte %d changed: %s", at, out)
		}
		file[at] ^= 1
	}
}
