package node_test

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"synod"
	"synod/client"
	"synod/internal/config"
	"synod/internal/cose"
	"synod/internal/identity"
	"synod/internal/node"
)

// signed is a proposal, signed by a key on behalf of a member, at a time.
func signed(t *testing.T, key, as *identity.Participant, at time.Time, msgType, payload string) []byte {
	t.Helper()
	b, err := cose.SignGov(key.Key, string(identity.MemberIDOf(as.CertDER)), cose.GovHeader{
		Alg: -35, MsgType: msgType, HasMsgType: true, CreatedAt: uint64(at.Unix()), HasCreatedAt: true,
	}, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBadInput sends what a hostile or clumsy client may send, each to be
// answered with its documented code, and then uses the service as before.
func TestBadInput(t *testing.T) {
	s := start(t, nil)
	s.open()
	s.pass(scriptApp(`
export function parse(request) { return { body: request.body.json() }; }
export function rubbish() { return 7; }
`, "parse", "rubbish"))
	c := s.dial(s.user)
	const create = "/gov/members/proposals:create?api-version=2024-07-01"
	const noop = `{"actions":[{"name":"set_user_data","args":{"user_id":"00","user_data":{}}}]}`
	now := time.Now()
	member, stranger := s.members[0], s.user
	good := signed(t, member, member, now, "proposal", `{"actions":[{"name":"trigger_ledger_chunk"}]}`)
	corrupted := append([]byte(nil), good...)
	corrupted[len(corrupted)-1] ^= 1
	nested := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)

	send := func(path, contentType string, body []byte) error {
		_, err := c.Do(t.Context(), client.Request{
			Method: http.MethodPost, Path: path, Body: body, Header: http.Header{"Content-Type": {contentType}},
		})
		return err
	}
	if err := send(create, "application/cose", good); err != nil {
		t.Fatalf("a good proposal: %v", err)
	}
	ballot := fmt.Sprintf("/gov/members/proposals/%064d/ballots/%s:submit?api-version=2024-07-01", 0, identity.MemberIDOf(stranger.CertDER))
	for _, x := range []struct {
		name, path string
		body       []byte
		status     int
		code       string
	}{
		{"no COSE at all", create, []byte("hello"), 500, "InternalError"},
		{"corrupted signature", create, corrupted, 401, "InvalidAuthenticationInfo"},
		{"another member's key", create, signed(t, s.members[1], member, now, "proposal", noop), 401, "InvalidAuthenticationInfo"},
		{"not a member", create, signed(t, stranger, stranger, now, "proposal", noop), 401, "InvalidAuthenticationInfo"},
		{"another message type", create, signed(t, member, member, now, "ballot", noop), 401, "InvalidAuthenticationInfo"},
		{"the same proposal again", create, good, 400, "ProposalReplay"},
		{"an old proposal", create, signed(t, member, member, now.Add(-time.Hour), "proposal", `{"actions":[{"name":"trigger_ledger_chunk"}]}`), 400, "ProposalCreatedTooLongAgo"},
		{"not JSON", create, signed(t, member, member, now, "proposal", "hello"), 500, "InternalError"},
		{"nested JSON", create, signed(t, member, member, now, "proposal", nested), 500, "InternalError"},
		{"an unknown action", create, signed(t, member, member, now, "proposal", `{"actions":[{"name":"nope"}]}`), 400, "ProposalFailedToValidate"},
		{"a missing module", create, signed(t, member, member, now, "proposal", `{"actions":[{"name":"set_js_app","args":{"bundle":{"metadata":{"endpoints":{"/x":{"get":{"js_module":"nope.js","js_function":"f","mode":"readonly","forwarding_required":"never","authn_policies":[]}}}},"modules":[]}}}]}`), 400, "ProposalFailedToValidate"},
		{"a ballot by nobody", ballot, signed(t, stranger, stranger, now, "ballot", `{"ballot":"x"}`), 401, "InvalidAuthenticationInfo"},
		{"nested JSON in a script", "/app/parse", []byte(nested), 500, "InternalError"},
		{"a script that returns rubbish", "/app/rubbish", nil, 500, "InternalError"},
		{"a body over the limit", "/app/parse", make([]byte, 1<<20+1), 413, "RequestBodyTooLarge"},
		{"an unknown path", "/app/nope", nil, 404, "ResourceNotFound"},
		{"an unknown version", "/gov/members/proposals:create?api-version=1", good, 400, "UnsupportedApiVersionValue"},
	} {
		t.Run(x.name, func(t *testing.T) {
			err := send(x.path, "application/cose", x.body)
			var e *synod.Error
			if !errors.As(err, &e) || e.Status != x.status || e.Code != x.code {
				t.Errorf("got %v, want %d %s", err, x.status, x.code)
			}
		})
	}
	t.Run("random bytes", func(t *testing.T) {
		for range 20 {
			conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(t.Context(), "tcp", s.Address("main")) //nolint:gosec // what is sent is noise
			if err != nil {
				t.Fatal(err)
			}
			noise := make([]byte, 200)
			if _, err := rand.Read(noise); err != nil {
				t.Fatal(err)
			}
			_, _ = conn.Write(noise)
			_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			got, _ := io.ReadAll(conn)
			if !strings.HasPrefix(string(got), "HTTP/1.1 400 ") {
				t.Errorf("noise was answered %q", got)
			}
			conn.Close()
		}
	})
	t.Run("constitutions", func(t *testing.T) { s.badConstitutions(t) })
}

// badConstitutions installs constitutions that misbehave in one function, one
// after the other, and the default again after each.
func (s *service) badConstitutions(t *testing.T) {
	original, err := os.ReadFile(filepath.Join(s.dir, "constitution.js"))
	if err != nil {
		t.Fatal(err)
	}
	// The default constitution, but where the proposal asks for trouble.
	guard := func(code string) string {
		return strings.Replace(string(original), "export function validate(", "export function validate(input) { if (input.includes('trouble')) {"+code+"} return wellBehaved(input); }\nfunction wellBehaved(", 1)
	}
	for name, x := range map[string]struct{ code, want string }{
		"throws":          {"throw new Error('on purpose');", "on purpose"},
		"loops":           {"for (;;);", "Operation took too long to complete."},
		"returns rubbish": {"return 7;", "failed to return an object"},
		"fills the heap":  {"const a = []; for (;;) a.push(new Uint8Array(1 << 20));", "out of memory"},
	} {
		t.Run(name, func(t *testing.T) {
			s.t = t
			s.pass(client.Action{Name: "set_constitution", Args: map[string]any{"constitution": guard(x.code)}})
			_, err := s.member(0).Propose(t.Context(), []byte(`{"actions":[{"name":"trouble"}]}`))
			var e *synod.Error
			if !errors.As(err, &e) || e.Status != 500 || !strings.Contains(e.Message, x.want) {
				t.Errorf("got %v, want 500 with %q", err, x.want)
			}
			s.pass(client.Action{Name: "set_constitution", Args: map[string]any{"constitution": string(original)}})
		})
	}
}

// TestRefusedStarts starts nodes that must not start, and looks at what they
// say and leave.
func TestRefusedStarts(t *testing.T) {
	s := start(t, nil)
	s.governed()
	text, err := os.ReadFile(filepath.Join(s.dir, "node.json"))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	again := func() *node.Error {
		_, err := node.Start(node.Options{Config: cfg, Logger: s.log})
		var e *node.Error
		if !errors.As(err, &e) {
			t.Fatalf("got %v", err)
		}
		return e
	}
	if e := again(); e.Exit != node.ExitPIDFile || !strings.HasSuffix(e.Error(), "already exists. Exiting.") {
		t.Errorf("with a PID file: %d %v", e.Exit, e)
	}
	if err := os.Remove(cfg.OutputFiles.PIDFile); err != nil {
		t.Fatal(err)
	}
	if e := again(); e.Exit != node.ExitValidation || e.Error() != "On start, ledger directory should not exist or be empty (ledger)" {
		t.Errorf("with a ledger: %d %v", e.Exit, e)
	}
}
