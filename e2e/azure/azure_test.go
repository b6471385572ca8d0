//go:build e2e

package azure

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"synod/internal/arm"
	"synod/internal/identity"
)

// target is a managed service that clients are let loose on.
type target struct {
	url, ca, token, data    string
	pid                     int    // of the server
	backup, share, restarts string // "" if there is none
	broken                  string
}

func repo(path ...string) string {
	root, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return filepath.Join(append([]string{root}, path...)...)
}

// member writes a member's certificate and returns the file.
func member(t *testing.T) string {
	t.Helper()
	p, err := identity.NewMember("member0", "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "member0_cert.pem")
	if err := os.WriteFile(name, []byte(p.CertPEM), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestAgainstTheAPI runs each client on the API with something that ends
// operations instead of a reconciler: what is judged are the answers alone, and
// backup, restore, failures and a restart of the control plane are among them.
func TestAgainstTheAPI(t *testing.T) {
	allClients(t, newStub(t), 3)
}

// TestAgainstTheServer runs each client on the real thing.
func TestAgainstTheServer(t *testing.T) {
	allClients(t, startServer(t), 1)
}

func allClients(t *testing.T, to *target, nodes int) {
	t.Run("go", func(t *testing.T) {
		program := filepath.Join(t.TempDir(), "life")
		build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
		build.Dir, build.Env = repo("e2e", "azure", "go"), append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		to.run(t, nodes, program)
	})
	t.Run("javascript", func(t *testing.T) { to.run(t, nodes, "node", repo("e2e", "azure", "js", "life.mjs")) })
	t.Run("python", func(t *testing.T) {
		to.run(t, nodes, repo(".venv", "bin", "python3"), repo("e2e", "azure", "python", "life.py"))
	})
	t.Run("az", func(t *testing.T) { replayAz(t, to, nodes) })
}

// run runs a client's program with its environment to the end.
func (to *target) run(t *testing.T, nodes int, program ...string) {
	t.Helper()
	name := "net-" + strings.ReplaceAll(filepath.Base(t.Name()), "/", "-")
	to.makeGroup(t, "group-"+name)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program[0], program[1:]...)
	cmd.Env = append(os.Environ(), "SYNOD_URL="+to.url, "SYNOD_CA="+to.ca, "NODE_EXTRA_CA_CERTS="+to.ca, "REQUESTS_CA_BUNDLE="+to.ca,
		"SYNOD_TOKEN="+to.token, "SYNOD_SUBSCRIPTION="+arm.DefaultSubscription, "SYNOD_GROUP=group-"+name, "SYNOD_NETWORK="+name,
		fmt.Sprint("SYNOD_NODES=", nodes), "SYNOD_MEMBER="+member(t), "SYNOD_BACKUP="+to.backup, "SYNOD_SHARE="+to.share,
		"SYNOD_RESTART="+to.restarts, "SYNOD_BROKEN="+to.broken)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !bytes.Contains(out, []byte("passed")) {
		t.Fatal(err)
	}
}

func (to *target) client(t *testing.T) *http.Client {
	t.Helper()
	ca, err := os.ReadFile(to.ca)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: trusting(ca)}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

func trusting(ca []byte) *tls.Config {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

func (to *target) makeGroup(t *testing.T, name string) {
	t.Helper()
	send(t, to, "PUT", "/subscriptions/"+arm.DefaultSubscription+"/resourcegroups/"+name+"?api-version=2021-04-01", `{"location":"southcentralus"}`, nil)
}

type reply struct {
	status int
	header http.Header
	body   string
}

func send(t *testing.T, to *target, method, at, body string, header map[string]string) reply {
	t.Helper()
	if strings.HasPrefix(at, "/") {
		at = to.url + at
	}
	r, err := http.NewRequestWithContext(t.Context(), method, at, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+to.token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	resp, err := to.client(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(text)}
}

// replayAz sends what the Azure CLI was recorded to send for create, show, list
// and delete, headers included, and wants what it was answered.
func replayAz(t *testing.T, to *target, nodes int) {
	az := func(command, parameters string) map[string]string {
		return map[string]string{
			"Accept": "*/*", "Accept-Encoding": "gzip, deflate", "CommandName": "confidentialledger managedccfs " + command, "ParameterSetName": parameters,
			"User-Agent": "AZURECLI/2.45.0 (AAZ) azsdk-python-core/1.24.0 Python/3.10.9 (Windows-10-10.0.22621-SP0)",
		}
	}
	cert, err := os.ReadFile(member(t))
	if err != nil {
		t.Fatal(err)
	}
	to.makeGroup(t, "synth_azcli_rg_000001")
	base := "/subscriptions/" + arm.DefaultSubscription + "/resourceGroups/synth_azcli_rg_000001/providers/Microsoft.ConfidentialLedger/managedCCFs"
	const version = "?api-version=2023-01-26-preview"
	one := base + "/synth-azcli-000002" + version
	body, err := json.Marshal(map[string]any{
		"location": "southcentralus", "tags": map[string]string{"dept": "finance"}, "properties": map[string]any{
			"deploymentType": map[string]string{"appSourceUri": "customImage", "languageRuntime": "JS"}, "nodeCount": nodes,
			"memberIdentityCertificates": []any{map[string]any{"certificate": string(cert), "tags": map[string]string{"identifier": "member0", "group": "contoso"}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	create := az("create", "-n -l -g --tags --members")
	made := send(t, to, "PUT", one, string(body), create)
	if made.status != 201 || !strings.Contains(made.body, `"provisioningState":"Accepted"`) || made.header.Get("x-ms-async-operation-timeout") != "PT10M" {
		t.Fatal(made)
	}
	poll := func(at string, header map[string]string, running int) {
		t.Helper()
		deadline := time.Now().Add(time.Minute)
		for {
			r := send(t, to, "GET", at, "", header)
			if strings.Contains(r.body, `"status":"Succeeded"`) && r.status == 200 {
				return
			}
			if r.status != running || time.Now().After(deadline) {
				t.Fatal(r)
			}
			<-time.After(50 * time.Millisecond)
		}
	}
	poll(made.header.Get("Azure-AsyncOperation"), create, 200)
	t.Logf("created %d nodes in %d ms", nodes, time.Since(began).Milliseconds())
	show := az("show", "-g -n")
	show["Accept"] = "application/json"
	if r := send(t, to, "GET", one, "", show); r.status != 200 || !strings.Contains(r.body, `"appUri":"https://`) {
		t.Error(r)
	}
	list := az("list", "-g")
	list["Accept"] = "application/json"
	if r := send(t, to, "GET", base+version, "", list); r.status != 200 || !strings.Contains(r.body, `"name":"synth-azcli-000002"`) {
		t.Error(r)
	}
	remove := az("delete", "--resource-group --name --yes")
	remove["Content-Length"] = "0"
	gone := send(t, to, "DELETE", one, "", remove)
	if gone.status != 202 || gone.body != "null" || gone.header.Get("Location") != gone.header.Get("Azure-AsyncOperation") || gone.header.Get("x-ms-async-operation-timeout") != "PT5M" {
		t.Fatal(gone)
	}
	poll(gone.header.Get("Azure-AsyncOperation"), remove, 202)
	if r := send(t, to, "GET", one, "", show); r.status != 404 {
		t.Error(r)
	}
}

// startServer starts bin/synod server with one-node networks in mind.
func startServer(t *testing.T) *target {
	t.Helper()
	dir := t.TempDir()
	data := filepath.Join(dir, "managed")
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "config.json")
	if err := os.WriteFile(config, []byte(`{"endpoint":{"portsFrom":19600,"portsTo":19900}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), repo("bin", "synod"), "server", "--data", data, "--listen", "127.0.0.1:0", "--config", config)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 20 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGINT) //nolint:errcheck // it may have ended
		if err := cmd.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if text, err := os.ReadFile(log.Name()); t.Failed() && err == nil {
			t.Logf("%s", text)
		}
	})
	var info struct{ URL, CA, TokenFile string }
	for deadline := time.Now().Add(30 * time.Second); ; <-time.After(20 * time.Millisecond) {
		text, err := os.ReadFile(filepath.Join(data, "server.json"))
		if err == nil && json.Unmarshal(text, &info) == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the server does not start")
		}
	}
	token, err := os.ReadFile(info.TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	return &target{url: info.URL, ca: info.CA, token: strings.TrimSpace(string(token)), data: data, pid: cmd.Process.Pid, backup: "store:default"}
}

// stub is the API over a store whose operations end by themselves.
type stub struct {
	t     *testing.T
	dir   string
	api   atomic.Pointer[arm.Server]
	store *arm.Store // guarded by mu
	mu    sync.Mutex
}

func newStub(t *testing.T) *target {
	t.Helper()
	s := &stub{t: t, dir: t.TempDir()}
	s.open()
	authority, err := arm.OpenAuthority(s.dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	config, err := arm.ServerTLS{Authority: authority, Hosts: arm.LocalHosts(), Now: time.Now}.Config()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	web := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	var parts sync.WaitGroup
	parts.Go(func() { web.Serve(tls.NewListener(listener, config)) }) //nolint:errcheck // Close ends it
	parts.Go(func() { s.finish(ctx) })
	t.Cleanup(func() {
		cancel()
		web.Close() //nolint:errcheck // nothing is lost
		parts.Wait()
		if err := s.store.Close(); err != nil {
			t.Error(err)
		}
	})
	address := "https://" + listener.Addr().String()
	return &target{
		url: address, ca: filepath.Join(s.dir, "ca.pem"), token: stubToken,
		backup: "https://share.example/backups?sig=secret", share: "backup-1", restarts: address + "/test/restart", broken: "broken-1",
	}
}

const stubToken = "the-token-of-a-stub"

func (s *stub) open() {
	store, err := arm.OpenStore(s.t.Context(), filepath.Join(s.dir, "server.db"), time.Now)
	if err != nil {
		s.t.Fatal(err)
	}
	auth, err := arm.NewAuth(arm.AuthConfig{Token: stubToken, Now: time.Now})
	if err != nil {
		s.t.Fatal(err)
	}
	api, err := arm.NewServer(s.t.Context(), arm.Config{
		Store: store, Auth: auth, Now: time.Now, Log: slog.New(slog.NewTextHandler(s.t.Output(), nil)), PublicURL: "https://stub.example", PageSize: 1,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.store = store
	s.api.Store(api)
}

// ServeHTTP answers as the API; one path puts another control plane on the same
// store in its place.
func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/test/restart" {
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := s.store.Close(); err != nil {
			s.t.Error(err)
		}
		s.open()
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s.api.Load().ServeHTTP(w, r)
}

// finish ends each operation some time after it began, as a reconciler would.
func (s *stub) finish(ctx context.Context) {
	const work = 300 * time.Millisecond
	tick := time.NewTicker(work / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.mu.Lock()
		running, err := s.store.RunningOperations(ctx)
		for _, op := range running {
			if time.Since(op.StartedAt) > work {
				err = errors.Join(err, s.end(ctx, op))
			}
		}
		s.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			s.t.Error(err)
		}
	}
}

func (s *stub) end(ctx context.Context, op arm.Operation) error {
	n, err := s.store.Network(ctx, op.Network)
	if err != nil {
		return err
	}
	op.Status = arm.OperationSucceeded
	switch {
	case op.Kind == arm.KindDelete:
		return errors.Join(s.store.DeleteNetwork(ctx, n.ID), s.store.UpdateOperation(ctx, op))
	case strings.HasPrefix(n.ID.Name, "broken"):
		op.Status, op.Error = arm.OperationFailed, &arm.Error{Code: "NodeStartFailed", Message: "Node 0 has ended."}
		n.Status.ProvisioningState = arm.StateFailed
	case op.Kind == arm.KindBackup || op.Kind == arm.KindRestore:
		if op.Result, err = json.Marshal(arm.MessageResult{Message: op.Kind + " of " + n.ID.Name + " is done."}); err != nil {
			return err
		}
	}
	if op.Error == nil {
		n.Status.ProvisioningState, n.Status.RunningState, n.Status.AppURI = arm.StateSucceeded, n.Desired.RunningState, "https://127.0.0.1:9999"
		n.Status.ServiceCertificate, n.Status.ObservedRevision = n.Desired.Members[0].Certificate, n.Revision
	}
	return errors.Join(s.store.PutStatus(ctx, n.ID, n.Status), s.store.UpdateOperation(ctx, op))
}
