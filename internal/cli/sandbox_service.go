package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"synod"
	"synod/client"
	"synod/constitutions"
	"synod/internal/config"
	"synod/internal/identity"
	"synod/internal/logfmt"
	"synod/internal/node"
	"synod/serve"
)

// sandboxDays is the validity of a sandbox's certificates.
const sandboxDays = 90

func memberName(i int) string { return fmt.Sprintf("member%d", i) }

// prepare builds the application and makes the keys and files that the node
// needs, side by side. It returns the bundle, or nil.
func (s *sandbox) prepare() ([]byte, error) {
	var tasks sync.WaitGroup
	errs := make([]error, s.members+2)
	var bundleJSON []byte
	if s.app != "" {
		tasks.Go(func() { bundleJSON, errs[0] = s.build() })
	}
	tasks.Go(func() { _, errs[1] = writeIdentity(s.dir, "user0", identity.Secp384r1, false) })
	for i := range s.members {
		// Every member holds a recovery share, as in production.
		tasks.Go(func() { _, errs[2+i] = writeIdentity(s.dir, memberName(i), identity.Secp384r1, true) })
	}
	tasks.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.path("constitution.js"), []byte(constitutions.Default()), 0o644); err != nil {
		return nil, fmt.Errorf("write constitution: %w", err)
	}
	if _, err := zoneData(s.path("node_data.json"), zones[0]); err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(s.config(), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode configuration: %w", err)
	}
	if err := os.WriteFile(s.path("node.json"), append(text, '\n'), 0o644); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return bundleJSON, nil
}

// config is the node's configuration, as a file of its own would say it. Paths
// are absolute, so that the same file runs the node by hand.
func (s *sandbox) config() map[string]any {
	type object = map[string]any
	members := []object{}
	for i := range s.members {
		members = append(members, object{
			"certificate_file":           s.path(memberName(i) + "_cert.pem"),
			"encryption_public_key_file": s.path(memberName(i) + "_enc_pubk.pem"),
		})
	}
	return object{
		"node_data_json_file": s.path("node_data.json"),
		"network": object{
			"node_to_node_interface": object{"bind_address": "127.0.0.1:0"},
			"rpc_interfaces": object{"main": object{
				"bind_address":       s.address,
				"http_configuration": object{"max_body_size": "64MB"}, // a bundle is one request
			}},
		},
		"node_certificate": object{"initial_validity_days": sandboxDays},
		"command": object{
			"type":                     "Start",
			"service_certificate_file": s.path("service_cert.pem"),
			"start": object{
				"constitution_files": []string{s.path("constitution.js")},
				"members":            members,
				"initial_service_certificate_validity_days": sandboxDays,
				"service_configuration":                     object{"recovery_threshold": 1},
			},
		},
		"ledger":    object{"directory": s.path("ledger")},
		"snapshots": object{"directory": s.path("snapshots")},
		"output_files": object{
			"node_certificate_file":     s.path("node_cert.pem"),
			"pid_file":                  s.path("node.pid"),
			"rpc_addresses_file":        s.path("rpc_addresses.json"),
			"node_to_node_address_file": s.path("node_address.json"),
			// Nothing is there unless members allow it.
			"sealed_ledger_secret_location": s.path("sealed"),
		},
	}
}

// sandboxNode is a sandbox's running node.
type sandboxNode struct {
	s      *sandbox
	node   *node.Node
	url    string
	cancel context.CancelFunc
	ended  chan error // gets what Run returned, once
	log    *os.File
	others []*otherNode
}

// start starts the node in this process, in the sandbox's directory: a node
// writes some files where it runs.
func (s *sandbox) start(ctx context.Context) (*sandboxNode, error) {
	level, err := logfmt.ParseLevel(s.level)
	if err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	cfg, err := config.Load(s.path("node.json"), 0)
	if err != nil {
		return nil, err
	}
	if err := os.Chdir(s.dir); err != nil {
		return nil, fmt.Errorf("enter directory: %w", err)
	}
	file, err := os.Create(s.path("node.log"))
	if err != nil {
		return nil, fmt.Errorf("make log: %w", err)
	}
	log := slog.New(&scriptLog{Handler: logfmt.New(file, logfmt.Options{Level: level}), s: s})
	n, err := node.Start(node.Options{Config: cfg, Logger: log, Version: serve.Version})
	if err != nil {
		return nil, errors.Join(withHint(err, "is another service running at "+s.address+"? Choose another --address"), file.Close())
	}
	// Ctrl-C ends this command's context; the node is stopped by stop, in order.
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &sandboxNode{s: s, node: n, url: "https://" + n.Address("main"), cancel: cancel, ended: make(chan error, 1), log: file}
	go func() { r.ended <- n.Run(running) }()
	return r, nil
}

func (r *sandboxNode) stop() error {
	err := r.stopOthers()
	r.cancel()
	return errors.Join(err, <-r.ended, r.log.Close())
}

// open takes the service from its first transaction to open: the members
// acknowledge its state, then one proposal adds the user, deploys the
// application and opens the service.
func (r *sandboxNode) open(ctx context.Context, bundleJSON []byte) error {
	c, members, err := r.asMembers()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := r.activate(ctx, members); err != nil {
		return err
	}
	if err := r.join(ctx); err != nil {
		return err
	}
	body, err := r.firstProposal(bundleJSON)
	if err != nil {
		return err
	}
	p, err := decide(ctx, c, members, body)
	if err != nil {
		return err
	}
	if err := mustBeAccepted(p); err != nil {
		return err
	}
	select {
	case <-r.node.Opened():
		return nil
	case err := <-r.ended:
		r.ended <- err
		return fmt.Errorf("the node ended by itself: %w", err)
	case <-ctx.Done():
		return fmt.Errorf("wait for the service to open: %w", ctx.Err())
	}
}

// asMembers is a connection and every member on it.
func (r *sandboxNode) asMembers() (*client.Client, []*client.Member, error) {
	c, err := client.Dial(r.url, client.WithServiceCertificate([]byte(r.node.ServiceCertificate())))
	if err != nil {
		return nil, nil, err
	}
	members := make([]*client.Member, r.s.members)
	for i := range members {
		signer, err := loadSigner(r.s.path(memberName(i)))
		if err != nil {
			c.Close()
			return nil, nil, err
		}
		members[i] = client.NewMember(c, signer)
	}
	return c, members, nil
}

// activate activates every member. Until the node has its certificate, and
// until there is a first signature to acknowledge, it tries again.
func (r *sandboxNode) activate(ctx context.Context, members []*client.Member) error {
	const pause = 3 * time.Millisecond
	for {
		_, err := members[0].Activate(ctx)
		if err == nil {
			break
		}
		var refused *synod.Error
		if !unreachable(err) && !(errors.As(err, &refused) && (refused.Status == 500 || refused.Code == synod.CodeFrontendNotOpen)) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("activate %s: %w", memberName(0), err)
		case err := <-r.ended:
			r.ended <- err
			return fmt.Errorf("the node ended by itself: %w", err)
		case <-time.After(pause):
		}
	}
	var tasks sync.WaitGroup
	errs := make([]error, len(members))
	for i := 1; i < len(members); i++ {
		tasks.Go(func() { _, errs[i] = members[i].Activate(ctx) })
	}
	tasks.Wait()
	return errors.Join(errs...)
}

func (r *sandboxNode) firstProposal(bundleJSON []byte) ([]byte, error) {
	user, err := os.ReadFile(r.s.path("user0_cert.pem"))
	if err != nil {
		return nil, fmt.Errorf("read user certificate: %w", err)
	}
	actions := []client.Action{{Name: "set_user", Args: map[string]any{
		"cert": string(user), "user_data": map[string]any{"isAdmin": true},
	}}}
	if bundleJSON != nil {
		// Whoever develops wants to read what went wrong.
		actions = append(actions, setApp(bundleJSON), client.Action{Name: "set_js_runtime_options", Args: map[string]any{
			"max_heap_bytes": 100 << 20, "max_stack_bytes": 1 << 20, "max_execution_time_ms": 5000,
			"log_exception_details": true, "return_exception_details": true,
		}})
	}
	actions = append(actions, client.Action{Name: "transition_service_to_open", Args: map[string]any{
		"next_service_identity": r.node.ServiceCertificate(),
	}})
	return client.ProposalBody(actions...)
}
