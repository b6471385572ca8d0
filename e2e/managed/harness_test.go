//go:build e2e

package managed

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"synod/client"
	"synod/internal/archive"
	"synod/internal/arm"
	"synod/internal/identity"
	"synod/internal/provision"
	"synod/internal/provision/process"
)

const (
	controlDir   = "SYNOD_TEST_CONTROL" // has this program be a control plane on that directory
	controlFault = "SYNOD_TEST_FAULT"   // and kill itself at that many faults
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(controlDir); dir != "" {
		os.Exit(runControl(dir))
	}
	os.Exit(m.Run())
}

// control is a control plane's parts on a directory.
type control struct {
	store    *arm.Store
	driver   *process.Driver
	releases *provision.Releases
	manager  *provision.Manager
}

func repo(path ...string) string {
	root, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return filepath.Join(append([]string{root}, path...)...)
}

func openControl(ctx context.Context, dir string, log *slog.Logger, now func() time.Time, fault func(string, provision.Step)) (*control, error) {
	c := &control{}
	var err error
	if c.store, err = arm.OpenStore(ctx, filepath.Join(dir, "server.db"), now); err != nil {
		return nil, err
	}
	if c.driver, err = process.New(process.Options{Dir: filepath.Join(dir, "networks")}); err != nil {
		return nil, err
	}
	op, err := provision.LoadOperator(provision.OperatorOptions{Dir: filepath.Join(dir, "operator")}, now)
	if err != nil {
		return nil, err
	}
	if c.releases, err = provision.OpenReleases(filepath.Join(dir, "releases")); err != nil {
		return nil, err
	}
	own, err := c.releases.Add("first", "", repo("bin", "synod-node"))
	if err != nil {
		return nil, err
	}
	c.releases.SetCurrent(own.Name)
	// Another binary of the same code: with something after its end.
	text, err := os.ReadFile(repo("bin", "synod-node"))
	if err != nil {
		return nil, err
	}
	next := filepath.Join(dir, "synod-node-next")
	if err := os.WriteFile(next, append(text, "next"...), 0o700); err != nil {
		return nil, err
	}
	if _, err := c.releases.Add("next", "", next); err != nil {
		return nil, err
	}
	backups, err := archive.OpenDir(filepath.Join(dir, "backups"))
	if err != nil {
		return nil, err
	}
	scratch := filepath.Join(dir, "scratch")
	if err := os.MkdirAll(scratch, 0o700); err != nil {
		return nil, err
	}
	c.manager, err = provision.New(provision.Options{
		Stores: archive.Policy{Named: map[string]archive.Store{"default": backups}}, Scratch: scratch,
		Store: c.store, Driver: c.driver, Operator: op, Releases: c.releases, Log: log, Now: now, Fault: fault,
		PortsFrom: 18500, PortsTo: 19500,
	})
	return c, err
}

// runControl is the life of a control plane in a process of its own.
func runControl(dir string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	most, _ := strconv.Atoi(os.Getenv(controlFault))
	var mu sync.Mutex
	count := 0
	c, err := openControl(ctx, dir, slog.New(slog.NewTextHandler(os.Stderr, nil)), time.Now, func(when string, s provision.Step) {
		mu.Lock()
		defer mu.Unlock()
		if count++; count == most {
			fmt.Printf("%s %s\n", when, s.Kind)
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	})
	if err == nil {
		err = c.manager.Run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// world is a control plane under test, in this process.
type world struct {
	*control
	t      *testing.T
	dir    string
	cancel context.CancelFunc
	ended  chan error
	log    *os.File

	mu    sync.Mutex
	clock time.Duration // how far it is ahead
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.clock)
}

func (w *world) move(d time.Duration) {
	w.mu.Lock()
	w.clock += d
	w.mu.Unlock()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	var err error
	if w.log, err = os.Create(filepath.Join(w.dir, "control.log")); err != nil {
		t.Fatal(err)
	}
	w.start()
	t.Cleanup(func() {
		w.stop()
		w.killAll()
		if t.Failed() {
			text, _ := os.ReadFile(w.log.Name())
			t.Logf("control plane:\n%s", tail(string(text), 60))
			logs, _ := filepath.Glob(filepath.Join(w.dir, "networks", "*", "logs", "*.log"))
			for _, name := range logs {
				text, _ := os.ReadFile(name)
				t.Logf("%s:\n%s", name, tail(string(text), 12))
			}
		}
	})
	return w
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(len(all)-lines, 0):], "\n")
}

// start starts the control plane in this process.
func (w *world) start() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c, err := openControl(ctx, w.dir, slog.New(slog.NewTextHandler(w.log, nil)), w.now, nil)
	if err != nil {
		cancel()
		w.t.Fatal(err)
	}
	w.control, w.cancel, w.ended = c, cancel, make(chan error, 1)
	go func() { w.ended <- c.manager.Run(ctx) }()
}

// stop stops it; nodes go on.
func (w *world) stop() {
	w.t.Helper()
	if w.cancel == nil {
		return
	}
	w.cancel()
	if err := <-w.ended; err != nil {
		w.t.Error(err)
	}
	w.cancel = nil
	if err := w.store.Close(); err != nil {
		w.t.Error(err)
	}
}

func (w *world) killAll() {
	d, err := process.New(process.Options{Dir: filepath.Join(w.dir, "networks")})
	if err != nil {
		w.t.Fatal(err)
	}
	names, _ := d.Networks(context.Background())
	for _, name := range names {
		nodes, _ := d.Nodes(context.Background(), name)
		for _, n := range nodes {
			if n.Alive {
				_ = d.Signal(name, n.Ordinal, syscall.SIGKILL)
			}
		}
	}
	if err := d.StopAll(context.Background()); err != nil {
		w.t.Error(err)
	}
}

func id(name string) arm.NetworkID {
	return arm.NetworkID{Subscription: "s", Group: "g", Name: name}
}

// member is a member's keys.
type member struct {
	*identity.Participant
	encryption string // public key, "" without
	private    string
}

func newMember(t *testing.T, withKey bool) member {
	t.Helper()
	p, err := identity.NewMember("member", "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	m := member{Participant: p}
	if withKey {
		if m.private, m.encryption, err = identity.NewEncryptionKey(); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func (m member) signer(t *testing.T) *client.KeySigner {
	t.Helper()
	s, err := client.NewKeySigner([]byte(m.CertPEM), []byte(m.KeyPEM))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func desired(nodes int, members ...member) arm.Desired {
	d := arm.Desired{
		NodeCount: nodes, Zones: []string{"a", "b", "c"}, RunningState: arm.RunningActive, AppSourceURI: arm.AppSample,
		UpgradeStrategy: arm.Supervised, CertificateDays: 90,
	}
	for i, m := range members {
		d.Members = append(d.Members, arm.Member{Certificate: m.CertPEM, EncryptionKey: m.encryption, Tags: json.RawMessage(fmt.Sprintf(`{"identifier":"member%d"}`, i))})
	}
	return d
}

// put stores what is wanted, with an operation.
func put(t *testing.T, s *arm.Store, name, kind string, d arm.Desired) *arm.Operation {
	t.Helper()
	op := &arm.Operation{Kind: kind}
	if _, err := s.PutDesired(t.Context(), arm.Network{ID: id(name), Location: "local", Desired: d}, arm.Precondition{}, op); err != nil {
		t.Fatal(err)
	}
	return op
}

// change changes what is wanted.
func (w *world) change(name, kind string, change func(*arm.Desired)) *arm.Operation {
	w.t.Helper()
	n := w.network(name)
	change(&n.Desired)
	return put(w.t, w.store, name, kind, n.Desired)
}

func (w *world) network(name string) arm.Network {
	w.t.Helper()
	n, err := w.store.Network(w.t.Context(), id(name))
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// wait waits for the end of an operation.
func (w *world) wait(op *arm.Operation, within time.Duration) arm.Operation {
	w.t.Helper()
	var last arm.Operation
	w.eventually(within, "the operation's end", func() bool {
		var err error
		if last, err = w.store.Operation(w.t.Context(), op.ID); err != nil {
			w.t.Fatal(err)
		}
		return last.Ended()
	}, func() any { return last.Steps })
	return last
}

func (w *world) succeed(op *arm.Operation, within time.Duration) {
	w.t.Helper()
	if last := w.wait(op, within); last.Status != arm.OperationSucceeded {
		w.t.Fatalf("%s: %s %v\n%+v", last.Kind, last.Status, last.Error, last.Steps)
	}
}

// eventually polls until ok.
func (w *world) eventually(within time.Duration, what string, ok func() bool, state func() any) {
	w.t.Helper()
	for deadline := time.Now().Add(within); !ok(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: not within %v: %+v", what, within, state())
		}
	}
}

// whole waits until count nodes are well and nothing is going on.
func (w *world) whole(name string, count int, within time.Duration) []arm.NodeStatus {
	w.t.Helper()
	var n arm.Network
	w.eventually(within, fmt.Sprintf("%d well nodes", count), func() bool {
		n = w.network(name)
		well := 0
		for _, node := range n.Status.Nodes {
			if (node.Role == arm.RolePrimary || node.Role == arm.RoleBackup) && node.Health == arm.HealthOk {
				well++
			}
		}
		return well == count && len(n.Status.Nodes) == count && condition(n, arm.ConditionProgressing) == "False" && condition(n, arm.ConditionDegraded) == "False"
	}, func() any { return []any{n.Status.Nodes, n.Status.Conditions} })
	return n.Status.Nodes
}

func condition(n arm.Network, kind string) string {
	for _, c := range n.Status.Conditions {
		if c.Type == kind {
			return c.Status
		}
	}
	return ""
}

func primary(t *testing.T, nodes []arm.NodeStatus) arm.NodeStatus {
	t.Helper()
	i := slices.IndexFunc(nodes, func(n arm.NodeStatus) bool { return n.Role == arm.RolePrimary })
	if i < 0 {
		t.Fatalf("no primary: %+v", nodes)
	}
	return nodes[i]
}

func backups(nodes []arm.NodeStatus) []arm.NodeStatus {
	return slices.DeleteFunc(slices.Clone(nodes), func(n arm.NodeStatus) bool { return n.Role != arm.RoleBackup })
}

// user talks to a network's endpoint as a member.
type user struct {
	t      *testing.T
	w      *world
	name   string
	member member
	client *http.Client
	url    string
}

func (w *world) user(name string, m member) *user {
	w.t.Helper()
	u := &user{t: w.t, w: w, name: name, member: m}
	u.dial()
	return u
}

func (u *user) dial() {
	u.t.Helper()
	n := u.w.network(u.name)
	pair, err := tls.X509KeyPair([]byte(u.member.CertPEM), []byte(u.member.KeyPEM))
	if err != nil {
		u.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(n.Status.ServiceCertificate))
	u.url = n.Status.AppURI
	u.client = &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: pool, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, Time: u.w.now,
	}}}
}

var errStatus = errors.New("status")

// do sends a request; an answer of 400 and more is an error.
func (u *user) do(method, path, body string) (string, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, u.url+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("content-type", "application/json")
	if method != http.MethodGet {
		req.Header.Set("x-synod-wait", "committed")
	}
	resp, err := u.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if status := resp.Header.Get("x-synod-status"); resp.StatusCode >= 400 || method != http.MethodGet && status != "Committed" {
		return "", fmt.Errorf("%w %d %s: %s", errStatus, resp.StatusCode, status, text)
	}
	return string(text), nil
}

func (u *user) must(method, path, body string) string {
	u.t.Helper()
	text, err := u.do(method, path, body)
	if err != nil {
		u.t.Fatalf("%s %s: %v", method, path, err)
	}
	return text
}

// activate makes the member active.
func (u *user) activate() {
	u.t.Helper()
	n := u.w.network(u.name)
	c, err := client.Dial(n.Status.AppURI, client.WithServiceCertificate([]byte(n.Status.ServiceCertificate)))
	if err != nil {
		u.t.Fatal(err)
	}
	defer c.Close()
	if _, err := client.NewMember(c, u.member.signer(u.t)).Activate(u.t.Context()); err != nil {
		u.t.Fatal(err)
	}
}

// crashing runs control planes in processes of their own, each of which kills itself
// at its second fault: after one step, before that is noted. It returns where they
// died, once the operation has ended.
func (w *world) crashing(op *arm.Operation, fault int, within time.Duration) []string {
	w.t.Helper()
	var died []string
	deadline := time.Now().Add(within)
	for {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), controlDir+"="+w.dir, controlFault+"="+strconv.Itoa(fault))
		cmd.Stderr = w.log
		var out strings.Builder
		cmd.Stdout = &out
		if err := cmd.Start(); err != nil {
			w.t.Fatal(err)
		}
		exited := make(chan error, 1)
		go func() { exited <- cmd.Wait() }()
		for running := true; running; {
			select {
			case <-exited:
				running = false
				died = append(died, strings.TrimSpace(out.String()))
			case <-time.After(20 * time.Millisecond):
				if w.ended_(op) {
					_ = cmd.Process.Signal(syscall.SIGTERM)
					<-exited
					return died
				}
				if time.Now().After(deadline) {
					_ = cmd.Process.Kill()
					<-exited
					w.t.Fatalf("not within %v; died: %q", within, died)
				}
			}
		}
		if w.ended_(op) {
			return died
		}
	}
}

// ended_ looks at an operation while no control plane of this process runs.
func (w *world) ended_(op *arm.Operation) bool {
	w.t.Helper()
	s := w.openStore()
	defer s.Close()
	last, err := s.Operation(context.Background(), op.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	if last.Ended() && last.Status != arm.OperationSucceeded {
		w.t.Fatalf("%s: %s %v\n%+v", last.Kind, last.Status, last.Error, last.Steps)
	}
	return last.Ended()
}

func (w *world) openStore() *arm.Store {
	w.t.Helper()
	s, err := arm.OpenStore(context.Background(), filepath.Join(w.dir, "server.db"), w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}
