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

// Service is a one-node service in a process of its own, with three members
// and a user, for measuring.
type Service struct {
	Target
	Started time.Duration // process start → open service with three members, voted

	dir     string
	cmd     *exec.Cmd
	cert    []byte
	members []*client.Member
}

// StartService starts binary as a node in a directory of its own below dir,
// and opens the service; bundle, if there is one, is the JavaScript
// application to deploy.
func StartService(ctx context.Context, binary, dir string, bundle json.RawMessage) (*Service, error) {
	s := &Service{dir: dir}
	user, signers, err := s.prepare()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	s.cmd = exec.CommandContext(ctx, binary, "--config", "node.json", "--log-level", "fail")
	s.cmd.Dir = dir
	out, err := os.Create(filepath.Join(dir, "node.log"))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	s.cmd.Stdout, s.cmd.Stderr = out, out
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s (make build makes it): %w", binary, err)
	}
	s.PID = s.cmd.Process.Pid
	if err := s.open(ctx, user, signers, bundle); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	s.Started = time.Since(start)
	return s, nil
}

// Stop ends the node and waits for it.
func (s *Service) Stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return s.cmd.Wait()
}

// Ledger is the directory of the node's ledger.
func (s *Service) Ledger() string { return filepath.Join(s.dir, "ledger") }

// prepare writes keys, constitution and configuration.
func (s *Service) prepare() (*identity.Participant, []*client.KeySigner, error) {
	write := func(name, content string) error {
		return os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600)
	}
	var signers []*client.KeySigner
	var members []map[string]string
	for i := range 3 {
		m, err := identity.NewMember(fmt.Sprintf("member%d", i), identity.Secp384r1, time.Now())
		if err != nil {
			return nil, nil, err
		}
		signer, err := client.NewKeySigner([]byte(m.CertPEM), []byte(m.KeyPEM))
		if err != nil {
			return nil, nil, err
		}
		_, public, err := identity.NewEncryptionKey()
		if err != nil {
			return nil, nil, err
		}
		cert, key := fmt.Sprintf("member%d_cert.pem", i), fmt.Sprintf("member%d_enc_pubk.pem", i)
		if err := errors.Join(write(cert, m.CertPEM), write(key, public)); err != nil {
			return nil, nil, err
		}
		signers = append(signers, signer)
		members = append(members, map[string]string{"certificate_file": cert, "encryption_public_key_file": key})
	}
	user, err := identity.NewUser("user0", identity.Secp384r1, time.Now())
	if err != nil {
		return nil, nil, err
	}
	config, err := json.Marshal(map[string]any{
		"network": map[string]any{
			"node_to_node_interface": map[string]any{"bind_address": "127.0.0.1:0"},
			"rpc_interfaces": map[string]any{"main": map[string]any{
				"bind_address":       "127.0.0.1:0",
				"http_configuration": map[string]any{"max_body_size": "4MB"}, // a large bundle is a large proposal
			}},
		},
		"command": map[string]any{"type": "Start", "service_certificate_file": "service_cert.pem", "start": map[string]any{
			"constitution_files": []string{"constitution.js"}, "members": members,
			"service_configuration": map[string]any{"recovery_threshold": 0},
		}},
		"output_files": map[string]any{"pid_file": "node.pid", "rpc_addresses_file": "addresses.json"},
	})
	if err != nil {
		return nil, nil, err
	}
	return user, signers, errors.Join(write("node.json", string(config)), write("constitution.js", constitutions.Default()))
}

// open waits for the node, activates the members and passes one proposal that
// adds the user, deploys the application and opens the service.
func (s *Service) open(ctx context.Context, user *identity.Participant, signers []*client.KeySigner, bundle json.RawMessage) error {
	if err := s.waitFor(ctx, "service_cert.pem", &s.cert); err != nil {
		return err
	}
	var text []byte
	if err := s.waitFor(ctx, "addresses.json", &text); err != nil {
		return err
	}
	var addresses map[string]string
	if err := json.Unmarshal(text, &addresses); err != nil {
		return err
	}
	s.Address = addresses["main"]
	pair, err := tls.X509KeyPair([]byte(user.CertPEM), []byte(user.KeyPEM))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.cert)
	s.TLS = &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}

	c, err := client.Dial("https://"+s.Address, client.WithServiceCertificate(s.cert))
	if err != nil {
		return err
	}
	defer c.Close()
	if err := poll(ctx, func() error { _, err := c.Get(ctx, "/node/ready/gov", nil); return err }); err != nil {
		return fmt.Errorf("governance did not open: %w", err)
	}
	for _, signer := range signers {
		m := client.NewMember(c, signer)
		if _, err := m.Activate(ctx); err != nil {
			return fmt.Errorf("activate a member: %w", err)
		}
		s.members = append(s.members, m)
	}
	actions := []client.Action{{Name: "set_user", Args: map[string]any{"cert": user.CertPEM, "user_data": map[string]any{"isAdmin": true}}}}
	if bundle != nil {
		actions = append(actions, client.Action{Name: "set_js_app", Args: map[string]any{"bundle": bundle}})
	}
	if err := s.pass(ctx, actions...); err != nil {
		return err
	}
	if err := s.pass(ctx, client.Action{Name: "transition_service_to_open", Args: map[string]any{"next_service_identity": string(s.cert)}}); err != nil {
		return err
	}
	return poll(ctx, func() error { _, err := c.Get(ctx, "/node/ready/app", nil); return err })
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

func (s *Service) waitFor(ctx context.Context, name string, content *[]byte) error {
	return poll(ctx, func() (err error) {
		*content, err = os.ReadFile(filepath.Join(s.dir, name))
		return err
	})
}

// poll tries every 2 ms, for 20 s at most, until there is no error.
func poll(ctx context.Context, try func() error) error {
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(20 * time.Second)
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
