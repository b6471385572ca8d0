//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sub returns an object inside cfg.
func sub(cfg map[string]any, path ...string) map[string]any {
	for _, p := range path {
		cfg = cfg[p].(map[string]any)
	}
	return cfg
}

// TestStartRefused gives a node what it must refuse: it says why on standard
// output, nothing on standard error, and exits with CCF's code.
func TestStartRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(cfg map[string]any)
		put    string // a file to put in the directory first
		code   int
		says   string
	}{
		"unknown key": {
			change: func(cfg map[string]any) { sub(cfg, "network")["x"] = 1 },
			code:   105, says: "$.network.x is not a known key",
		},
		"two faults": {
			change: func(cfg map[string]any) { cfg["x"] = 1; cfg["tick_interval"] = "1.5ms" },
			code:   105, says: `$.tick_interval is "1.5ms"`,
		},
		"threshold": {
			change: func(cfg map[string]any) {
				sub(cfg, "command", "start")["service_configuration"] = map[string]any{"recovery_threshold": 2}
			},
			code: 105, says: "ecovery threshold (2)",
		},
		"pid file":     {put: "node.pid", code: 103, says: "PID file node.pid already exists. Exiting.\n"},
		"ledger there": {put: "ledger/ledger_1", code: 105, says: "On start, ledger directory should not exist or be empty"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := prepare(t, tc.change)
			if tc.put != "" {
				path := filepath.Join(dir, tc.put)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte("1"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			n := start(t, dir)
			if code := n.exit(t); code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			if out := n.file("out"); !strings.Contains(out, tc.says) {
				t.Errorf("the log lacks %q:\n%s", tc.says, out)
			}
			if errs := n.file("err"); errs != "" {
				t.Errorf("standard error: %s", errs)
			}
		})
	}
}

// TestCheckFlag validates and does nothing else.
func TestCheckFlag(t *testing.T) {
	dir := prepare(t, nil)
	must(t, dir, repo(t, "bin", "synod-node"), "--config", "config.json", "--check")
	if _, err := os.Stat(filepath.Join(dir, "node.pid")); err == nil {
		t.Error("--check wrote the PID file")
	}
}

// TestStop ends nodes by signal: cleanly by TERM and HUP, and by KILL in such
// a way that what is on disk verifies.
func TestStop(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			n := start(t, prepare(t, nil))
			n.ready(t)
			if err := n.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			code := n.exit(t)
			if signal != syscall.SIGKILL {
				if code != 0 || time.Since(began) > 10*time.Second {
					t.Errorf("exit code %d after %v", code, time.Since(began))
				}
				if want := map[syscall.Signal]string{syscall.SIGTERM: "Terminated: ", syscall.SIGHUP: "Hangup: "}[signal]; !strings.Contains(n.file("out"), want) {
					t.Errorf("the log lacks %q", want)
				}
			}
			if errs := n.file("err"); errs != "" {
				t.Errorf("standard error: %s", errs)
			}
			must(t, n.dir, repo(t, "bin", "synod"), "ledger", "verify", "ledger")
			if says, ok := verify(t, "ledger", filepath.Join(n.dir, "ledger"), "--uncommitted"); !ok {
				t.Error(says)
			}
		})
	}
}
