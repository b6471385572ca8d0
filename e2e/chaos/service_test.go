//go:build e2e

package chaos

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"synod/client"
	"synod/constitutions"
	"synod/internal/identity"
)

// service is a service and all nodes that it ever had.
type service struct {
	binary, dir string
	election    time.Duration
	network     *network
	cert        []byte
	tls         *tls.Config // of the user who writes and reads
	signers     []*client.KeySigner

	mu    sync.Mutex
	nodes []*node // in order of their start
}

// node is one process.
type node struct {
	name, dir string
	snapshot  bool // joined from a snapshot, if there was one
	door      *door
	cmd       *exec.Cmd
	exited    chan struct{} // closed when the process has ended

	// Set while the node starts or joins.
	address string // for clients
	id      string // in the service's tables

	mu     sync.Mutex
	client *client.Client
	left   bool // killed, or asked to end: it takes no further part
	held   bool // stopped by SIGSTOP
}

// newService starts a service of count nodes and opens it.
func newService(ctx context.Context, binary, dir string, count int, election time.Duration) (*service, error) {
	s := &service{binary: binary, dir: dir, election: election, network: newNetwork()}
	user, err := identity.NewUser("user0", identity.Secp384r1, time.Now())
	if err != nil {
		return nil, err
	}
	members, err := s.makeMembers()
	if err != nil {
		return s, err
	}
	first, err := s.start("Start", map[string]any{"start": map[string]any{
		"constitution_files": []string{filepath.Join(dir, "constitution.js")}, "members": members,
		"service_configuration": map[string]any{"recovery_threshold": 1},
	}}, true)
	if err != nil {
		return s, err
	}
	if err := s.learn(ctx, first); err != nil {
		return s, err
	}
	if err := s.trust(user); err != nil {
		return s, err
	}
	if err := s.activate(ctx, first); err != nil {
		return s, err
	}
	if err := s.admitted(ctx, first); err != nil {
		return s, err
	}
	for range count - 1 {
		n, err := s.join(first, true)
		if err != nil {
			return s, err
		}
		if err := s.admitted(ctx, n); err != nil {
			return s, err
		}
	}
	return s, s.govern(ctx,
		client.Action{Name: "set_user", Args: map[string]any{"cert": user.CertPEM}},
		client.Action{Name: "set_js_app", Args: map[string]any{"bundle": application()}},
		client.Action{Name: "transition_service_to_open", Args: map[string]any{"next_service_identity": string(s.cert)}},
	)
}

// makeMembers writes the constitution and three members' keys.
func (s *service) makeMembers() ([]map[string]string, error) {
	write := func(name, content string) error {
		return os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600)
	}
	if err := write("constitution.js", constitutions.Default()); err != nil {
		return nil, err
	}
	var members []map[string]string
	for i := range 3 {
		name := fmt.Sprintf("member%d", i)
		m, err := identity.NewMember(name, identity.Secp384r1, time.Now())
		if err != nil {
			return nil, err
		}
		_, public, err := identity.NewEncryptionKey()
		if err != nil {
			return nil, err
		}
		signer, err := client.NewKeySigner([]byte(m.CertPEM), []byte(m.KeyPEM))
		if err != nil {
			return nil, err
		}
		s.signers = append(s.signers, signer)
		cert, key := filepath.Join(s.dir, name+"_cert.pem"), filepath.Join(s.dir, name+"_enc_pubk.pem")
		members = append(members, map[string]string{"certificate_file": cert, "encryption_public_key_file": key})
		if err := errors.Join(write(name+"_cert.pem", m.CertPEM), write(name+"_enc_pubk.pem", public)); err != nil {
			return nil, err
		}
	}
	return members, nil
}

// Sizes that make chunks and snapshots happen often.
const (
	chunkSize       = "128KB"
	snapshotTxCount = 500
)

// start runs a new node with a command of its configuration.
func (s *service) start(command string, options map[string]any, snapshot bool) (*node, error) {
	s.mu.Lock()
	n := &node{name: fmt.Sprintf("n%d", len(s.nodes)), snapshot: snapshot, exited: make(chan struct{})}
	s.mu.Unlock()
	n.dir = filepath.Join(s.dir, n.name)
	if err := os.Mkdir(n.dir, 0o755); err != nil {
		return nil, err
	}
	var err error
	if n.door, err = s.network.open(n.dir); err != nil {
		return nil, err
	}
	options["type"], options["service_certificate_file"] = command, filepath.Join(s.dir, "service_cert.pem")
	type object = map[string]any
	config, err := json.MarshalIndent(object{
		"network": object{
			"node_to_node_interface": object{"bind_address": "127.0.0.1:0", "published_address": n.door.address()},
			"rpc_interfaces":         object{"main": object{"bind_address": "127.0.0.1:0"}},
		},
		"command":      options,
		"consensus":    object{"election_timeout": fmt.Sprintf("%dms", s.election.Milliseconds())},
		"ledger":       object{"directory": "ledger", "chunk_size": chunkSize},
		"snapshots":    object{"directory": "snapshots", "tx_count": snapshotTxCount},
		"output_files": object{"pid_file": "node.pid", "rpc_addresses_file": "addresses.json", "node_to_node_address_file": "peer_address.json"},
	}, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(n.dir, "node.json"), config, 0o644); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(n.dir, "log"))
	if err != nil {
		return nil, err
	}
	n.cmd = exec.Command(s.binary, "--config", "node.json", "--log-level", "info")
	// The log goes through a pipe: it is not what a full disk is about.
	n.cmd.Dir, n.cmd.Stdout, n.cmd.Stderr = n.dir, io.MultiWriter(log), io.MultiWriter(log)
	if err := n.cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	n.door.runs(n.cmd.Process.Pid)
	go func() {
		_ = n.cmd.Wait()
		_ = log.Close()
		close(n.exited)
	}()
	s.mu.Lock()
	s.nodes = append(s.nodes, n)
	s.mu.Unlock()
	return n, nil
}

// join starts a node that asks target to let it in.
func (s *service) join(target *node, snapshot bool) (*node, error) {
	return s.start("Join", map[string]any{"join": map[string]any{
		"target_rpc_address": target.address, "retry_timeout": "200ms", "fetch_recent_snapshot": snapshot,
	}}, snapshot)
}

// learn waits until the node says where it listens.
func (s *service) learn(ctx context.Context, n *node) error {
	return poll(ctx, patience, func() error {
		if err := n.running(); err != nil {
			return err
		}
		text, err := os.ReadFile(filepath.Join(n.dir, "addresses.json"))
		if err != nil {
			return err
		}
		var addresses map[string]string
		if err := json.Unmarshal(text, &addresses); err != nil {
			return err
		}
		if s.cert == nil {
			if s.cert, err = os.ReadFile(filepath.Join(s.dir, "service_cert.pem")); err != nil {
				return err
			}
		}
		n.address = addresses["main"]
		return nil
	})
}

// trust makes what clients know of the service and the user.
func (s *service) trust(user *identity.Participant) error {
	pair, err := tls.X509KeyPair([]byte(user.CertPEM), []byte(user.KeyPEM))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.cert)
	s.tls = &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	return nil
}

// activate has all members acknowledge the state of the new service.
func (s *service) activate(ctx context.Context, n *node) error {
	return poll(ctx, patience, func() error {
		return s.at(n, func(c *client.Client) error {
			for _, signer := range s.signers {
				if _, err := client.NewMember(c, signer).Activate(ctx); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// at talks to one node, on connections that are kept.
func (s *service) at(n *node, f func(*client.Client) error) error {
	n.mu.Lock()
	if n.client == nil {
		c, err := client.Dial("https://"+n.address, client.WithServiceCertificate(s.cert), client.WithTimeout(2*time.Second), client.WithRetries(0))
		if err != nil {
			n.mu.Unlock()
			return err
		}
		n.client = c
	}
	c := n.client
	n.mu.Unlock()
	return f(c)
}

// get asks one node for JSON.
func (s *service) get(ctx context.Context, n *node, path string, out any) error {
	return s.at(n, func(c *client.Client) error {
		_, err := c.Get(ctx, path, out)
		return err
	})
}

// running is an error once the process has ended.
func (n *node) running() error {
	select {
	case <-n.exited:
		return fatal{fmt.Errorf("%s has ended (%s): see %s", n.name, n.cmd.ProcessState, filepath.Join(n.dir, "log"))}
	default:
		return nil
	}
}

// present are the nodes that take part.
func (s *service) present() []*node {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*node
	for _, n := range s.nodes {
		n.mu.Lock()
		if !n.left && n.id != "" {
			list = append(list, n)
		}
		n.mu.Unlock()
	}
	return list
}

// everybody is every node that there ever was.
func (s *service) everybody() []*node {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.nodes)
}

// awake are those of them that are not held up.
func (s *service) awake() []*node {
	return slices.DeleteFunc(s.present(), func(n *node) bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.held
	})
}

// leave notes that a node takes no further part.
func (n *node) leave() {
	n.mu.Lock()
	n.left = true
	n.mu.Unlock()
}

// kill ends the process without a warning.
func (n *node) kill() {
	n.leave()
	_ = n.cmd.Process.Kill()
	<-n.exited
}

// logged says whether the node's log has a text.
func (n *node) logged(text string) bool {
	log, err := os.ReadFile(filepath.Join(n.dir, "log"))
	return err == nil && bytes.Contains(log, []byte(text))
}

// hold stops the process where it is, and lets it go on.
func (n *node) hold(stop bool) error {
	signal := syscall.SIGCONT
	if stop {
		signal = syscall.SIGSTOP
	}
	n.mu.Lock()
	n.held = stop
	n.mu.Unlock()
	return n.cmd.Process.Signal(signal)
}

// longest is the size of the longest file of the node's ledger, in bytes.
func (n *node) longest() (int64, error) {
	files, err := os.ReadDir(filepath.Join(n.dir, "ledger"))
	if err != nil {
		return 0, err
	}
	var longest int64
	for _, f := range files {
		if info, err := f.Info(); err == nil { // it may have another name by now
			longest = max(longest, info.Size())
		}
	}
	return longest, nil
}

// limit lets no file of the node grow beyond so many bytes, as a full disk does.
func (n *node) limit(size int64) error {
	return unix.Prlimit(n.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: uint64(size), Max: unix.RLIM_INFINITY}, nil)
}

// govern has the members pass a proposal, at one node after the other.
func (s *service) govern(ctx context.Context, actions ...client.Action) error {
	body, err := client.ProposalBody(actions...)
	if err != nil {
		return err
	}
	turn := 0
	return poll(ctx, patience, func() error {
		nodes := s.awake()
		if len(nodes) == 0 {
			return errors.New("no node")
		}
		turn++
		return s.at(nodes[turn%len(nodes)], func(c *client.Client) error {
			p, err := client.NewMember(c, s.signers[0]).Propose(ctx, body)
			for i := 0; err == nil && p.State == client.ProposalOpen && i < len(s.signers); i++ {
				p, err = client.NewMember(c, s.signers[i]).Vote(ctx, p.ID, client.BallotFor)
			}
			if err != nil {
				return fmt.Errorf("pass %s: %w", actions[0].Name, err)
			}
			if p.State != client.ProposalAccepted {
				return fmt.Errorf("pass %s: the proposal is %s", actions[0].Name, p.State)
			}
			return nil
		})
	})
}

// listed are the nodes that the service knows, by their addresses for clients.
func (s *service) listed(ctx context.Context) (map[string]listedNode, error) {
	var err error
	for _, n := range s.awake() {
		var answer struct {
			Nodes []listedNode `json:"nodes"`
		}
		if err = s.get(ctx, n, "/node/network/nodes", &answer); err != nil {
			continue
		}
		list := map[string]listedNode{}
		for _, l := range answer.Nodes {
			list[l.Interfaces["main"].Address] = l
		}
		return list, nil
	}
	return nil, fmt.Errorf("no node lists the nodes: %w", err)
}

type listedNode struct {
	ID         string `json:"node_id"`
	Status     string `json:"status"`
	Interfaces map[string]struct {
		Address string `json:"published_address"`
	} `json:"rpc_interfaces"`
}

// admit makes a node that asked to join a part of the service, and takes those
// that it replaces out of it, in one proposal or in two.
func (s *service) admit(ctx context.Context, n *node, together bool, gone ...*node) error {
	if err := s.learn(ctx, n); err != nil {
		return err
	}
	var id string
	err := poll(ctx, patience, func() error {
		if err := n.running(); err != nil {
			return err
		}
		list, err := s.listed(ctx)
		if err != nil {
			return err
		}
		l, ok := list[n.address]
		if !ok {
			return fmt.Errorf("%s does not ask to join", n.name)
		}
		id = l.ID
		return nil
	})
	if err != nil {
		return err
	}
	add := client.Action{Name: "transition_node_to_trusted", Args: map[string]any{
		"node_id": id, "valid_from": time.Now().UTC().Format(time.DateTime),
	}}
	var remove []client.Action
	for _, g := range gone {
		remove = append(remove, removal(g))
	}
	if together {
		if err := s.govern(ctx, append([]client.Action{add}, remove...)...); err != nil {
			return err
		}
		return s.admitted(ctx, n)
	}
	if err := s.govern(ctx, add); err != nil {
		return err
	}
	if err := s.admitted(ctx, n); err != nil || len(remove) == 0 {
		return err
	}
	return s.govern(ctx, remove...)
}

func removal(n *node) client.Action {
	return client.Action{Name: "remove_node", Args: map[string]any{"node_id": n.id}}
}

// admitted waits until a node votes, which is when it serves clients.
func (s *service) admitted(ctx context.Context, n *node) error {
	if err := s.learn(ctx, n); err != nil {
		return err
	}
	var self struct {
		ID string `json:"node_id"`
	}
	err := poll(ctx, patience, func() error {
		if err := n.running(); err != nil {
			return err
		}
		var consensus struct {
			Details struct {
				Ticking bool `json:"ticking"`
			} `json:"details"`
		}
		if err := s.get(ctx, n, "/node/consensus", &consensus); err != nil {
			return err
		}
		if !consensus.Details.Ticking {
			return fmt.Errorf("%s does not vote", n.name)
		}
		return s.get(ctx, n, "/node/network/nodes/self", &self)
	})
	n.mu.Lock()
	n.id = self.ID
	n.mu.Unlock()
	return err
}

// forget waits until nodes that were removed have left for good, and drops
// their entries.
func (s *service) forget(ctx context.Context, gone []*node) error {
	return poll(ctx, patience, func() error {
		list, err := s.listed(ctx)
		if err != nil {
			return err
		}
		for _, g := range gone {
			if _, ok := list[g.address]; !ok {
				continue
			}
			nodes := s.awake()
			err := s.at(nodes[0], func(c *client.Client) error {
				_, err := c.Do(ctx, client.Request{Method: "DELETE", Path: "/node/network/nodes/" + g.id})
				return err
			})
			if err != nil {
				return fmt.Errorf("drop %s: %w", g.name, err)
			}
			return fmt.Errorf("%s is still listed", g.name)
		}
		return nil
	})
}

// primary is the node that leads the newest view, and the view.
func (s *service) primary(ctx context.Context) (*node, uint64, error) {
	var found *node
	var newest uint64
	for _, n := range s.awake() {
		var answer consensusAnswer
		if s.get(ctx, n, "/node/consensus", &answer) == nil && answer.Details.State == "Leader" && answer.Details.View > newest {
			found, newest = n, answer.Details.View
		}
	}
	if found == nil {
		return nil, 0, errors.New("no node leads")
	}
	return found, newest, nil
}

type consensusAnswer struct {
	Details struct {
		State   string `json:"leadership_state"`
		View    uint64 `json:"current_view"`
		Configs []struct {
			Nodes map[string]any `json:"nodes"`
		} `json:"configs"`
	} `json:"details"`
}

// settled is nil if all nodes agree who leads and are all there is, and a write
// at each is committed.
func (s *service) settled(ctx context.Context) error {
	nodes := s.present()
	primary, _, err := s.primary(ctx)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if err := n.running(); err != nil {
			return err
		}
		var network client.Network
		if err := s.get(ctx, n, "/node/network", &network); err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
		if network.PrimaryID == nil || string(*network.PrimaryID) != primary.id {
			return fmt.Errorf("%s does not follow %s", n.name, primary.name)
		}
		var answer consensusAnswer
		if err := s.get(ctx, n, "/node/consensus", &answer); err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
		if c := answer.Details.Configs; len(c) != 1 || len(c[0].Nodes) != len(nodes) {
			return fmt.Errorf("%s knows of %v, there are %d nodes", n.name, c, len(nodes))
		}
		if err := s.probe(ctx, n, 2*time.Second); err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
	}
	return nil
}

// stop ends all processes.
func (s *service) stop() {
	for _, n := range s.nodes {
		_ = n.cmd.Process.Kill()
		<-n.exited
	}
	s.network.close()
}

// patience is how long anything may take that is bound to happen.
const patience = time.Minute

// fatal is an error that waiting does not cure.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

// poll tries until there is no error, for some time at most.
func poll(ctx context.Context, within time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := try()
		if err == nil || errors.As(err, new(fatal)) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not within %v: %w", within, err)
		case <-ticker.C:
		}
	}
}

// application is a bundle that keeps each value twice, in a public map for
// whoever reads the ledger and in a private one for its clients.
func application() json.RawMessage {
	endpoint := func(function, mode, forward string) map[string]any {
		return map[string]any{
			"js_module": "cells.js", "js_function": function, "mode": mode,
			"forwarding_required": forward, "authn_policies": []string{"user_cert"},
		}
	}
	b, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"endpoints": map[string]any{"/cells/{key}": map[string]any{
			"put": endpoint("put", "readwrite", "always"), "get": endpoint("get", "readonly", "sometimes"),
		}}},
		"modules": []any{map[string]any{"name": "cells.js", "module": script}},
	})
	if err != nil {
		panic(err) // strings only
	}
	return bytes.TrimSpace(b)
}

// cells is the map that the application writes and everybody can read.
const cells = "public:cells"

const script = `
const open = ccf.kv["` + cells + `"];
const sealed = ccf.kv["cells"];
const key = (request) => ccf.strToBuf(request.params.key);
export function put(request) {
  const value = ccf.strToBuf(request.body.text());
  open.set(key(request), value);
  sealed.set(key(request), value);
  return { statusCode: 204 };
}
export function get(request) {
  const [a, b] = [open, sealed].map((map) => map.get(key(request))).map((v) => v === undefined ? "" : ccf.bufToStr(v));
  if (a !== b) return { statusCode: 500, body: { error: "the maps differ: " + a + ", " + b } };
  return { body: a };
}
`
