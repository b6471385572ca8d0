package arm

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"synod/internal/identity"
)

const testToken = "static-token-of-the-test"

// service is a server under test, asked in the process.
type service struct {
	*Server
	clock *clock
	logs  *bytes.Buffer
}

func newService(t testing.TB, change ...func(*Config)) *service {
	t.Helper()
	c := newClock()
	logs := new(bytes.Buffer)
	store, err := OpenStore(t.Context(), filepath.Join(t.TempDir(), "server.db"), c.now)
	if err != nil {
		t.Fatal(err)
	}
	auth, err := NewAuth(AuthConfig{Token: testToken, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	config := Config{
		Store: store, Auth: auth, Now: c.now, Log: slog.New(slog.NewTextHandler(logs, nil)), PublicURL: "https://synod.example:8400",
	}
	for _, f := range change {
		f(&config)
	}
	server, err := NewServer(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	s := &service{server, c, logs}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
		if logs.Len() > 0 {
			t.Errorf("the server logged: %s", logs)
		}
	})
	return s
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// field returns what a path of property names leads to in the body.
func (a answer) field(t *testing.T, path string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	for name := range strings.SplitSeq(path, ".") {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

func (a answer) code(t *testing.T) string {
	t.Helper()
	code, _ := a.field(t, "error.code").(string)
	if code != a.header.Get("x-ms-error-code") {
		t.Errorf("x-ms-error-code is %q, the body says %q", a.header.Get("x-ms-error-code"), code)
	}
	return code
}

// do sends a request with the static token; headers come in pairs.
func (s *service) do(t testing.TB, method, target, body string, headers ...string) answer {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req := httptest.NewRequestWithContext(t.Context(), method, "https://synod.example:8400"+target, r)
	req.TLS = &tls.ConnectionState{}
	req.Header.Set("Authorization", "Bearer "+testToken)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Del(headers[i])
		if headers[i+1] != "" {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, req)
	return answer{w.Code, w.Header(), w.Body.String()}
}

// want sends a request and checks the answer's status.
func (s *service) want(t testing.TB, status int, method, target, body string, headers ...string) answer {
	t.Helper()
	a := s.do(t, method, target, body, headers...)
	if a.status != status {
		t.Fatalf("%s %s: %d instead of %d: %s", method, target, a.status, status, a.body)
	}
	return a
}

const (
	sub       = "/subscriptions/3f0c6b9e-8a4b-4e39-9b0f-9b6c6d1d8f00"
	groupPath = sub + "/resourceGroups/Contoso"
	base      = groupPath + "/providers/Microsoft.ConfidentialLedger/managedCCFs"
	azure     = "?api-version=2023-06-28-preview"
	ownQuery  = "?api-version=" + OwnVersion
)

func (s *service) makeGroup(t testing.TB) {
	t.Helper()
	s.want(t, 201, "PUT", groupPath+"?api-version=2021-04-01", `{"location":"South Central US","tags":{"a":"b"}}`)
}

var testMember = func() *identity.Participant {
	p, err := identity.NewMember("member0", identity.Secp384r1, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		panic(err)
	}
	return p
}()

func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// createBody is a body as the quickstarts send it.
func createBody(more ...string) string {
	return `{"location":"southcentralus","tags":{"dept":"finance"},"properties":{"deploymentType":{"languageRuntime":"JS","appSourceUri":""},` +
		`"memberIdentityCertificates":[{"certificate":` + jsonText(testMember.CertPEM) + `,"encryptionkey":null,"tags":{"identifier":"member0","group":"contoso"}}]` + strings.Join(more, "") + `}}`
}

// finish does what a reconciler would: it ends each running operation.
func (s *service) finish(t testing.TB) { finish(t.Context(), t, s.Store, nil) }

type failer interface{ Error(args ...any) }

// finish ends the running operations of a store; fail, if not nil, is how.
func finish(ctx context.Context, t failer, store *Store, fail *Error) {
	running, err := store.RunningOperations(ctx)
	if err != nil {
		t.Error(err)
		return
	}
	for _, op := range running {
		if err := finishOne(ctx, store, op, fail); err != nil {
			t.Error(err)
		}
	}
}

func finishOne(ctx context.Context, store *Store, op Operation, fail *Error) error {
	n, err := store.Network(ctx, op.Network)
	if err != nil {
		return err
	}
	op.Status = OperationSucceeded
	if fail != nil {
		op.Status, op.Error = OperationFailed, fail
		n.Status.ProvisioningState = StateFailed
		return errors.Join(store.PutStatus(ctx, n.ID, n.Status), store.UpdateOperation(ctx, op))
	}
	switch op.Kind {
	case KindDelete:
		return errors.Join(store.DeleteNetwork(ctx, n.ID), store.UpdateOperation(ctx, op))
	case KindBackup, KindRestore:
		op.Result = json.RawMessage(`{"message":"` + op.Kind + ` done"}`)
	}
	n.Status.ProvisioningState, n.Status.RunningState = StateSucceeded, n.Desired.RunningState
	n.Status.AppURI, n.Status.ServiceCertificate = "https://127.0.0.1:9000", testMember.CertPEM
	n.Status.ObservedRevision = n.Revision
	n.Status.Nodes = nil
	for i := range n.Desired.NodeCount {
		n.Status.Nodes = append(n.Status.Nodes, NodeStatus{Ordinal: i, NodeID: strings.Repeat("a", 63) + string(rune('0'+i)), Role: RoleBackup, Health: HealthOk})
	}
	return errors.Join(store.PutStatus(ctx, n.ID, n.Status), store.UpdateOperation(ctx, op))
}

// path is a link without its host.
func (a answer) link(t *testing.T, header string) string {
	t.Helper()
	_, path, ok := strings.Cut(a.header.Get(header), "https://synod.example:8400")
	if !ok {
		t.Fatalf("%s: %q", header, a.header.Get(header))
	}
	return path
}
