package arm

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestCodesAreDocumented wants each code on the page that users read.
func TestCodesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	_, ours, _ := strings.Cut(string(page), "## Of the management API")
	source, err := os.ReadFile("errors.go")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^\tCode\w+\s+= "(\w+)"`).FindAllStringSubmatch(string(source), -1)
	if len(found) < 30 {
		t.Fatalf("%d codes", len(found))
	}
	for _, m := range found {
		if !strings.Contains(ours, "\n| `"+m[1]+"` |") {
			t.Errorf("docs/errors.md does not list %s", m[1])
		}
	}
}
