package cli

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// ranElsewhere are commands that no script of testdata runs with success, and
// what does.
var ranElsewhere = map[string]string{
	"synod bench": "make bench: it takes minutes and the binaries of make build",
	"synod node":  "e2e, and every sandbox with --nodes",
}

// withoutFormat are commands that print no result of their own to format.
var withoutFormat = map[string]string{
	"synod node":          "CCF's command line",
	"synod app trace":     "a filter of text",
	"synod ledger export": "JSON, always",
}

// leaves are the commands that do something, by their whole names.
func leaves(c *cobra.Command) map[string]*cobra.Command {
	found := map[string]*cobra.Command{}
	if len(c.Commands()) == 0 {
		found[c.CommandPath()] = c
	}
	for _, child := range c.Commands() {
		if child.Name() != "help" {
			maps.Copy(found, leaves(child))
		}
	}
	return found
}

func testRoot() *cobra.Command {
	return newRoot(&Env{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard, Getenv: func(string) string { return "" }})
}

// TestEachCommandIsDescribed: what every command must have.
func TestEachCommandIsDescribed(t *testing.T) {
	for name, c := range leaves(testRoot()) {
		if c.Short == "" || c.Example == "" {
			t.Errorf("%s: no description, or no example", name)
		}
		if (c.Flags().Lookup("output") == nil) != (withoutFormat[name] != "") {
			t.Errorf("%s: has -o, or should have it", name)
		}
		for example := range strings.SplitSeq(c.Example, "\n") {
			for _, command := range commandsIn(example) {
				if _, err := parseUse(command); err != nil {
					t.Errorf("%s: the example %q: %v", name, example, err)
				}
			}
		}
	}
}

// use is how a command is called somewhere.
type use struct {
	command string
	flags   []string // names, without values
	args    int
	where   string
}

// covers says that whoever runs u has run what other shows.
func (u use) covers(other use) bool {
	for _, f := range other.flags {
		if !slices.Contains(u.flags, f) {
			return false
		}
	}
	return u.command == other.command && min(u.args, 1) == min(other.args, 1)
}

// parseUse reads the words of a command line, the first of which is synod.
func parseUse(words []string) (use, error) {
	root := testRoot()
	c, rest, err := root.Find(words[1:])
	if err != nil {
		return use{}, err
	}
	u := use{command: c.CommandPath()}
	if c.Name() == "node" { // whose flags serve reads
		return u, nil
	}
	if err := c.Flags().Parse(rest); err != nil {
		return use{}, err
	}
	c.Flags().Visit(func(f *pflag.Flag) {
		// The environment stands for these two in scripts.
		if f.Name != "url" && f.Name != "service-cert" {
			u.flags = append(u.flags, f.Name)
		}
	})
	u.args = c.Flags().NArg()
	return u, nil
}

// wordsOf splits a line as a shell would, as far as our scripts and pages need.
func wordsOf(line string) []string {
	var words []string
	word, quote, any := "", rune(0), false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word += string(r)
		case r == '\'' || r == '"':
			quote, any = r, true
		case r == '#' && word == "" && !any:
			return words
		case r == ' ' || r == '\t':
			if word != "" || any {
				words = append(words, word)
			}
			word, any = "", false
		default:
			word += string(r)
		}
	}
	if word != "" || any {
		words = append(words, word)
	}
	return words
}

// commandsIn are the calls of synod in a line, each as words.
func commandsIn(line string) [][]string {
	var out [][]string
	var now []string
	for _, w := range append(wordsOf(line), ";") {
		switch {
		case w == ";" || w == "|" || w == "&&" || strings.HasPrefix(w, "&") || strings.HasPrefix(w, ">"):
			if now != nil {
				out = append(out, now)
			}
			now = nil
		case now != nil:
			now = append(now, w)
		case w == "synod" || w == "bin/synod":
			now = []string{"synod"}
		case strings.Contains(w, "synod "): // the argument of sh -c
			out = append(out, commandsIn(w)...)
		}
	}
	return out
}

// usesInScripts are the calls of the test scripts that are no wrong usage.
func usesInScripts(t *testing.T) []use {
	t.Helper()
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var uses []use
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		script, _, _ := strings.Cut(string(text), "\n-- ")
		for line := range strings.SplitSeq(script, "\n") {
			if strings.HasPrefix(line, "status 2 ") || strings.Contains(line, " --help") {
				continue
			}
			for _, words := range commandsIn(line) {
				if u, err := parseUse(words); err == nil {
					u.where = file
					uses = append(uses, u)
				}
			}
		}
	}
	return uses
}

// TestEachCommandIsRun fails for a command that no script runs.
func TestEachCommandIsRun(t *testing.T) {
	run := map[string]bool{}
	for _, u := range usesInScripts(t) {
		run[u.command] = true
	}
	for name := range leaves(testRoot()) {
		if !run[name] && ranElsewhere[name] == "" {
			t.Errorf("no script in testdata/script runs %s", name)
		}
	}
}

// TestEachDocumentedCommandIsRun: every command line of the README, of docs/ and
// of the commands' own examples is one that some script runs: the same command
// with these flags at least, and with arguments if it has any.
func TestEachDocumentedCommandIsRun(t *testing.T) {
	scripts := usesInScripts(t)
	docs, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(docs) == 0 {
		t.Fatal(docs, err)
	}
	shown := map[string]string{} // by line
	for _, file := range append(docs, "../../README.md", "../../examples/logging-ts/README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tour := false // which e2e.TestReadmeTour types as it is
		for i, line := range strings.Split(string(text), "\n") {
			if strings.HasSuffix(line, "tour -->") {
				tour = !tour
			}
			if tour {
				continue
			}
			if filepath.Base(file) != typedPage && codeLine.MatchString(line) {
				shown[strings.TrimSpace(line)] = fmt.Sprintf("%s:%d", filepath.Base(file), i+1)
			}
			for _, quoted := range codeSpan.FindAllStringSubmatch(line, -1) {
				if words := commandsIn(quoted[1]); len(words) > 0 {
					if _, _, err := testRoot().Find(words[0][1:]); err != nil {
						t.Errorf("%s:%d: `%s`: %v", filepath.Base(file), i+1, quoted[1], err)
					}
				}
			}
		}
	}
	for name, c := range leaves(testRoot()) {
		for line := range strings.SplitSeq(c.Example, "\n") {
			shown[strings.TrimSpace(line)] = name + " --help"
		}
	}
	for line, where := range shown {
		for _, words := range commandsIn(line) {
			want, err := parseUse(words)
			if err != nil {
				t.Errorf("%s: %s: %v", where, line, err)
				continue
			}
			if ranElsewhere[want.command] == "" && !slices.ContainsFunc(scripts, func(u use) bool { return u.covers(want) }) {
				t.Errorf("%s: no script runs this: %s", where, line)
			}
		}
	}
}

// typedPage is the page whose blocks of commands e2e.TestOperatePage types as they are.
const typedPage = "operate.md"

var (
	codeLine = regexp.MustCompile(`^ *(bin/)?synod [a-z]|\| synod [a-z]`)
	codeSpan = regexp.MustCompile("`(synod [a-z][^`]*)`")
)
