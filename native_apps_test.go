package synod_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// outsider is a module that uses only what is public.
const outsider = "examples/bank"

// docBlocks returns the fenced blocks of a page by their language.
func docBlocks(t *testing.T, name string) map[string][]string {
	t.Helper()
	blocks := map[string][]string{}
	for i, part := range strings.Split("\n"+readText(t, name), "\n```") {
		if i%2 == 1 {
			language, text, _ := strings.Cut(part, "\n")
			blocks[language] = append(blocks[language], text)
		}
	}
	return blocks
}

// unindented is a text without the indentation of its lines.
func unindented(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}

// TestNativeAppsPage keeps the code in docs/native-apps.md and docs/history.md equal to that of the
// examples, which is compiled and tested.
func TestNativeAppsPage(t *testing.T) {
	var code strings.Builder
	for _, pattern := range []string{outsider + "/go.mod", outsider + "/*.go", outsider + "/*/*.go", "examples/logging/logapp/*.go"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, name := range names {
			code.WriteString(unindented(readText(t, name)) + "\n")
		}
	}
	blocks := docBlocks(t, "docs/native-apps.md")
	if len(blocks["go"]) < 10 {
		t.Fatalf("found only %d blocks of Go", len(blocks["go"]))
	}
	blocks["go"] = append(blocks["go"], docBlocks(t, "docs/history.md")["go"]...)
	for _, block := range append(blocks["go"], blocks[""]...) {
		if !strings.Contains(code.String(), unindented(block)) {
			t.Errorf("the page quotes what no example holds:\n%s", block)
		}
	}
}

// TestOutsider runs the commands of docs/native-apps.md in the outsider's
// module, without network, and leaves its go.mod and go.sum as they are.
func TestOutsider(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a node")
	}
	dir := t.TempDir()
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	mod := strings.ReplaceAll(readText(t, outsider+"/go.mod"), "../..", root)
	writeFile(t, filepath.Join(dir, "go.mod"), mod)
	writeFile(t, filepath.Join(dir, "go.sum"), readText(t, outsider+"/go.sum"))
	env := append(os.Environ(), "CGO_ENABLED=0", "GOPROXY=off", "GOSUMDB=off", "GOWORK=off",
		"GOFLAGS=-mod=mod -modfile="+filepath.Join(dir, "go.mod"))
	commands := docBlocks(t, "docs/native-apps.md")["sh"]
	if len(commands) != 1 {
		t.Fatalf("%d blocks of commands, want 1", len(commands))
	}
	var last string
	for line := range strings.Lines(commands[0]) {
		args := strings.Fields(strings.ReplaceAll(line, " bank ", " "+filepath.Join(dir, "bank")+" "))
		if args[0] == "./bank" {
			args[0] = filepath.Join(dir, "bank")
		}
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...) //nolint:gosec // from our own page
		cmd.Dir, cmd.Env = outsider, env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		last = string(out)
	}
	if !strings.Contains(last, "CCF host: synod-") {
		t.Errorf("the last command said %q", last)
	}
}
