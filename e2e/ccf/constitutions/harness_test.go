//go:build e2e

package constitutions

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"synod"
	"synod/client"
	"synod/internal/identity"
)

// service is one node under one of CCF's constitutions, with three members who
// hold recovery keys and two who only have marks in their data.
type service struct {
	t       *testing.T
	dir     string
	url     string
	members map[string]*identity.Participant // "v0" to "v2", "operator", "provisioner"
}

// parts are the files of a constitution, in the order in which CCF joins them.
func parts(name string) []string {
	actions, resolve := []string{"default/actions.js"}, name+"/resolve.js"
	if name == "roles" {
		actions, resolve = append(actions, "roles/set_role_definition.js"), "default/resolve.js"
	}
	return append(actions, "default/validate.js", resolve, "default/apply.js")
}

// start starts a node under the constitution and activates its members.
func start(t *testing.T, constitution string) *service {
	t.Helper()
	tree := os.Getenv("CCF_TREE")
	if tree == "" {
		t.Skip("set CCF_TREE to a checkout of CCF, whose samples/constitutions this runs")
	}
	s := &service{t: t, dir: t.TempDir(), members: map[string]*identity.Participant{}}
	var files []string
	for _, part := range parts(constitution) {
		files = append(files, filepath.Join(tree, "samples", "constitutions", part))
	}
	var members []map[string]string
	for name, data := range map[string]string{
		"v0": "", "v1": "", "v2": "", "operator": `{"is_operator":true}`, "provisioner": `{"is_operator_provisioner":true}`,
	} {
		members = append(members, s.newMember(name, data))
	}
	config, err := json.Marshal(map[string]any{
		"network": map[string]any{
			"node_to_node_interface": map[string]any{"bind_address": "127.0.0.1:0"},
			"rpc_interfaces":         map[string]any{"main": map[string]any{"bind_address": "127.0.0.1:0"}},
		},
		"command": map[string]any{"type": "Start", "start": map[string]any{
			"constitution_files": files, "members": members,
			"service_configuration": map[string]any{"recovery_threshold": 1},
		}},
		"output_files": map[string]any{"rpc_addresses_file": "rpc.json"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.write("node.json", string(config))
	s.run()
	for name := range s.members {
		if _, err := s.member(name).Activate(t.Context()); err != nil {
			t.Fatalf("%s cannot become active: %v", name, err)
		}
	}
	return s
}

func (s *service) write(name, text string) string {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return name
}

// newMember makes a member for the configuration: with data and without an
// encryption key, or the other way around.
func (s *service) newMember(name, data string) map[string]string {
	s.t.Helper()
	m, err := identity.NewMember(name, identity.Secp384r1, time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	s.members[name] = m
	files := map[string]string{"certificate_file": s.write(name+"_cert.pem", m.CertPEM)}
	if data != "" {
		files["data_json_file"] = s.write(name+"_data.json", data)
		return files
	}
	_, key, err := identity.NewEncryptionKey()
	if err != nil {
		s.t.Fatal(err)
	}
	files["encryption_public_key_file"] = s.write(name+"_enc_pubk.pem", key)
	return files
}

// run starts the process and waits until it answers.
func (s *service) run() {
	s.t.Helper()
	binary, err := filepath.Abs("../../../bin/synod-node")
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(s.dir, "out"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(binary, "--config", "node.json")
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, out, out
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	s.t.Cleanup(func() { _ = cmd.Process.Kill(); <-exited })
	s.eventually("the node serves", func() bool {
		select {
		case <-exited:
			log, _ := os.ReadFile(filepath.Join(s.dir, "out"))
			s.t.Fatalf("the node has ended; its log:\n%s", log)
		default:
		}
		return s.ready()
	})
}

// eventually polls until ok.
func (s *service) eventually(what string, ok func() bool) {
	s.t.Helper()
	deadline, tick := time.After(30*time.Second), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			log, _ := os.ReadFile(filepath.Join(s.dir, "out"))
			s.t.Fatalf("%s: not within 30 s; the node's log:\n%s", what, log)
		}
	}
}

// ready says whether the node answers for its service.
func (s *service) ready() bool {
	var addresses map[string]string
	text, err := os.ReadFile(filepath.Join(s.dir, "rpc.json"))
	if err != nil || json.Unmarshal(text, &addresses) != nil {
		return false
	}
	s.url = "https://" + addresses["main"]
	if _, err := os.Stat(filepath.Join(s.dir, "service_cert.pem")); err != nil {
		return false
	}
	_, err = s.dial().Do(s.t.Context(), client.Request{Method: "GET", Path: "/gov/service/info?api-version=2024-07-01"})
	return err == nil
}

func (s *service) certificate() string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "service_cert.pem"))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

func (s *service) dial() *client.Client {
	s.t.Helper()
	c, err := client.Dial(s.url, client.WithServiceCertificate([]byte(s.certificate())))
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *service) member(name string) *client.Member {
	s.t.Helper()
	m := s.members[name]
	signer, err := client.NewKeySigner([]byte(m.CertPEM), []byte(m.KeyPEM))
	if err != nil {
		s.t.Fatal(err)
	}
	return client.NewMember(s.dial(), signer)
}

// action is one action of a proposal.
func action(name string, args map[string]any) client.Action {
	return client.Action{Name: name, Args: args}
}

// propose returns the proposal and what has become of it at once: its state, or
// the error's status and message.
func (s *service) propose(by string, actions ...client.Action) (id, outcome string) {
	s.t.Helper()
	body, err := client.ProposalBody(actions...)
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := s.member(by).Propose(s.t.Context(), body)
	return result(s.t, p, err)
}

func result(t *testing.T, p *client.Proposal, err error) (id, outcome string) {
	t.Helper()
	var refused *synod.Error
	switch {
	case errors.As(err, &refused):
		return "", fmt.Sprintf("%d %s", refused.Status, refused.Message)
	case err != nil:
		t.Fatal(err)
	}
	return p.ID, string(p.State)
}

// expect proposes, then has members vote one after the other, and compares
// what has become of it each time: want has an outcome for the proposal and for
// each ballot. A ballot is "name" for, or "!name" against.
func (s *service) expect(what, by string, a client.Action, ballots []string, want ...string) {
	s.t.Helper()
	id, got := s.propose(by, a)
	if !strings.HasPrefix(got, want[0]) {
		s.t.Fatalf("%s: proposed by %s: %s, want %s", what, by, got, want[0])
	}
	for i, ballot := range ballots {
		name, against := strings.CutPrefix(ballot, "!")
		text := client.BallotFor
		if against {
			text = "export function vote(proposal, proposerId) { return false; }"
		}
		p, err := s.member(name).Vote(s.t.Context(), id, text)
		if _, got := result(s.t, p, err); !strings.HasPrefix(got, want[i+1]) {
			s.t.Fatalf("%s: ballot %s: %s, want %s", what, ballot, got, want[i+1])
		}
	}
}
