//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// typed runs what a page says to type: its blocks of commands, one after the other
// in one shell and a folder of their own. It returns what they say.
func typed(t *testing.T, page string, least int) (dir, out string) {
	t.Helper()
	text, err := os.ReadFile(repo(t, "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < least {
		t.Fatalf("docs/%s has %d blocks of commands", page, len(blocks))
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
	dir = t.TempDir()
	out, errs, code := run(t, dir, "bash", "-c", script)
	logs, err := filepath.Glob(dir + "/*/node.log")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(logs, dir+"/node.log") {
		log, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		if strings.Contains(string(log), "[fatal]") || code != 0 {
			t.Errorf("%s:\n%s", file, log)
		}
	}
	if code != 0 {
		t.Fatalf("exit code %d\n%s\n%s", code, out, errs)
	}
	return dir, out
}

// TestOperatePage types what docs/operate.md says: three nodes from their
// configurations, one more, each of them replaced, one of them dead, certificates
// renewed.
func TestOperatePage(t *testing.T) {
	dir, out := typed(t, "operate.md", 10)
	for i := range 8 {
		if _, err := os.Stat(fmt.Sprintf("%s/node%d/node.log", dir, i)); err != nil {
			t.Error(err)
		}
	}
	for _, want := range []string{`"service_status":"Open"`, `"leadership_state":"Leader"`, "true# ", ".committed"} {
		if !strings.Contains(out, want) {
			t.Errorf("the page's commands do not say %q:\n%s", want, out)
		}
	}
}

// TestRehearsal types the rehearsal of docs/recover.md: a sandbox that is killed
// comes back with its user.
func TestRehearsal(t *testing.T) {
	dir, out := typed(t, "recover.md", 3)
	user := must(t, dir, "sh", "-c", "openssl x509 -in user1_cert.pem -outform DER | sha256sum | cut -c1-64")
	for _, want := range []string{
		"next: start the other nodes", "the service waits for recovery shares by proposal", "1/1 recovery shares successfully submitted",
		"next: nothing: the service is open", strings.TrimSpace(user),
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the page's commands do not say %q:\n%s", want, out)
		}
	}
}
