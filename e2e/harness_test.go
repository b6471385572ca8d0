//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// repo is an absolute path in the repository.
func repo(t testing.TB, path ...string) string {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(append([]string{root}, path...)...)
}

// run runs a command in dir to its end and returns its output and exit code.
func run(t testing.TB, dir, name string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &errs
	cmd.WaitDelay = 5 * time.Second // whatever it has started may hold its output
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		t.Fatalf("%s: %v", name, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// must is run for what has to succeed; it returns standard output.
func must(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	out, errs, code := run(t, dir, name, args...)
	if code != 0 {
		t.Fatalf("%s %s: exit code %d\n%s%s", filepath.Base(name), strings.Join(args, " "), code, out, errs)
	}
	return out
}

// verify asks CCF's Python package; it returns what it says.
func verify(t testing.TB, args ...string) (string, bool) {
	t.Helper()
	args = append([]string{repo(t, "e2e", "python", "verify.py")}, args...)
	out, errs, code := run(t, ".", repo(t, ".venv", "bin", "python3"), args...)
	return out + errs, code == 0
}

// eventually polls until ok, which may say why not.
func eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(within)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within %v", what, within)
		}
	}
}

// node is one running bin/synod-node.
type node struct {
	dir    string
	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has ended
}

// prepare makes a directory with what a Start node reads, and its
// configuration, which change may change.
func prepare(t testing.TB, change func(cfg map[string]any)) string {
	t.Helper()
	dir := t.TempDir()
	must(t, dir, repo(t, "bin", "synod"), "member", "keygen", "--name", "member0", "--enc-key")
	var constitution []any
	for _, part := range []string{"default/actions.js", "default/validate.js", "sandbox/resolve.js", "default/apply.js"} {
		constitution = append(constitution, repo(t, "constitutions", part))
	}
	cfg := map[string]any{
		"network": map[string]any{
			"node_to_node_interface": map[string]any{"bind_address": "127.0.0.1:0"},
			"rpc_interfaces": map[string]any{"main": map[string]any{
				"bind_address": "127.0.0.1:0", "endorsement": map[string]any{"authority": "Service"},
			}},
		},
		"command": map[string]any{"type": "Start", "start": map[string]any{
			"constitution_files": constitution,
			"members":            []any{map[string]any{"certificate_file": "member0_cert.pem", "encryption_public_key_file": "member0_enc_pubk.pem"}},
		}},
		"output_files": map[string]any{"pid_file": "node.pid", "rpc_addresses_file": "rpc.json", "node_certificate_file": "node.pem", "sealed_ledger_secret_location": "sealed"},
	}
	if change != nil {
		change(cfg)
	}
	text, err := json.MarshalIndent(cfg, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// start runs bin/synod-node in dir with nearly no environment, as CCF's
// infrastructure does.
func start(t testing.TB, dir string) *node {
	t.Helper()
	return startApp(t, dir, "synod-node")
}

// startApp is start for another of bin's node binaries.
func startApp(t testing.TB, dir, binary string) *node {
	t.Helper()
	n := &node{dir: dir, exited: make(chan struct{})}
	n.cmd = exec.Command(repo(t, "bin", binary), "--config", "config.json", "--log-level", "info")
	n.cmd.Dir, n.cmd.Env = dir, []string{}
	for _, name := range []string{"out", "err"} {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if name == "out" {
			n.cmd.Stdout = f
		} else {
			n.cmd.Stderr = f
		}
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = n.cmd.Wait(); close(n.exited) }()
	t.Cleanup(func() {
		_ = n.cmd.Process.Kill()
		<-n.exited
		if t.Failed() {
			const shown = 60 // lines
			lines := strings.Split(n.file("out"), "\n")
			t.Logf("%s:\n%s%s", dir, strings.Join(lines[max(len(lines)-shown, 0):], "\n"), n.file("err"))
		}
	})
	return n
}

// file is the content of a file in the node's directory, "" if there is none.
func (n *node) file(name string) string {
	b, err := os.ReadFile(filepath.Join(n.dir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		panic(err)
	}
	return string(b)
}

// exit waits for the process to end by itself and returns its exit code.
func (n *node) exit(t testing.TB) int {
	t.Helper()
	select {
	case <-n.exited:
	case <-time.After(15 * time.Second):
		t.Fatalf("node does not exit; its log:\n%s", n.file("out"))
	}
	return n.cmd.ProcessState.ExitCode()
}

// ready waits until the node answers, and returns its URL.
func (n *node) ready(t testing.TB) string {
	t.Helper()
	var addresses map[string]string
	eventually(t, 15*time.Second, "the node's files", func() bool {
		select {
		case <-n.exited:
			t.Fatalf("node ended; its log:\n%s%s", n.file("out"), n.file("err"))
		default:
		}
		return json.Unmarshal([]byte(n.file("rpc.json")), &addresses) == nil && n.file("service_cert.pem") != ""
	})
	url := "https://" + addresses["main"]
	eventually(t, 15*time.Second, "the node's first answer", func() bool {
		_, _, code := run(t, n.dir, "curl", "-sf", "--cacert", "service_cert.pem", url+"/node/commit")
		return code == 0
	})
	return url
}
