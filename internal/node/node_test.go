package node_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
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

// service is a service in this process, with its members and a user.
type service struct {
	*node.Node // the one that clients speak with
	t          testing.TB
	app        *app.App
	dir        string
	interfaces object // of a node that is launched
	scripts    js.Backend
	members    []*identity.Participant
	shares     []string // the members' private encryption keys
	user       *identity.Participant
	log        *slog.Logger
	nodes      []*running      // in the order of their start
	joined     int             // nodes that were started after the first
	changes    []change        // of every node's configuration, see startNodes
	options    []client.Option // of every client
	stop       func() error
}

// start starts a service of one node and three members under the default
// constitution, in the working directory. A nil application means the
// JavaScript application.
func start(t testing.TB, a *app.App) *service {
	t.Helper()
	return setup{app: a}.start(t)
}

// setup is a service to start that differs from what start starts.
type setup struct {
	app        *app.App
	interfaces object // besides "main"
	scripts    js.Backend
}

func (x setup) start(t testing.TB) *service {
	t.Helper()
	s := newService(t)
	s.app, s.scripts = x.app, x.scripts
	s.interfaces = object{"main": object{"bind_address": "127.0.0.1:0"}}
	maps.Copy(s.interfaces, x.interfaces)
	s.launch(s.startCommand(), nil)
	return s
}

// launch runs a node in the service's folder with a command and, over the
// defaults, more of its configuration.
func (s *service) launch(command, more object) {
	s.t.Helper()
	if s.interfaces == nil {
		s.interfaces = object{"main": object{"bind_address": "127.0.0.1:0"}}
	}
	cfg := object{
		"network": object{"node_to_node_interface": object{"bind_address": "127.0.0.1:0"}, "rpc_interfaces": s.interfaces},
		"command": command,
	}
	maps.Copy(cfg, more)
	r := s.run(s.app, s.dir, cfg)
	s.Node, s.log, s.stop = r.Node, slog.New(logfmt.New(s.t.Output(), logfmt.Options{Level: slog.LevelInfo})), r.stop
}

// newService makes the keys of a service, and files for its members'. Its
// directory is the working one: nodes write some files there.
func newService(t testing.TB) *service {
	t.Helper()
	s := &service{t: t, dir: t.TempDir()}
	t.Chdir(s.dir)
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
		s.write(fmt.Sprintf("member%d_cert.pem", i), m.CertPEM)
		s.write(fmt.Sprintf("member%d_enc_pubk.pem", i), encryptionKey)
	}
	s.write("constitution.js", constitutions.Default())
	var err error
	if s.user, err = identity.NewUser("user0", identity.Secp384r1, time.Now()); err != nil {
		t.Fatal(err)
	}
	return s
}

// path is that of a file of the service's.
func (s *service) path(name string) string { return filepath.Join(s.dir, name) }

func (s *service) write(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// startCommand is what makes a node the first of the service.
func (s *service) startCommand() map[string]any {
	var members []map[string]string
	for i := range s.members {
		members = append(members, map[string]string{
			"certificate_file":           s.path(fmt.Sprintf("member%d_cert.pem", i)),
			"encryption_public_key_file": s.path(fmt.Sprintf("member%d_enc_pubk.pem", i)),
		})
	}
	return map[string]any{
		"type": "Start", "service_certificate_file": s.path("service_cert.pem"),
		"start": map[string]any{
			"constitution_files": []string{s.path("constitution.js")}, "members": members,
			"service_configuration": map[string]any{"recovery_threshold": 0},
		},
	}
}

// running is a node in this process.
type running struct {
	*node.Node
	dir   string
	said  *said
	stop  func() error  // ends the node, once
	ended chan struct{} // closed when Run has returned
	err   error         // what it returned, after ended
}

// said is a node's log so far, which goes to the test's output too.
type said struct {
	mu   sync.Mutex
	text strings.Builder
	to   io.Writer
}

func (l *said) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(b)
	return l.to.Write(b)
}

func (l *said) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// begin makes a node of a configuration, and runs it if it starts.
func (s *service) begin(a *app.App, dir string, configuration map[string]any) (*running, error) {
	s.t.Helper()
	text, err := json.Marshal(configuration)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "node.json"), text, 0o600); err != nil {
		s.t.Fatal(err)
	}
	cfg, err := config.Parse(text)
	if err != nil {
		s.t.Fatal(err)
	}
	r := &running{dir: dir, said: &said{to: s.t.Output()}, ended: make(chan struct{})}
	log := slog.New(logfmt.New(r.said, logfmt.Options{Level: slog.LevelInfo}))
	if r.Node, err = node.Start(node.Options{Config: cfg, App: a, Logger: log, Version: "test", Scripts: s.scripts}); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { r.err = r.Run(ctx); close(r.ended) }()
	r.stop = func() error { cancel(); <-r.ended; return r.err }
	s.nodes = append(s.nodes, r)
	return r, nil
}

// run is begin for a node that has to start, and to end without an error.
func (s *service) run(a *app.App, dir string, configuration map[string]any) *running {
	s.t.Helper()
	r, err := s.begin(a, dir, configuration)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := r.stop(); err != nil {
			s.t.Error(err)
		}
	})
	return r
}

func (s *service) dial(p *identity.Participant) *client.Client {
	s.t.Helper()
	return s.at(s.Node, p)
}

// at is a client of one of the nodes.
func (s *service) at(n *node.Node, p *identity.Participant) *client.Client {
	s.t.Helper()
	opts := append([]client.Option{client.WithServiceCertificate([]byte(s.ServiceCertificate()))}, s.options...)
	if p != nil {
		opts = append(opts, client.WithClientCertificate([]byte(p.CertPEM), []byte(p.KeyPEM)))
	}
	c, err := client.Dial("https://"+n.Address("main"), opts...)
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

// tls trusts the service's nodes alone.
func (s *service) tls() *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(s.ServiceCertificate()))
	return &tls.Config{
		RootCAs: roots, MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, //nolint:gosec // some interfaces show what no service has signed; who cares looks at it
	}
}

// pass proposes and votes until the proposal is accepted.
func (s *service) pass(actions ...client.Action) {
	s.t.Helper()
	if p, err := s.propose(actions...); err != nil || p.State != client.ProposalAccepted {
		s.t.Fatalf("proposal of %v: %+v, %v", actions[0].Name, p, err)
	}
}

// propose proposes and votes until the proposal is decided.
func (s *service) propose(actions ...client.Action) (*client.Proposal, error) {
	s.t.Helper()
	body, err := client.ProposalBody(actions...)
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := s.member(0).Propose(s.t.Context(), body)
	for i := 0; err == nil && p.State == client.ProposalOpen && i < len(s.members); i++ {
		p, err = s.member(i).Vote(s.t.Context(), p.ID, client.BallotFor)
	}
	return p, err
}

// pollMax bounds how long a test waits for anything.
const pollMax = 30 * time.Second

// poll tries until there is no error.
func (s *service) poll(what string, try func() error) {
	s.t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(pollMax)
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
