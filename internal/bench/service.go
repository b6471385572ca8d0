package bench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"synod/client"
	"synod/constitutions"
	"synod/internal/identity"
)

// Plan is a service to start.
type Plan struct {
	Binary string // of the nodes
	Dir    string // where they live, each in a directory of its own
	Nodes  int
	Bundle json.RawMessage // the JavaScript application to deploy, if there is one
	// ElectionTimeout is the nodes' consensus.election_timeout; CCF's default if
	// empty.
	ElectionTimeout string
	// SnapshotEvery is the nodes' snapshots.tx_count; CCF's default if 0.
	SnapshotEvery int
}

// Service is a service with three members and a user, for measuring.
type Service struct {
	Nodes   []*Node       // the first is the primary, as long as it lives
	Started time.Duration // process start → open service with three members, voted, of all nodes

	plan    Plan
	cert    []byte
	user    *identity.Participant
	auditor *identity.Participant // a member
	tls     *tls.Config           // of the user
	members []*client.Member
	client  *client.Client // of the first node, without a certificate

	signers    []*client.KeySigner // of the members
	encryption []string            // their encryption keys, PEM
	lives      int                 // how often it was recovered
	ledger     string              // directory of the nodes' ledger, if not in theirs
}

// Node is one node of a service: a process.
type Node struct {
	Target
	Dir string
	cmd *exec.Cmd
}

// Ledger is the directory of the node's ledger.
func (n *Node) Ledger() string { return filepath.Join(n.Dir, "ledger") }

// StartService starts the nodes and opens the service.
func StartService(ctx context.Context, plan Plan) (s *Service, err error) {
	s = &Service{plan: plan}
	signers, members, err := s.prepare()
	if err != nil {
		return nil, err
	}
	s.signers = signers
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	start := time.Now()
	first, err := s.start(ctx, map[string]any{"type": "Start", "service_certificate_file": "service_cert.pem", "start": map[string]any{
		"constitution_files": []string{filepath.Join(plan.Dir, "constitution.js")}, "members": members,
		"service_configuration": map[string]any{"recovery_threshold": 0},
	}})
	if err != nil {
		return s, err
	}
	if err := s.reach(ctx, first); err != nil {
		return s, err
	}
	for range plan.Nodes - 1 {
		if _, err := s.Join(ctx, false); err != nil {
			return s, err
		}
	}
	if err := s.open(ctx, signers); err != nil {
		return s, err
	}
	for _, n := range s.Nodes {
		if err := s.serving(ctx, n); err != nil {
			return s, err
		}
	}
	s.Started = time.Since(start)
	return s, nil
}

// Stop ends the nodes and waits for them.
func (s *Service) Stop() error {
	if s.client != nil {
		s.client.Close()
	}
	var errs []error
	for _, n := range s.Nodes {
		if n.cmd.ProcessState == nil {
			errs = append(errs, n.cmd.Process.Signal(syscall.SIGTERM))
		}
	}
	for _, n := range s.Nodes {
		if n.cmd.ProcessState == nil {
			errs = append(errs, n.cmd.Wait())
		}
	}
	return errors.Join(errs...)
}

// Kill ends a node as a lost machine does, and waits until it is gone.
func (n *Node) Kill() error {
	if err := n.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = n.cmd.Wait() // says that it was killed
	return nil
}

// PIDs are the processes of the nodes.
func (s *Service) PIDs() []int {
	pids := make([]int, len(s.Nodes))
	for i, n := range s.Nodes {
		pids[i] = n.PID
	}
	return pids
}

// prepare writes keys and constitution.
func (s *Service) prepare() (signers []*client.KeySigner, members []map[string]string, err error) {
	write := func(name, content string) (string, error) {
		path := filepath.Join(s.plan.Dir, name)
		return path, os.WriteFile(path, []byte(content), 0o600)
	}
	for i := range 3 {
		m, err := identity.NewMember(fmt.Sprintf("member%d", i), identity.Secp384r1, time.Now())
		if err != nil {
			return nil, nil, err
		}
		s.auditor = m
		signer, err := client.NewKeySigner([]byte(m.CertPEM), []byte(m.KeyPEM))
		if err != nil {
			return nil, nil, err
		}
		private, public, err := identity.NewEncryptionKey()
		if err != nil {
			return nil, nil, err
		}
		cert, err := write(fmt.Sprintf("member%d_cert.pem", i), m.CertPEM)
		if err != nil {
			return nil, nil, err
		}
		key, err := write(fmt.Sprintf("member%d_enc_pubk.pem", i), public)
		if err != nil {
			return nil, nil, err
		}
		s.encryption = append(s.encryption, private)
		signers = append(signers, signer)
		members = append(members, map[string]string{"certificate_file": cert, "encryption_public_key_file": key})
	}
	if s.user, err = identity.NewUser("user0", identity.Secp384r1, time.Now()); err != nil {
		return nil, nil, err
	}
	_, err = write("constitution.js", constitutions.Default())
	return signers, members, err
}

// start starts one more node.
func (s *Service) start(ctx context.Context, command map[string]any) (*Node, error) {
	n := &Node{Dir: filepath.Join(s.plan.Dir, fmt.Sprintf("node%d.%d", s.lives, len(s.Nodes)))}
	if err := os.Mkdir(n.Dir, 0o755); err != nil {
		return nil, err
	}
	all := map[string]any{
		"network": map[string]any{
			"node_to_node_interface": map[string]any{"bind_address": "127.0.0.1:0"},
			"rpc_interfaces": map[string]any{"main": map[string]any{
				"bind_address":       "127.0.0.1:0",
				"http_configuration": map[string]any{"max_body_size": "4MB"}, // a large bundle is a large proposal
			}},
		},
		"command":      command,
		"output_files": map[string]any{"pid_file": "node.pid", "rpc_addresses_file": "addresses.json"},
	}
	if s.plan.ElectionTimeout != "" {
		all["consensus"] = map[string]any{"election_timeout": s.plan.ElectionTimeout}
	}
	if s.ledger != "" {
		all["ledger"] = map[string]any{"directory": s.ledger}
	}
	if s.plan.SnapshotEvery != 0 {
		all["snapshots"] = map[string]any{"tx_count": s.plan.SnapshotEvery}
	}
	text, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(n.Dir, "node.json"), text, 0o600); err != nil {
		return nil, err
	}
	out, err := os.Create(filepath.Join(n.Dir, "node.log"))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	n.cmd = exec.CommandContext(ctx, s.plan.Binary, "--config", "node.json", "--log-level", "fail")
	n.cmd.Dir, n.cmd.Stdout, n.cmd.Stderr = n.Dir, out, out
	if err := n.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s (make build makes it): %w", s.plan.Binary, err)
	}
	n.PID = n.cmd.Process.Pid
	s.Nodes = append(s.Nodes, n)
	return n, nil
}

// Join starts one more node, which joins through the first, with the newest
// snapshot or the whole log.
func (s *Service) Join(ctx context.Context, snapshot bool) (*Node, error) {
	n, err := s.start(ctx, map[string]any{
		"type": "Join", "service_certificate_file": filepath.Join(s.Nodes[0].Dir, "service_cert.pem"),
		"join": map[string]any{"target_rpc_address": s.Nodes[0].Address, "fetch_recent_snapshot": snapshot},
	})
	if err != nil {
		return nil, err
	}
	n.TLS = s.tls
	return n, nil
}

// reach learns how to talk to the first node.
func (s *Service) reach(ctx context.Context, n *Node) error {
	if err := n.waitFor(ctx, "service_cert.pem", &s.cert); err != nil {
		return err
	}
	pair, err := tls.X509KeyPair([]byte(s.user.CertPEM), []byte(s.user.KeyPEM))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.cert)
	s.tls = &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	n.TLS = s.tls
	if err := n.readAddress(ctx); err != nil {
		return err
	}
	s.client, err = client.Dial("https://"+n.Address, client.WithServiceCertificate(s.cert))
	return err
}

// readAddress waits until the node says where it listens.
func (n *Node) readAddress(ctx context.Context) error {
	var text []byte
	if err := n.waitFor(ctx, "addresses.json", &text); err != nil {
		return err
	}
	var addresses map[string]string
	if err := json.Unmarshal(text, &addresses); err != nil {
		return err
	}
	n.Address = addresses["main"]
	return nil
}

// serving waits until a node votes and serves the application. Nodes open
// their client interfaces once they are voters.
func (s *Service) serving(ctx context.Context, n *Node) error {
	if err := n.readAddress(ctx); err != nil {
		return err
	}
	c, err := client.Dial("https://"+n.Address, client.WithServiceCertificate(s.cert), client.WithRetries(0))
	if err != nil {
		return err
	}
	defer c.Close()
	if err := poll(ctx, func() error { _, err := c.Get(ctx, "/node/ready/app", nil); return err }); err != nil {
		return fmt.Errorf("%s does not serve: %w", n.Dir, err)
	}
	return nil
}

// open activates the members and passes two proposals: one adds the user and
// deploys the application, one opens the service.
func (s *Service) open(ctx context.Context, signers []*client.KeySigner) error {
	if err := poll(ctx, func() error { _, err := s.client.Get(ctx, "/node/ready/gov", nil); return err }); err != nil {
		return fmt.Errorf("governance did not open: %w", err)
	}
	for _, signer := range signers {
		m := client.NewMember(s.client, signer)
		if _, err := m.Activate(ctx); err != nil {
			return fmt.Errorf("activate a member: %w", err)
		}
		s.members = append(s.members, m)
	}
	actions := []client.Action{{Name: "set_user", Args: map[string]any{"cert": s.user.CertPEM, "user_data": map[string]any{"isAdmin": true}}}}
	if s.plan.Bundle != nil {
		actions = append(actions, client.Action{Name: "set_js_app", Args: map[string]any{"bundle": s.plan.Bundle}})
	}
	if err := s.pass(ctx, actions...); err != nil {
		return err
	}
	// A node that joins before the service is open needs no vote.
	err := poll(ctx, func() error {
		trusted, err := s.nodes(ctx, "Trusted")
		if err == nil && len(trusted) < s.plan.Nodes {
			err = fmt.Errorf("%d of %d nodes have joined", len(trusted), s.plan.Nodes)
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.pass(ctx, client.Action{Name: "transition_service_to_open", Args: map[string]any{"next_service_identity": string(s.cert)}})
}

// nodes are the IDs of the nodes of a status.
func (s *Service) nodes(ctx context.Context, status string) (ids []string, err error) {
	var list struct {
		Nodes []struct {
			ID string `json:"node_id"`
		}
	}
	_, err = s.client.Get(ctx, "/node/network/nodes?status="+status, &list)
	for _, n := range list.Nodes {
		ids = append(ids, n.ID)
	}
	return ids, err
}

// pass proposes and votes until the proposal is accepted.
func (s *Service) pass(ctx context.Context, actions ...client.Action) error {
	body, err := client.ProposalBody(actions...)
	if err != nil {
		return err
	}
	p, err := s.members[0].Propose(ctx, body)
	for i := 0; err == nil && p.State == client.ProposalOpen && i < len(s.members); i++ {
		p, err = s.members[i].Vote(ctx, p.ID, client.BallotFor)
	}
	if err != nil {
		return fmt.Errorf("pass %s: %w", actions[0].Name, err)
	}
	if p.State != client.ProposalAccepted {
		return fmt.Errorf("pass %s: the proposal is %s", actions[0].Name, p.State)
	}
	return nil
}

func (n *Node) waitFor(ctx context.Context, name string, content *[]byte) error {
	return poll(ctx, func() (err error) {
		*content, err = os.ReadFile(filepath.Join(n.Dir, name))
		return err
	})
}

// patience bounds waiting for a node to do something.
const patience = 60 * time.Second

// poll tries every 2 ms, for as long as patience lasts, until there is no error.
func poll(ctx context.Context, try func() error) error {
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(patience)
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline:
			return err
		case <-ticker.C:
		}
	}
}
