package node_test

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"synod"
	"synod/client"
	"synod/examples/logging/logapp"
	"synod/internal/tables"
)

// object is JSON.
type object = map[string]any

// change is what a test wants different in a node's configuration.
type change func(cfg object)

// startNodes starts a service of several nodes, with the logging application,
// and opens it: each node serves the application.
func startNodes(t testing.TB, nodes int, changes ...change) *service {
	t.Helper()
	s := newService(t)
	s.changes = changes
	first := s.run(logapp.New(), s.path("node0"), s.configuration("node0", s.startCommand()))
	s.Node = first.Node
	for range nodes - 1 {
		s.join(nil)
	}
	s.voting(nodes)
	s.open()
	for _, r := range s.nodes {
		s.ready(r) // a node opens when it knows that this is committed
	}
	return s
}

// configuration is that of a node which keeps everything below a directory.
func (s *service) configuration(name string, command object) object {
	dir := s.path(name)
	itf := func(authority string) object {
		return object{"bind_address": "127.0.0.1:0", "endorsement": object{"authority": authority}}
	}
	cfg := object{
		"network": object{
			"node_to_node_interface": object{"bind_address": "127.0.0.1:0"},
			"rpc_interfaces":         object{"main": itf("Service"), "self": itf("Node")},
		},
		"command":          command,
		"ledger":           object{"directory": filepath.Join(dir, "ledger")},
		"snapshots":        object{"directory": filepath.Join(dir, "snapshots")},
		"consensus":        object{"election_timeout": "1000ms", "message_timeout": "50ms"},
		"node_certificate": object{"initial_validity_days": 90},
		"output_files": object{
			"node_certificate_file": filepath.Join(dir, "node.pem"), "pid_file": filepath.Join(dir, "node.pid"),
			"rpc_addresses_file": filepath.Join(dir, "rpc_addresses.json"),
		},
	}
	for _, c := range s.changes {
		c(cfg)
	}
	return cfg
}

// joinCommand is that of a node that asks the one that clients speak with.
func (s *service) joinCommand() object {
	return object{
		"type": "Join", "service_certificate_file": s.path("service_cert.pem"),
		"join": object{"target_rpc_address": s.Address("main"), "retry_timeout": "100ms"},
	}
}

// joining is the configuration of the next node.
func (s *service) joining(c change) (dir string, cfg object) {
	s.joined++
	name := fmt.Sprintf("node%d", s.joined)
	cfg = s.configuration(name, s.joinCommand())
	if c != nil {
		c(cfg)
	}
	return s.path(name), cfg
}

// join starts a node that joins.
func (s *service) join(c change) *running {
	s.t.Helper()
	dir, cfg := s.joining(c)
	return s.run(logapp.New(), dir, cfg)
}

// joinInVain starts a node that must end by itself, and returns why it did.
func (s *service) joinInVain(c change) error {
	s.t.Helper()
	dir, cfg := s.joining(c)
	r, err := s.begin(logapp.New(), dir, cfg)
	if err != nil {
		return err
	}
	s.nodes = s.nodes[:len(s.nodes)-1]
	defer func() { _ = r.stop() }()
	select {
	case <-r.ended:
	case <-time.After(10 * time.Second):
		s.t.Fatalf("the node does not end; its log:\n%s", r.said)
	}
	if r.err == nil {
		s.t.Fatalf("the node ended without an error; its log:\n%s", r.said)
	}
	return r.err
}

// at path of cfg put a value.
func set(cfg object, value any, path ...string) {
	last := len(path) - 1
	for _, p := range path[:last] {
		if cfg[p] == nil {
			cfg[p] = object{}
		}
		cfg = cfg[p].(object)
	}
	cfg[path[last]] = value
}

// answer is what a node says.
type answer struct {
	status int
	header http.Header
	body   string
}

// request sends a request to a node, without following redirects, to the
// application as the user.
func (s *service) request(r *running, method, path, body string, header ...string) answer {
	s.t.Helper()
	return s.requestOn(r, "main", method, path, body, header...)
}

func (s *service) requestOn(r *running, itf, method, path, body string, header ...string) answer {
	s.t.Helper()
	a, err := s.tryRequest(r, itf, method, path, body, header...)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func (s *service) tryRequest(r *running, itf, method, path, body string, header ...string) (answer, error) {
	config := s.tls()
	if strings.HasPrefix(path, "/app") {
		config.Certificates = []tls.Certificate{{Certificate: [][]byte{s.user.CertDER}, PrivateKey: s.user.Key}}
	}
	c := &http.Client{
		Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}, Timeout: 15 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, "https://"+r.Address(itf)+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text)}, err
}

// nodeID is a node's.
func (s *service) nodeID(r *running) synod.NodeID {
	s.t.Helper()
	var state struct {
		NodeID synod.NodeID `json:"node_id"`
	}
	a := s.requestOn(r, "self", "GET", "/node/state", "")
	if err := json.Unmarshal([]byte(a.body), &state); err != nil {
		s.t.Fatalf("%s: %v", a.body, err)
	}
	return state.NodeID
}

// row is a node as the service shows it.
type row struct {
	NodeID  synod.NodeID      `json:"node_id"`
	Status  tables.NodeStatus `json:"status"`
	Primary bool              `json:"primary"`
}

// rows are the nodes that a list has. A session that the primary changes under is
// asked for anew.
func (s *service) rows(path string) map[synod.NodeID]row {
	s.t.Helper()
	var list struct{ Nodes []row }
	s.poll("a list of nodes", func() error {
		c := s.dial(nil)
		defer c.Close() // tests ask often
		_, err := c.Get(s.t.Context(), path, &list)
		if refused, ok := errors.AsType[*synod.Error](err); err != nil && (!ok || refused.Code != synod.CodeSessionConsistencyLost) {
			s.t.Fatal(err)
		}
		return err
	})
	found := map[synod.NodeID]row{}
	for _, n := range list.Nodes {
		found[n.NodeID] = n
	}
	return found
}

// status waits until a node has a status.
func (s *service) status(id synod.NodeID, want tables.NodeStatus) {
	s.t.Helper()
	s.poll(fmt.Sprintf("node %.8s to be %s", id, want), func() error {
		if got := s.rows("/node/network/nodes")[id].Status; got != want {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
}

// trust has members trust a node, and waits until it votes.
func (s *service) trust(nodes ...*running) {
	s.t.Helper()
	var actions []client.Action
	for _, r := range nodes {
		s.status(s.nodeID(r), tables.NodePending)
		actions = append(actions, trustAction(s.nodeID(r)))
	}
	s.pass(actions...)
	for _, r := range nodes {
		s.ready(r)
	}
}

func trustAction(id synod.NodeID) client.Action {
	return client.Action{Name: "transition_node_to_trusted", Args: object{
		"node_id": id, "valid_from": time.Now().UTC().Add(-time.Minute).Format("060102150405Z"), "validity_period_days": 30,
	}}
}

func removeAction(id synod.NodeID) client.Action {
	return client.Action{Name: "remove_node", Args: object{"node_id": id}}
}

// ready waits until a node serves the application.
func (s *service) ready(r *running) {
	s.t.Helper()
	s.poll("a node that serves the application", func() error {
		a, err := s.tryRequest(r, "main", "GET", "/node/ready/app", "")
		if err == nil && a.status != 204 {
			err = fmt.Errorf("status %d", a.status)
		}
		return err
	})
}

// voting waits until all nodes of the service agree on who votes: so many.
func (s *service) voting(want int) {
	s.t.Helper()
	s.poll(fmt.Sprintf("%d nodes that vote", want), func() error {
		for i, r := range s.nodes {
			var config map[synod.NodeID]any
			a, err := s.tryRequest(r, "self", "GET", "/node/config", "")
			if err == nil {
				err = json.Unmarshal([]byte(a.body), &config)
			}
			if err == nil && len(config) != want {
				err = fmt.Errorf("node %d counts %d", i, len(config))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// primary waits until one of the nodes that run leads, by its own account.
func (s *service) primary() (found *running) {
	s.t.Helper()
	s.poll("a primary", func() error {
		for _, r := range s.nodes {
			a, err := s.tryRequest(r, "self", "GET", "/node/primary", "")
			if err == nil && a.status == 200 {
				found = r
				return nil
			}
		}
		return fmt.Errorf("none of %d", len(s.nodes))
	})
	return found
}

// backups are the nodes that do not lead.
func (s *service) backups() []*running {
	s.t.Helper()
	primary := s.primary()
	return slices.DeleteFunc(slices.Clone(s.nodes), func(r *running) bool { return r == primary })
}

// gone ends a node and forgets it.
func (s *service) gone(r *running) {
	s.t.Helper()
	if err := r.stop(); err != nil {
		s.t.Error(err)
	}
	s.nodes = slices.DeleteFunc(s.nodes, func(o *running) bool { return o == r })
	if s.Node == r.Node {
		s.Node = s.nodes[0].Node
	}
}

// put writes a record through a node and waits until it is committed.
func (s *service) put(r *running, id int, msg string) synod.TxID {
	s.t.Helper()
	c := s.at(r.Node, s.user)
	defer c.Close()
	resp, err := c.Do(s.t.Context(), client.Request{
		Method: "POST", Path: "/app/log/private", Wait: client.WaitCommitted, Body: fmt.Appendf(nil, `{"id":%d,"msg":%q}`, id, msg),
	})
	if err != nil {
		s.t.Fatalf("write: %v", err)
	}
	return resp.TxID
}

// shows waits until a node shows a record.
func (s *service) shows(r *running, id int, msg string) {
	s.t.Helper()
	s.poll("a record", func() error {
		var got struct{ Msg string }
		c := s.at(r.Node, s.user)
		defer c.Close()
		_, err := c.Get(s.t.Context(), fmt.Sprintf("/app/log/private?id=%d", id), &got)
		if err == nil && got.Msg != msg {
			err = fmt.Errorf("it is %q, want %q", got.Msg, msg)
		}
		return err
	})
}

// files are the names in a directory of a node.
func (s *service) files(r *running, dir string) []string {
	s.t.Helper()
	entries, err := os.ReadDir(filepath.Join(r.dir, dir))
	if err != nil {
		s.t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

var errRetry = errors.New("try again")

// keys are an object's.
func keys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
