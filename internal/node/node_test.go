package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"synod"
	"synod/app"
	"synod/client"
	"synod/constitutions"
	"synod/examples/logging/logapp"
	"synod/internal/config"
	"synod/internal/identity"
	"synod/internal/js"
	"synod/internal/logfmt"
	"synod/internal/node"
	"synod/receipt"
)

// service is a one-node service in this process, with its members and a user.
type service struct {
	*node.Node
	t       testing.TB
	app     *app.App
	dir     string
	members []*identity.Participant
	shares  []string // the members' private encryption keys
	user    *identity.Participant
	log     *slog.Logger
	stop    func() error

	interfaces map[string]any
	scripts    js.Backend
}

// start starts a service of three members under the default constitution. A
// nil application means the JavaScript application.
func start(t testing.TB, a *app.App) *service {
	t.Helper()
	return setup{app: a}.start(t)
}

// setup is a service to start that differs from what start starts.
type setup struct {
	app        *app.App
	interfaces map[string]any // besides "main"
	scripts    js.Backend
}

func (x setup) start(t testing.TB) *service {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	s := &service{t: t, app: x.app, scripts: x.scripts, interfaces: map[string]any{"main": map[string]any{"bind_address": "127.0.0.1:0"}}, dir: dir}
	maps.Copy(s.interfaces, x.interfaces)
	write := func(name, content string) string {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	var members []map[string]string
	for i := range 3 {
		m, err := identity.NewMember(fmt.Sprintf("member%d", i), identity.Secp384r1, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		s.members = append(s.members, m)
		private, encryptionKey, err := identity.NewEncryptionKey()
		if err != nil {
			t.Fatal(err)
		}
		s.shares = append(s.shares, private)
		members = append(members, map[string]string{
			"certificate_file":           write(fmt.Sprintf("member%d_cert.pem", i), m.CertPEM),
			"encryption_public_key_file": write(fmt.Sprintf("member%d_enc_pubk.pem", i), encryptionKey),
		})
	}
	var err error
	if s.user, err = identity.NewUser("user0", identity.Secp384r1, time.Now()); err != nil {
		t.Fatal(err)
	}
	s.launch(map[string]any{"type": "Start", "start": map[string]any{
		"constitution_files":    []string{write("constitution.js", constitutions.Default())},
		"members":               members,
		"service_configuration": map[string]any{"recovery_threshold": 0},
	}}, nil)
	return s
}

// launch runs a node in the service's folder with a command and, over the
// defaults, more of its configuration.
func (s *service) launch(command map[string]any, more map[string]any) {
	s.t.Helper()
	all := map[string]any{
		"network": map[string]any{
			"node_to_node_interface": map[string]any{"bind_address": "127.0.0.1:0"},
			"rpc_interfaces":         s.interfaces,
		},
		"command": command,
	}
	maps.Copy(all, more)
	text, err := json.Marshal(all)
	if err != nil {
		s.t.Fatal(err)
	}
	cfg, err := config.Parse(text)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "node.json"), text, 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.log = slog.New(logfmt.New(s.t.Output(), logfmt.Options{Level: slog.LevelInfo}))
	if s.Node, err = node.Start(node.Options{Config: cfg, App: s.app, Logger: s.log, Version: "test", Scripts: s.scripts}); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	run := s.Node
	go func() { done <- run.Run(ctx) }()
	s.stop = sync.OnceValue(func() error { cancel(); return <-done })
	stop := s.stop
	s.t.Cleanup(func() {
		if err := stop(); err != nil {
			s.t.Error(err)
		}
	})
}

func (s *service) dial(p *identity.Participant) *client.Client {
	s.t.Helper()
	opts := []client.Option{client.WithServiceCertificate([]byte(s.ServiceCertificate()))}
	if p != nil {
		opts = append(opts, client.WithClientCertificate([]byte(p.CertPEM), []byte(p.KeyPEM)))
	}
	c, err := client.Dial("https://"+s.Address("main"), opts...)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *service) member(i int) *client.Member {
	signer, err := client.NewKeySigner([]byte(s.members[i].CertPEM), []byte(s.members[i].KeyPEM))
	if err != nil {
		s.t.Fatal(err)
	}
	return client.NewMember(s.dial(nil), signer)
}

// pass proposes and votes until the proposal is accepted.
func (s *service) pass(actions ...client.Action) {
	s.t.Helper()
	body, err := client.ProposalBody(actions...)
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := s.member(0).Propose(s.t.Context(), body)
	for i := 0; err == nil && p.State == client.ProposalOpen && i < len(s.members); i++ {
		p, err = s.member(i).Vote(s.t.Context(), p.ID, client.BallotFor)
	}
	if err != nil || p.State != client.ProposalAccepted {
		s.t.Fatalf("proposal of %v: %+v, %v", actions[0].Name, p, err)
	}
}

// poll tries until there is no error.
func (s *service) poll(what string, try func() error) {
	s.t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(10 * time.Second)
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			s.t.Fatalf("waited in vain for %s: %v", what, err)
		}
	}
}

// governed waits until members can be heard.
func (s *service) governed() {
	s.t.Helper()
	s.poll("governance to open", func() error {
		_, err := s.dial(nil).Get(s.t.Context(), "/node/ready/gov", nil)
		return err
	})
}

// open activates the members, adds the user and opens the service.
func (s *service) open() {
	s.t.Helper()
	s.governed()
	for i := range s.members {
		if _, err := s.member(i).Activate(s.t.Context()); err != nil {
			s.t.Fatalf("activate member %d: %v", i, err)
		}
	}
	s.pass(client.Action{Name: "set_user", Args: map[string]any{"cert": s.user.CertPEM}})
	s.pass(client.Action{Name: "transition_service_to_open", Args: map[string]any{"next_service_identity": s.ServiceCertificate()}})
	select {
	case <-s.Opened():
	case <-time.After(10 * time.Second):
		s.t.Fatal("the service did not open")
	}
}

func TestNativeApplication(t *testing.T) {
	s := start(t, logapp.New())
	s.open()
	c := s.dial(s.user)
	resp, err := c.Do(t.Context(), client.Request{Method: "POST", Path: "/app/log/private", Body: []byte(`{"id":42,"msg":"hello"}`), Wait: client.WaitReceipt})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d %s %v", resp.Status, resp.Body, resp.TxID)
	if resp.Status != 200 || string(resp.Body) != "true" {
		t.Fatalf("write: %d %s", resp.Status, resp.Body)
	}
	var got struct{ Msg string }
	if _, err := c.Get(t.Context(), "/app/log/private?id=42", &got); err != nil || got.Msg != "hello" {
		t.Fatalf("read: %+v, %v", got, err)
	}
	if _, err := c.Receipt(t.Context(), resp.TxID, receipt.Options{TxID: resp.TxID}); err != nil {
		t.Fatalf("receipt: %v", err)
	}
	for seqno := synod.SeqNo(1); seqno <= resp.TxID.SeqNo; seqno++ {
		id := synod.TxID{View: 2, SeqNo: seqno}
		if _, err := c.Receipt(t.Context(), id, receipt.Options{}); err != nil {
			t.Errorf("receipt of %s: %v", id, err)
		}
	}
	if _, err := s.dial(nil).Get(t.Context(), "/app/log/private?id=42", nil); err == nil || !strings.Contains(err.Error(), "InvalidAuthenticationInfo") {
		t.Errorf("a read by nobody: %v", err)
	}
}
