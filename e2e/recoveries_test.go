//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"synod/internal/ledger"
)

// TestTwoRecoveries rekeys a service again and again over many chunks and
// snapshots, loses it twice, and recovers it: from a snapshot with what is older
// in a read-only directory, and from the ledger alone. CCF's package verifies all
// that is left of the three lives, and the last one proves what the first did.
func TestTwoRecoveries(t *testing.T) {
	c := &lives{cluster: found(t)}
	c.live(3)
	first := c.lose()
	if first.snapshots == 0 || len(first.chunks) < 5 {
		t.Fatalf("a first life of %d snapshots and %d chunks", first.snapshots, len(first.chunks))
	}

	c.recover(first, func(node string) {
		// Half of what is committed moves to a read-only directory.
		for _, chunk := range first.chunks[:len(first.chunks)/2] {
			move(t, filepath.Join(node, "ledger", chunk), filepath.Join(node, "old"))
		}
	})
	c.live(2)
	second := c.lose()
	if len(second.chunks) < 3 || second.snapshots < 1 {
		t.Fatalf("a second life of %d snapshots and %d chunks", second.snapshots, len(second.chunks))
	}

	c.recover(second, func(node string) {
		if err := os.RemoveAll(filepath.Join(node, "snapshots")); err != nil {
			t.Fatal(err)
		}
	})
	c.live(1)
	for i := 0; i < len(c.ids); i += 5 {
		c.proves(i, c.ids[i])
	}
	third := c.lose()

	// The whole ledger, of which part is in the read-only directory.
	for _, args := range [][]string{{"--uncommitted"}, {}} {
		says, ok := verify(t, append([]string{"ledger", filepath.Join(third.dir, "ledger"), filepath.Join(third.dir, "old")}, args...)...)
		t.Log(strings.TrimSpace(says))
		if !ok {
			t.Errorf("%v: %s", args, says)
		}
	}
	must(t, c.home, repo(t, "bin", "synod"), "ledger", "verify", "--governance", filepath.Join(third.dir, "ledger"), filepath.Join(third.dir, "old"), "--service-cert", "service_cert.pem")
	if says, ok := verify(t, "ledger", filepath.Join(third.dir, "ledger")); ok {
		t.Errorf("without the read-only directory: %s", says)
	}
	for _, life := range []*remains{first, second, third} {
		files, err := filepath.Glob(filepath.Join(life.dir, "snapshots", "*.committed"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if says, ok := verify(t, "snapshot", file); !ok {
				t.Error(says)
			}
		}
	}
}

// TestSealedResumes kills a service twice whose members allow it to come back by
// itself, with rekeys between. It is the same service for its clients, and CCF's
// package verifies its ledger and what it proves of all its lives.
func TestSealedResumes(t *testing.T) {
	c := &lives{cluster: found(t)}
	identity := c.pem("service_cert.pem")
	c.propose("set_sealed_resume", "allowed=true")
	c.until("/node/sealing", `"sealed_at"`)
	for range 2 {
		c.live(1)
		c.resume()
		if c.pem("service_cert.pem") != identity {
			t.Fatal("the service's certificate is another")
		}
	}
	c.live(1)
	for i := 0; i < len(c.ids); i += 4 {
		c.proves(i, c.ids[i])
	}
	last := c.lose()
	says, ok := verify(t, "ledger", filepath.Join(last.dir, "ledger"), "--uncommitted")
	t.Log(strings.TrimSpace(says))
	if !ok {
		t.Error(says)
	}
	must(t, c.home, repo(t, "bin", "synod"), "ledger", "verify", "--governance", filepath.Join(last.dir, "ledger"), "--service-cert", "service_cert.pem")
}

// resume kills the node and has another come back from what it has left.
func (c *lives) resume() {
	c.t.Helper()
	m := c.all[0]
	if err := m.cmd.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	<-m.exited
	dir := prepare(c.t, func(cfg map[string]any) {
		small(cfg)
		cfg["command"] = map[string]any{
			"type": "Recover", "service_certificate_file": "service_cert.pem",
			"recover": map[string]any{
				"previous_service_identity_file":         filepath.Join(c.home, "service_cert.pem"),
				"previous_sealed_ledger_secret_location": "sealed", "sealed_resume": true,
			},
		}
	})
	for _, name := range []string{"ledger", "snapshots", "sealed"} {
		must(c.t, dir, "cp", "-r", filepath.Join(m.dir, name), name)
	}
	n := startApp(c.t, dir, "logging")
	url := n.ready(c.t)
	must(c.t, c.home, "cp", filepath.Join(dir, "service_cert.pem"), "service_cert.pem")
	c.all = []*member{{node: n, name: filepath.Base(dir), url: url}}
	c.until("/node/network", `"service_status":"Open"`)
	c.until("/node/ready/app", "204")
	c.until("/node/sealing", `"sealed_at"`)
}

// lives is a service that is lost and recovered.
type lives struct {
	*cluster
	ids []string // transactions that its clients were told of
}

// remains is what a lost service has left.
type remains struct {
	dir       string // of the node
	identity  string // the service's certificate
	chunks    []string
	snapshots int
}

// live has the service do something of everything, each time under another ledger
// secret.
func (c *lives) live(secrets int) {
	c.t.Helper()
	for range secrets {
		for range 12 {
			c.wrote++
			head := c.curl(c.all[0], "/app/log/private/anonymous", "-i", "-H", "content-type: application/json", "-H", "x-synod-wait: committed",
				"--data", fmt.Sprintf(`{"id": %d, "msg": "message %d"}`, c.wrote, c.wrote))
			c.ids = append(c.ids, regexp.MustCompile(`(?i)x-ms-ccf-transaction-id: (\S+)`).FindStringSubmatch(head)[1])
		}
		c.propose("trigger_ledger_rekey")
	}
	c.write(6)
	c.propose("trigger_snapshot")
	c.write(6)
}

// lose ends the service.
func (c *lives) lose() *remains {
	c.t.Helper()
	m := c.all[0]
	c.stop(m)
	if strings.Contains(m.file("out"), "cannot be read") {
		c.t.Error("a node complains about a ledger that is sound")
	}
	r := &remains{dir: m.dir, identity: filepath.Join(m.dir, "lost.pem")}
	must(c.t, c.home, "cp", "service_cert.pem", r.identity)
	chunks, err := ledger.List(filepath.Join(m.dir, "ledger"), ledger.WalkOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, chunk := range chunks {
		r.chunks = append(r.chunks, filepath.Base(chunk.Path))
	}
	files, err := filepath.Glob(filepath.Join(m.dir, "snapshots", "*.committed"))
	if err != nil {
		c.t.Fatal(err)
	}
	r.snapshots = len(files)
	return r
}

// recover brings the service back on a copy of its files that change has changed.
func (c *lives) recover(r *remains, change func(node string)) {
	c.t.Helper()
	dir := prepare(c.t, func(cfg map[string]any) {
		small(cfg)
		cfg["ledger"] = map[string]any{"chunk_size": "12KB", "read_only_directories": []any{"old"}}
		cfg["command"] = map[string]any{
			"type": "Recover", "service_certificate_file": "service_cert.pem",
			"recover": map[string]any{"previous_service_identity_file": r.identity},
		}
	})
	for _, name := range []string{"ledger", "snapshots", "old"} {
		from := filepath.Join(r.dir, name)
		if _, err := os.Stat(from); err != nil {
			must(c.t, dir, "mkdir", name)
			continue
		}
		must(c.t, dir, "cp", "-r", from, name)
	}
	change(dir)
	n := startApp(c.t, dir, "logging")
	url := n.ready(c.t)
	must(c.t, c.home, "cp", filepath.Join(dir, "service_cert.pem"), "service_cert.pem")
	c.all = []*member{{node: n, name: filepath.Base(dir), url: url}}
	c.until(`/node/state`, `"state":"PartOfPublicNetwork"`)
	c.synod("recovery", "open", "--previous-identity", r.identity, "--as", "member0")
	c.synod("recovery", "share", "submit", "--as", "member0")
	c.until(`/node/network`, `"service_status":"Open"`)
	c.until("/node/ready/app", "204") // open where it is committed, too
}

// until polls the node: its answer, and then the status, contain what is wanted.
func (c *lives) until(path, want string) {
	c.t.Helper()
	eventually(c.t, 30*time.Second, want, func() bool {
		out, _, _ := run(c.t, c.home, "curl", "-sS", "-w", "\n%{http_code}", "--cacert", "service_cert.pem", c.all[0].url+path)
		return strings.Contains(out, want)
	})
}

// proves has CCF's package check the receipt that the service gives now.
func (c *lives) proves(i int, id string) {
	c.t.Helper()
	file := filepath.Join(c.home, "receipt.json")
	eventually(c.t, 30*time.Second, "a receipt of "+id, func() bool {
		code := must(c.t, c.home, "curl", "-sS", "--cacert", "service_cert.pem", "-o", file, "-w", "%{http_code}", c.all[0].url+"/app/receipt?transaction_id="+id)
		if !slices.Contains([]string{"200", "202"}, code) {
			c.t.Fatalf("receipt of %s: %s", id, code)
		}
		return code == "200"
	})
	if says, ok := verify(c.t, "receipt", file, "--service", filepath.Join(c.home, "service_cert.pem")); !ok {
		c.t.Errorf("record %d: %s", i, says)
	}
}

func move(t *testing.T, file, dir string) {
	t.Helper()
	must(t, ".", "mv", file, dir)
}
