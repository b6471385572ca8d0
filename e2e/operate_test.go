//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestOperatePage types what docs/operate.md says: three nodes from their
// configurations, one more, each of them replaced, certificates renewed.
func TestOperatePage(t *testing.T) {
	text, err := os.ReadFile(repo(t, "docs", "operate.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 10 {
		t.Fatalf("docs/operate.md has %d blocks of commands", len(blocks))
	}
	script := "set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n" +
		"export PATH=" + repo(t, "bin") + ":$PATH CONSTITUTIONS=" + repo(t, "constitutions") + "\n"
	for _, b := range blocks {
		script += "echo \"# $(date +%T)\"\n" + b[1]
	}
	// The page's ports may be taken on this machine.
	free, held := map[string]string{}, []net.Listener{}
	script = regexp.MustCompile(`127\.0\.0\.1:8\d{3}`).ReplaceAllStringFunc(script, func(address string) string {
		if free[address] == "" {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			free[address] = l.Addr().String()
			held = append(held, l)
		}
		return free[address]
	})
	for _, l := range held {
		l.Close()
	}
	dir := t.TempDir()
	out, errs, code := run(t, dir, "bash", "-c", script)
	for i := range 7 {
		log, err := os.ReadFile(fmt.Sprintf("%s/node%d/node.log", dir, i))
		if err != nil {
			t.Error(err)
		}
		if strings.Contains(string(log), "[fatal]") || code != 0 {
			t.Errorf("the log of node %d:\n%s", i, log)
		}
	}
	if code != 0 {
		t.Fatalf("exit code %d\n%s\n%s", code, out, errs)
	}
	for _, want := range []string{`"service_status":"Open"`, `"leadership_state":"Leader"`, "true# ", ".committed"} {
		if !strings.Contains(out, want) {
			t.Errorf("the page's commands do not say %q:\n%s", want, out)
		}
	}
}
