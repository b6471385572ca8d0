package constitutions_test

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"synod/constitutions"
)

// TestJoined checks the shape that a node relies on: one module with the
// three exports, once each, and the parts joined by one newline.
func TestJoined(t *testing.T) {
	for name, text := range map[string]string{
		"default":              constitutions.Default(),
		"sandbox":              constitutions.Sandbox(),
		"operator":             constitutions.Operator(),
		"operator_provisioner": constitutions.OperatorProvisioner(),
		"veto":                 constitutions.Veto(),
		"roles":                constitutions.Roles(),
		"managed":              constitutions.Managed(),
	} {
		t.Run(name, func(t *testing.T) {
			for _, export := range []string{"validate(input)", "resolve(proposal, proposerId, votes)", "apply(proposal, proposalId)"} {
				if n := strings.Count(text, "export function "+export+" {"); n != 1 {
					t.Errorf("exports %s %d times", export, n)
				}
			}
			var parts []string
			files, err := constitutions.Parts(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range files {
				parts = append(parts, read(t, part))
			}
			if text != strings.Join(parts, "\n") {
				t.Error("the parts are not joined by one newline")
			}
		})
	}
}

func TestFiles(t *testing.T) {
	want := map[string][]string{
		"default": {"actions.js", "apply.js", "resolve.js", "validate.js"},
		"sandbox": {"resolve.js"}, "operator": {"resolve.js"}, "operator_provisioner": {"resolve.js"},
		"veto": {"resolve.js"}, "roles": {"set_role_definition.js"},
		"managed": {"releases.js", "resolve.js"},
	}
	for _, name := range constitutions.Names() {
		parts, err := constitutions.Files(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := fs.Glob(parts, "*")
		if err != nil || !slices.Equal(got, want[name]) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, name := range []string{"none", "..", "default/actions.js/x"} {
		if _, err := constitutions.Files(name); err == nil {
			t.Errorf("%q: no error", name)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	folder, name, _ := strings.Cut(path, "/")
	parts, err := constitutions.Files(folder)
	if err != nil {
		t.Fatal(err)
	}
	b, err := fs.ReadFile(parts, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
