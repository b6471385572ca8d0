//go:build e2e

// Package portal tells the consortium's story to the real server in the
// distribution's Chromium.
package portal

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// storyTime bounds one story.
const storyTime = 10 * time.Minute

// TestPortalSmoke is sign-in, the wizard with keys made in the browser, three
// activations, a vote and verified receipts, by keyboard.
func TestPortalSmoke(t *testing.T) { story(t, "smoke") }

// TestPortal adds all pages in both themes and at 360 px, rollback, a replaced
// node, lies of the control plane, dropped files, backup and restore. It takes
// minutes: make portal-story. SHOTS=DIR keeps screenshots.
func TestPortal(t *testing.T) {
	if os.Getenv("PORTAL_WHOLE") == "" {
		t.Skip("make portal-story runs it")
	}
	story(t, "whole")
}

func story(t *testing.T, which string) {
	if _, err := os.Stat("/usr/bin/chromium"); err != nil && os.Getenv("CHROMIUM") == "" {
		t.Fatal("needs Chromium: apt-get install chromium, or name one in CHROMIUM")
	}
	ctx, cancel := context.WithTimeout(t.Context(), storyTime)
	defer cancel()
	address := server(ctx, t)
	cmd := exec.CommandContext(ctx, "node", "story.mjs", address, which)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

// server starts synod server with everything in a temporary directory, and
// returns the address that signs in.
func server(ctx context.Context, t *testing.T) string {
	t.Helper()
	bin, err := filepath.Abs(filepath.Join("..", "..", "bin", "synod"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, bin, "server", "--temp", "--listen", "127.0.0.1:0", "-o", "json")
	cmd.Dir = t.TempDir()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) } // ends its nodes
	cmd.WaitDelay = 20 * time.Second
	errs, err := os.Create(filepath.Join(t.TempDir(), "server.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer errs.Close()
	cmd.Stderr = errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: run make build first", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		_ = cmd.Wait()
		log, _ := os.ReadFile(errs.Name())
		if strings.Contains(string(log), "PRIVATE KEY") {
			t.Error("the server's log has a private key")
		}
		if t.Failed() {
			t.Logf("server: %s", log)
		}
	})
	var info struct{ Portal string }
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&info); err != nil || info.Portal == "" {
		t.Fatalf("the server says no portal address: %v", err)
	}
	return info.Portal
}
