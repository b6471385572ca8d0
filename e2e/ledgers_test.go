//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"synod"
	"synod/internal/ledger"
)

// cluster is a service of several processes of bin/logging.
type cluster struct {
	t     *testing.T
	home  string // where the member's keys and the service's certificate are
	all   []*member
	wrote int
}

// member is a node of a cluster.
type member struct {
	*node
	name, id, url string
}

// found starts a service of one node and opens it. Chunks and snapshots are
// small, so that there are many.
func found(t *testing.T) *cluster {
	c := &cluster{t: t}
	c.home = prepare(t, small)
	c.add(startApp(t, c.home, "logging"))
	c.synod("member", "activate", "--as", "member0")
	c.propose("transition_service_to_open", "next_service_identity="+c.pem("service_cert.pem"))
	return c
}

func small(cfg map[string]any) {
	cfg["ledger"] = map[string]any{"chunk_size": "12KB"}
	cfg["snapshots"] = map[string]any{"tx_count": 20}
	cfg["consensus"] = map[string]any{"message_timeout": "100ms", "election_timeout": "2000ms"}
}

// join starts a node that joins by way of another, and has the member trust it.
func (c *cluster) join() *member {
	c.t.Helper()
	dir := prepare(c.t, func(cfg map[string]any) {
		small(cfg)
		cfg["command"] = map[string]any{
			"type": "Join", "service_certificate_file": filepath.Join(c.home, "service_cert.pem"),
			"join": map[string]any{"target_rpc_address": strings.TrimPrefix(c.up()[0].url, "https://"), "retry_timeout": "100ms"},
		}
	})
	if err := os.Symlink(filepath.Join(c.home, "service_cert.pem"), filepath.Join(dir, "service_cert.pem")); err != nil {
		c.t.Fatal(err)
	}
	n := startApp(c.t, dir, "logging")
	id := ""
	eventually(c.t, 20*time.Second, "a pending node", func() bool {
		for _, info := range c.nodes() {
			if info.Status == "Pending" {
				id = info.NodeID
			}
		}
		return id != ""
	})
	c.propose("transition_node_to_trusted", "node_id="+id, `valid_from="`+time.Now().UTC().Format("060102150405Z")+`"`)
	return c.add(n)
}

// add waits until a node is one of the service's.
func (c *cluster) add(n *node) *member {
	c.t.Helper()
	m := &member{node: n, name: fmt.Sprintf("node%d", len(c.all)), url: n.ready(c.t)}
	var self struct {
		NodeID string `json:"node_id"`
	}
	if err := json.Unmarshal([]byte(c.curl(m, "/node/network/nodes/self")), &self); err != nil {
		c.t.Fatal(err)
	}
	m.id = self.NodeID
	c.all = append(c.all, m)
	return m
}

// up are the nodes that run.
func (c *cluster) up() []*member {
	return slices.DeleteFunc(slices.Clone(c.all), func(m *member) bool {
		select {
		case <-m.exited:
			return true
		default:
			return false
		}
	})
}

func (c *cluster) pem(name string) string {
	text, err := json.Marshal(c.all[0].file(name))
	if err != nil {
		panic(err)
	}
	return string(text)
}

func (c *cluster) synod(args ...string) string {
	c.t.Helper()
	return must(c.t, c.home, repo(c.t, "bin", "synod"), append(args, "--url", c.up()[0].url, "--service-cert", "service_cert.pem")...)
}

func (c *cluster) propose(action string, args ...string) {
	c.t.Helper()
	command := []string{"proposal", "create", "--action", action, "--as", "member0"}
	for _, a := range args {
		command = append(command, "--arg", a)
	}
	if out := c.synod(append(command, "-o", "json")...); !strings.Contains(out, "Accepted") {
		c.t.Fatalf("%s: %s", action, out)
	}
}

func (c *cluster) curl(m *member, path string, args ...string) string {
	c.t.Helper()
	return must(c.t, c.home, "curl", append([]string{"-sS", "-L", "--fail-with-body", "--max-time", "20", "--cacert", "service_cert.pem", m.url + path}, args...)...)
}

type nodeInfo struct {
	NodeID  string `json:"node_id"`
	Status  string `json:"status"`
	Primary bool   `json:"primary"`
}

func (c *cluster) nodes() []nodeInfo {
	c.t.Helper()
	var list struct{ Nodes []nodeInfo }
	if err := json.Unmarshal([]byte(c.curl(c.up()[0], "/node/network/nodes")), &list); err != nil {
		c.t.Fatal(err)
	}
	return list.Nodes
}

// primary waits until the nodes that run agree on one of them.
func (c *cluster) primary() *member {
	c.t.Helper()
	var found *member
	eventually(c.t, 30*time.Second, "one primary", func() bool {
		found = nil
		for _, m := range c.up() {
			var state struct{ Details struct{ PrimaryID string } }
			out, _, code := run(c.t, c.home, "curl", "-sS", "--fail", "--cacert", "service_cert.pem", m.url+"/node/consensus")
			if code != 0 || json.Unmarshal([]byte(strings.ReplaceAll(out, "primary_id", "PrimaryID")), &state) != nil {
				return false
			}
			i := slices.IndexFunc(c.up(), func(m *member) bool { return m.id == state.Details.PrimaryID })
			if i < 0 || (found != nil && found != c.up()[i]) {
				return false
			}
			found = c.up()[i]
		}
		return true
	})
	return found
}

// write has every node that runs take a few writes, each until it is committed.
func (c *cluster) write(n int) {
	c.t.Helper()
	for range n {
		up := c.up()
		c.wrote++
		c.curl(up[c.wrote%len(up)], "/app/log/private/anonymous", "-H", "content-type: application/json", "-H", "x-synod-wait: committed",
			"--data", fmt.Sprintf(`{"id": %d, "msg": "message %d"}`, c.wrote, c.wrote))
	}
}

// leave retires a node and stops it when the service does not need it any more.
func (c *cluster) leave(m *member) {
	c.t.Helper()
	c.propose("remove_node", "node_id="+m.id)
	eventually(c.t, 20*time.Second, m.name+" may be stopped", func() bool {
		out, _, _ := run(c.t, c.home, "curl", "-sS", "-L", "--cacert", "service_cert.pem", c.stays(m).url+"/node/network/removable_nodes")
		return strings.Contains(out, m.id)
	})
	c.stop(m)
	c.curl(c.primary(), "/node/network/nodes/"+m.id, "-X", "DELETE")
}

// stays is a node that runs and is not m.
func (c *cluster) stays(m *member) *member {
	up := c.up()
	return up[slices.IndexFunc(up, func(o *member) bool { return o != m })]
}

func (c *cluster) stop(m *member) {
	c.t.Helper()
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		c.t.Fatal(err)
	}
	if code := m.exit(c.t); code != 0 || m.file("err") != "" {
		c.t.Errorf("%s: exit code %d, %s", m.name, code, m.file("err"))
	}
}

// TestLedgersOfAllNodes has nodes join from the log and from snapshots, retire,
// among them a primary, and die; then the ledgers of all nodes that ever
// were are equal as far as the service committed, and CCF's package verifies each,
// and every snapshot.
func TestLedgersOfAllNodes(t *testing.T) {
	c := found(t)
	c.join()
	c.join()
	c.write(15)

	dead := c.primary()
	if err := dead.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-dead.exited
	c.primary()
	c.propose("remove_node", "node_id="+dead.id)
	c.join()
	c.write(15)

	c.join()
	c.leave(c.primary())
	c.write(15)
	c.leave(c.stays(c.primary()))
	c.join()
	c.write(15)

	final := c.settle()
	t.Logf("%d nodes, committed up to %s", len(c.all), final)
	last := c.up()
	for _, m := range last {
		c.stop(m)
	}
	h := &history{
		places: map[synod.TxID][]byte{}, order: make([]synod.TxID, final.SeqNo),
		files: map[string]string{}, ends: map[synod.SeqNo]string{},
	}
	for _, m := range slices.Concat(last, c.all) {
		if err := h.add(m, slices.Contains(last, m)); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
	if i := slices.Index(h.order, synod.TxID{}); i >= 0 {
		t.Fatalf("no node has the committed entry %d", i+1)
	}
	snapshots := 0
	for _, m := range c.all {
		snapshots += c.judge(m, h)
	}
	if snapshots < len(c.all) {
		t.Errorf("%d snapshots of %d nodes", snapshots, len(c.all))
	}
}

// settle waits until all nodes that run have committed the same, and returns it.
func (c *cluster) settle() synod.TxID {
	c.t.Helper()
	var final synod.TxID
	eventually(c.t, 20*time.Second, "one commit on all nodes", func() bool {
		final = synod.TxID{}
		for _, m := range c.up() {
			var commit struct {
				ID synod.TxID `json:"transaction_id"`
			}
			if err := json.Unmarshal([]byte(c.curl(m, "/node/commit")), &commit); err != nil {
				c.t.Fatal(err)
			}
			if !final.IsZero() && commit.ID != final {
				return false
			}
			final = commit.ID
		}
		return true
	})
	return final
}

// history is what the ledgers of all nodes say together.
type history struct {
	places map[synod.TxID][]byte  // entries, committed or not
	order  []synod.TxID           // the committed ones
	files  map[string]string      // committed chunks, a path by name
	ends   map[synod.SeqNo]string // the same by their last entry
}

// add takes the ledger of a node, and fails where it has anything else than
// another node. Of a node that saw the final commit, all up to there counts as
// committed; of others, what is in files named so.
func (h *history) add(m *member, whole bool) error {
	dir := filepath.Join(m.dir, "ledger")
	err := ledger.Walk(dir, ledger.WalkOptions{Uncommitted: true}, func(p ledger.Place, e *ledger.Entry) error {
		if other := h.places[e.TxID]; other != nil && !bytes.Equal(other, e.Raw) {
			return fmt.Errorf("%s in %s is not what another node has", e.TxID, filepath.Base(p.File))
		}
		h.places[e.TxID] = bytes.Clone(e.Raw)
		committed := whole || strings.HasSuffix(p.File, ".committed")
		if i := int(e.TxID.SeqNo) - 1; committed && i < len(h.order) {
			if other := h.order[i]; !other.IsZero() && other != e.TxID {
				return fmt.Errorf("%s is committed as %s by another node", e.TxID, other)
			}
			h.order[i] = e.TxID
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("walk: %w", err)
	}
	chunks, err := ledger.List(dir, ledger.WalkOptions{})
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	for _, chunk := range chunks {
		name := filepath.Base(chunk.Path)
		mine, err := os.ReadFile(chunk.Path)
		if err != nil {
			return fmt.Errorf("read chunk: %w", err)
		}
		if first := h.files[name]; first != "" {
			theirs, err := os.ReadFile(first)
			if err != nil {
				return fmt.Errorf("read chunk: %w", err)
			}
			if !bytes.Equal(mine, theirs) {
				return fmt.Errorf("%s is not the file that another node has", name)
			}
		}
		h.files[name], h.ends[chunk.Name.End] = chunk.Path, chunk.Path
	}
	return nil
}

// judge has both verifiers look at the ledger of a node, and CCF's at each of
// its snapshots. What comes before the snapshot that a node joined from, it
// takes from others, as an operator would.
func (c *cluster) judge(m *member, h *history) (snapshots int) {
	c.t.Helper()
	dir := c.t.TempDir()
	chunks, err := ledger.List(filepath.Join(m.dir, "ledger"), ledger.WalkOptions{Uncommitted: true})
	if err != nil || len(chunks) == 0 {
		c.t.Fatalf("%s: %d chunks, %v", m.name, len(chunks), err)
	}
	first := chunks[0].Name.Start
	paths := []string{}
	for _, chunk := range chunks {
		paths = append(paths, chunk.Path)
	}
	for first > 1 {
		path := h.ends[first-1]
		if path == "" {
			c.t.Fatalf("%s: its ledger begins at %d, and no chunk ends there", m.name, first)
		}
		name, _ := ledger.ParseName(filepath.Base(path))
		paths, first = append(paths, path), name.Start
	}
	for _, path := range paths {
		if err := os.Link(path, filepath.Join(dir, filepath.Base(path))); err != nil {
			c.t.Fatal(err)
		}
	}
	must(c.t, dir, repo(c.t, "bin", "synod"), "ledger", "verify", dir, "--governance", "--service-cert", filepath.Join(c.home, "service_cert.pem"))
	says, ok := verify(c.t, "ledger", dir, "--uncommitted")
	if !ok {
		c.t.Errorf("%s: %s", m.name, says)
	}
	c.t.Logf("%s: begins at %d; %s", m.name, chunks[0].Name.Start, strings.TrimSpace(says))
	files, err := filepath.Glob(filepath.Join(m.dir, "snapshots", "snapshot_*.committed"))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, file := range files {
		if says, ok := verify(c.t, "snapshot", file); !ok {
			c.t.Errorf("%s: %s", m.name, says)
		}
	}
	return len(files)
}
