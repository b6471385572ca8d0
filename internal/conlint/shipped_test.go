package conlint

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"synod/constitutions"
)

var update = flag.Bool("update", false, "rewrite the golden files of testdata")

// parts are the files of a constitution below a root, in the order in which
// they are joined.
func parts(name string) []string {
	actions, resolve := []string{"default/actions.js"}, name+"/resolve.js"
	if name == "roles" {
		actions, resolve = append(actions, "roles/set_role_definition.js"), "default/resolve.js"
	}
	if name == "managed" {
		actions = append(actions, "managed/releases.js")
	}
	if name == "test" {
		actions = append(actions, "test/test_actions.js")
	}
	return append(actions, "default/validate.js", resolve, "default/apply.js")
}

func filesIn(t *testing.T, root, name string) []File {
	t.Helper()
	var files []File
	for _, part := range parts(name) {
		b, err := os.ReadFile(filepath.Join(root, part))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, File{part, string(b)})
	}
	return files
}

func report(t *testing.T, files []File) *Report {
	t.Helper()
	r, err := Lint(t.Context(), files, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestShipped compares the reports of our own constitutions with those that
// people have read.
func TestShipped(t *testing.T) {
	t.Parallel()
	for _, name := range constitutions.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := report(t, filesIn(t, filepath.Join("..", "..", "constitutions"), name))
			var got bytes.Buffer
			if err := r.WriteText(&got); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")); d != "" {
				t.Errorf("not as before; -update rewrites it:\n%s", d)
			}
			if name != "sandbox" && r.Count(Error)+r.Count(Warning) > 0 {
				t.Errorf("%d errors, %d warnings", r.Count(Error), r.Count(Warning))
			}
		})
	}
}

// TestTheirs finds in CCF's samples what is known of them. It needs CCF's tree,
// named by CCF_TREE.
func TestTheirs(t *testing.T) {
	t.Parallel()
	tree := os.Getenv("CCF_TREE")
	if tree == "" {
		t.Skip("set CCF_TREE to a checkout of CCF, whose samples/constitutions this reads")
	}
	for name, want := range map[string][]string{
		"default": {
			"warning former-votes default/resolve.js:13", // counted before, wherever the voter is now
			"warning wrong-type default/actions.js:417",
			"note validate-throws default/validate.js:1",
		},
		"operator": {
			"error operator-alone operator/resolve.js:78", // a new operator with a recovery key has a vote
			"warning former-votes operator/resolve.js:73",
			"warning resolve-throws operator/resolve.js:4", // once the proposer or a voter has left
			"warning wrong-type default/actions.js:417",
			"note operator-votes operator/resolve.js:73",
			"note validate-throws default/validate.js:1",
		},
		"operator_provisioner": {
			"error frozen operator_provisioner/resolve.js:43",
			"error resolve-throws operator_provisioner/resolve.js:48", // proposer_id is not defined
			"warning never-passes operator_provisioner/resolve.js:43",
			"warning wrong-type default/actions.js:417",
			"note validate-throws default/validate.js:1",
		},
		"sandbox": {
			"error member-alone sandbox/resolve.js:1",
			"warning member-alone sandbox/resolve.js:1",
			"warning wrong-type default/actions.js:417",
			"note validate-throws default/validate.js:1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := report(t, filesIn(t, filepath.Join(tree, "samples", "constitutions"), name))
			var got []string
			for _, f := range r.Findings {
				line := string(f.Severity) + " " + f.ID + " " + f.text()
				if len(got) == 0 || got[len(got)-1] != line {
					got = append(got, line)
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("findings (-want +got):\n%s", d)
			}
			// The holes of the operator constitution: an operator makes a voter, and
			// takes one's place.
			alone := slices.IndexFunc(r.Findings, func(f Finding) bool {
				return strings.Contains(f.What, "set_member (new is_operator with recovery key), set_member (a member replaced by is_operator), and")
			})
			if (alone >= 0) != (name == "operator") {
				t.Errorf("findings %+v", r.Findings)
			}
			if len(r.Unreached) == 0 || r.Branches < 100 || len(r.Unreached) > r.Branches/5 {
				t.Errorf("%d of %d branches never reached", len(r.Unreached), r.Branches)
			}
		})
	}
}
