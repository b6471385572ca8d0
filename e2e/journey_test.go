//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sandbox is what `synod sandbox` says of itself in sandbox.json.
type sandbox struct {
	URL      string   `json:"url"`
	Dir      string   `json:"dir"`
	Members  []string `json:"members"`
	Commands []string `json:"commands"`
	Others   []struct {
		URL string `json:"url"`
		PID int    `json:"pid"`
	} `json:"others"`
	cmd    *exec.Cmd
	exited chan struct{}
}

// startSandbox runs the TypeScript sample, with more flags, and waits until the
// service is open.
func startSandbox(t *testing.T, flags ...string) *sandbox {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "service")
	s := &sandbox{exited: make(chan struct{})}
	args := []string{"sandbox", "--app", repo(t, "examples", "logging-ts"), "--dir", dir, "--address", "127.0.0.1:0"}
	s.cmd = exec.Command(repo(t, "bin", "synod"), append(args, flags...)...)
	var said strings.Builder
	s.cmd.Stdout, s.cmd.Stderr = &said, &said
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.cmd.Wait(); close(s.exited) }()
	t.Cleanup(func() {
		_ = s.cmd.Process.Signal(os.Interrupt) // it ends the other nodes
		select {
		case <-s.exited:
		case <-time.After(15 * time.Second):
			_ = s.cmd.Process.Kill()
			<-s.exited
		}
	})
	eventually(t, time.Minute, "an open sandbox", func() bool {
		select {
		case <-s.exited:
			t.Fatalf("sandbox ended: %s", said.String())
		default:
		}
		text, err := os.ReadFile(filepath.Join(dir, "sandbox.json"))
		return err == nil && json.Unmarshal(text, s) == nil
	})
	return s
}

// stop ends the sandbox as Ctrl-C does.
func (s *sandbox) stop(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.exited:
	case <-time.After(15 * time.Second):
		t.Fatal("sandbox does not end")
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestJourney is a newcomer's way: an open service with three members' votes,
// a TypeScript application over mutual TLS, receipts, and a ledger that CCF's
// own Python package accepts.
func TestJourney(t *testing.T) {
	s := startSandbox(t)
	service := filepath.Join(s.Dir, "service_cert.pem")

	if len(s.Members) != 3 {
		t.Errorf("%d members, want 3", len(s.Members))
	}
	for _, command := range s.Commands {
		out := must(t, s.Dir, "bash", "-c", command+` --fail-with-body -w '\n%{http_code}'`)
		if !strings.Contains(out[strings.LastIndex(out, "\n"):], "2") {
			t.Errorf("%s\n%s", command, out)
		}
	}

	curl := func(args ...string) string {
		return must(t, s.Dir, "curl", append([]string{"-sS", "--fail-with-body", "--cacert", service,
			"--cert", "user0_cert.pem", "--key", "user0_privk.pem"}, args...)...)
	}
	transaction := regexp.MustCompile(`(?im)^x-ms-ccf-transaction-id: *(\S+)`)
	for _, path := range []string{"private", "public"} {
		headers := curl("-D", "-", "-X", "POST", "-H", "content-type: application/json", "-H", "x-synod-wait: committed",
			"--data", `{"id": 42, "msg": "hello"}`, s.URL+"/app/log/"+path)
		m := transaction.FindStringSubmatch(headers)
		if m == nil {
			t.Fatalf("no transaction in %s", headers)
		}
		if got := curl(s.URL + "/app/log/" + path + "?id=42"); !strings.Contains(got, "hello") {
			t.Errorf("read back %s", got)
		}
		file := filepath.Join(s.Dir, path+".json")
		must(t, s.Dir, repo(t, "bin", "synod"), "receipt", "get", m[1], "--url", s.URL, "--service-cert", service, "--as", "user0", "--out", file)
		must(t, s.Dir, repo(t, "bin", "synod"), "receipt", "verify", file, "--service-cert", service, "--tx", m[1])
		if says, ok := verify(t, "receipt", file, "--service", service); !ok {
			t.Error(says)
		}
		flipped(t, file, service)
	}

	// Kill, not stop: what was committed is on disk.
	if err := s.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-s.exited
	ledger := filepath.Join(s.Dir, "ledger")
	must(t, s.Dir, repo(t, "bin", "synod"), "ledger", "verify", ledger)
	says, ok := verify(t, "ledger", ledger, "--uncommitted", "--at-least", "15")
	if !ok {
		t.Error(says)
	}
	t.Log(strings.TrimSpace(says))
}

// flipped checks that neither verifier takes a receipt with one bit changed in
// its signature.
func flipped(t *testing.T, file, service string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	i := strings.Index(string(text), `"write_set_digest"`) + len(`"write_set_digest":"`) + 5
	if text[i] == '0' {
		text[i] = '1'
	} else {
		text[i] = '0'
	}
	bad := file + ".bad"
	if err := os.WriteFile(bad, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := run(t, ".", repo(t, "bin", "synod"), "receipt", "verify", bad, "--service-cert", service); code != 3 {
		t.Errorf("changed receipt: exit code %d, want 3: %s%s", code, out, errs)
	}
	if says, ok := verify(t, "receipt", bad, "--service", service); ok {
		t.Error("CCF's package takes a changed receipt: " + says)
	}
}

// TestReadmeTour types what README.md says.
func TestReadmeTour(t *testing.T) {
	text, err := os.ReadFile(repo(t, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, tour, _ := strings.Cut(string(text), "<!-- tour -->")
	tour, _, ok := strings.Cut(tour, "<!-- /tour -->")
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(tour, -1)
	if !ok || len(blocks) < 3 {
		t.Fatal("README.md has no tour")
	}
	s := startSandbox(t)
	script := "set -eu\nexport PATH=" + repo(t, "bin") + ":$PATH SYNOD_URL=" + s.URL + "\n"
	for _, b := range blocks {
		script += b[1]
	}
	out := must(t, s.Dir, "bash", "-c", script)
	for _, want := range []string{"hello", "verified: JSON receipt", "good      up to 2."} {
		if !strings.Contains(out, want) {
			t.Errorf("the tour does not say %q:\n%s", want, out)
		}
	}
	s.stop(t)
}
