package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPortalCommands has the command line parse what the portal's pages show as
// the same on the command line.
func TestPortalCommands(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "portal", "src", "testdata", "commands.json"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	if err := json.Unmarshal(text, &lines); err != nil || len(lines) < 30 {
		t.Fatal(len(lines), err)
	}
	for _, line := range lines {
		var words []string
		for i, part := range strings.Split(line, "'") { // every second part is quoted
			if i%2 == 1 {
				words = append(words, part)
			} else {
				words = append(words, strings.Fields(part)...)
			}
		}
		c, rest, err := newRoot(&Env{Getenv: func(string) string { return "" }}).Find(words[1:])
		if err != nil || c.RunE == nil {
			t.Errorf("%s: no such command: %v", line, err)
			continue
		}
		if err := c.ParseFlags(rest); err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if err := c.ValidateArgs(c.Flags().Args()); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}
