package process

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"synod/internal/provision"
)

// standIn is a node's process that listens nowhere: it writes what a node writes
// and waits to be ended.
const standIn = `echo "$@" > args
echo '{"main":"127.0.0.1:4711"}' > rpc_addresses.json
echo "20260101 [info ] node.go:1 | Started"
trap 'exit 0' TERM
while :; do sleep 0.01; done
`

func newTestDriver(t *testing.T, dir string) *Driver {
	t.Helper()
	d, err := New(Options{Dir: dir, LogSizeMax: 1000, LogsMax: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.StopAll(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return d
}

func spec(t *testing.T, script string) provision.NodeSpec {
	t.Helper()
	file := filepath.Join(t.TempDir(), "node.sh")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	return provision.NodeSpec{
		Network: "Net-1", Zone: "a", Kind: provision.KindJoin, CertificateDays: 7,
		Release: provision.Release{Name: "r1", Path: "/bin/sh", Args: []string{file}},
		Join:    provision.Join{Target: "127.0.0.1:1", ServiceCertificate: "certificate"},
	}
}

func start(t *testing.T, d *Driver, s provision.NodeSpec) provision.Node {
	t.Helper()
	n, err := d.Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// look lists the nodes until one of the ordinal is as wanted.
func await(t *testing.T, d *Driver, ordinal int, want func(provision.Node) bool) provision.Node {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		nodes, err := d.Nodes(t.Context(), "net-1")
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes {
			if n.Ordinal == ordinal && want(n) {
				return n
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("not as wanted: %+v", nodes)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func listens(n provision.Node) bool { return n.Alive && n.Address != "" }
func ended(n provision.Node) bool   { return !n.Alive }

// A first node that came to nothing leaves nothing that the next one's service would take
// for its own.
func TestNewServiceBeginsWithNothing(t *testing.T) {
	d := newTestDriver(t, t.TempDir())
	first := spec(t, "exit 1")
	first.Kind, first.Genesis = provision.KindStart, provision.Genesis{Constitution: "c"}
	n := start(t, d, first)
	await(t, d, n.Ordinal, ended)
	ledger, _ := d.Files("net-1", n.Ordinal)
	if err := os.MkdirAll(ledger, 0o700); err != nil {
		t.Fatal(err)
	}
	const chunk = "ledger_1-14.committed"
	if err := os.WriteFile(filepath.Join(ledger, chunk), []byte("of the first"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Stop(t.Context(), "net-1", n.Ordinal, false); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(d.Kept("net-1"), chunk)); err != nil {
		t.Fatal(err) // of a node that is gone it is kept
	}
	start(t, d, first)
	if _, err := os.Stat(filepath.Join(d.Kept("net-1"), chunk)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the next service has it: %v", err)
	}
	if info, err := os.Stat(d.Kept("net-1")); err != nil || !info.IsDir() {
		t.Error(err)
	}
}

// Logs of nodes that are gone are kept, but not of any number of them.
func TestLogsOfThoseGone(t *testing.T) {
	d := newTestDriver(t, t.TempDir())
	logs := filepath.Dir(d.LogFile("net-1", 0))
	if err := os.MkdirAll(logs, 0o700); err != nil {
		t.Fatal(err)
	}
	put := func(name string) {
		if err := os.WriteFile(filepath.Join(logs, name), []byte("line\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range goneLogsMax + 3 {
		put(strconv.Itoa(i) + ".log")
		put(strconv.Itoa(i) + ".log.1")
	}
	if err := os.MkdirAll(d.home("net-1", 1), 0o700); err != nil { // it is not gone
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(logs), "next"), []byte("100\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, d, spec(t, standIn))
	for ordinal, want := range map[int]bool{0: false, 1: true, 2: false, 3: true, goneLogsMax + 2: true} {
		for _, name := range []string{d.LogFile("net-1", ordinal), older(d.LogFile("net-1", ordinal), 1)} {
			if _, err := os.Stat(name); (err == nil) != want {
				t.Errorf("%s: %v", filepath.Base(name), err)
			}
		}
	}
}

// What cannot be read of a node is no reason to take it for gone.
func TestWhatCannotBeRead(t *testing.T) {
	d := newTestDriver(t, t.TempDir())
	n := start(t, d, spec(t, standIn))
	await(t, d, n.Ordinal, listens)
	home := d.home("net-1", n.Ordinal)
	for _, name := range []string{"node_cert.pem", "process.json"} {
		file := filepath.Join(home, name)
		text, err := os.ReadFile(file)
		if err := errors.Join(os.RemoveAll(file), os.Mkdir(file, 0o700)); err != nil { // cannot be read as a file
			t.Fatal(err)
		}
		if nodes, err := d.Nodes(t.Context(), "net-1"); err == nil {
			t.Errorf("without %s: %+v", name, nodes)
		}
		if name == "process.json" {
			if err := d.Stop(t.Context(), "net-1", n.Ordinal, false); err == nil {
				t.Error("it was removed")
			}
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err == nil {
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := await(t, d, n.Ordinal, listens); got.PID != n.PID {
		t.Errorf("%d runs, not %d", got.PID, n.PID)
	}
}

// TestNodesOutliveTheDriver starts nodes with one driver and finds, adopts and
// stops them with others, also when the first died before it noted the process.
func TestNodesOutliveTheDriver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := newTestDriver(t, dir)
	s := spec(t, standIn)
	for want := range 2 {
		if n := start(t, first, s); n.Ordinal != want || !n.Alive {
			t.Fatalf("%+v", n)
		}
	}
	was := await(t, first, 0, listens)
	if was.Address != "127.0.0.1:4711" || was.Zone != "a" || was.Release != "r1" || was.Kind != provision.KindJoin || was.PID == 0 {
		t.Errorf("%+v", was)
	}

	second := newTestDriver(t, dir)
	if n := await(t, second, 0, listens); n.PID != was.PID {
		t.Errorf("found process %d, want %d", n.PID, was.PID)
	}
	if err := os.Remove(filepath.Join(second.home("net-1", 0), "process.json")); err != nil {
		t.Fatal(err)
	}
	if n := await(t, second, 0, listens); n.PID != was.PID {
		t.Errorf("found process %d without a note, want %d", n.PID, was.PID)
	}
	if err := second.Stop(t.Context(), "NET-1", 0, true); err != nil {
		t.Fatal(err)
	}
	await(t, first, 0, ended)
	if err := second.Stop(t.Context(), "net-1", 0, false); err != nil {
		t.Fatal(err)
	}
	if err := second.Stop(t.Context(), "net-1", 1, false); err != nil {
		t.Fatal(err)
	}
	if n := start(t, second, s); n.Ordinal != 2 {
		t.Errorf("ordinal %d was used before", n.Ordinal)
	}
	if _, err := os.Stat(second.LogFile("net-1", 0)); err != nil {
		t.Errorf("the log of a node that has gone: %v", err)
	}
	if names, err := second.Networks(t.Context()); err != nil || len(names) != 1 || names[0] != "net-1" {
		t.Errorf("networks %v, %v", names, err)
	}
	if err := second.StopAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := second.Remove(t.Context(), "net-1"); err != nil {
		t.Fatal(err)
	}
	if nodes, err := second.Nodes(t.Context(), "net-1"); err != nil || len(nodes) != 0 {
		t.Errorf("%v, %v", nodes, err)
	}
}

// TestAnotherProcess has the note of a node name a process that is none.
func TestAnotherProcess(t *testing.T) {
	t.Parallel()
	d := newTestDriver(t, t.TempDir())
	start(t, d, spec(t, standIn))
	n := await(t, d, 0, listens)
	home := d.home("net-1", 0)
	began, ok := (&look{}).beginOf(n.PID)
	if !ok {
		t.Fatal("the process has no begin")
	}
	self, _ := (&look{}).beginOf(os.Getpid())
	for _, p := range []found{{os.Getpid(), self}, {n.PID, began + 1}, {1 << 30, began}} {
		if err := writeJSON(filepath.Join(home, "process.json"), p); err != nil {
			t.Fatal(err)
		}
		if _, ok := (&look{}).process(home); ok {
			t.Errorf("%+v is taken for the node", p)
		}
	}
	if err := writeJSON(filepath.Join(home, "process.json"), found{n.PID, began}); err != nil {
		t.Fatal(err)
	}
	if _, ok := (&look{}).process(home); !ok {
		t.Error("the node is not found")
	}
}

// TestNodesThatEnd has nodes fail, be killed and be stopped for a while.
func TestNodesThatEnd(t *testing.T) {
	t.Parallel()
	d := newTestDriver(t, t.TempDir())
	start(t, d, spec(t, "echo '20260101 [fatal] node.go:1 | address in use'\necho bye\nexit 1\n"))
	if n := await(t, d, 0, ended); n.Why != "address in use" {
		t.Errorf("it ended with %q", n.Why)
	}
	start(t, d, spec(t, standIn))
	await(t, d, 1, listens)
	if err := d.Signal("net-1", 1, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if n := await(t, d, 1, ended); n.Why != "Started" {
		t.Errorf("its last words: %q", n.Why)
	}
	start(t, d, spec(t, standIn))
	await(t, d, 2, listens)
	if err := d.Signal("net-1", 2, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if n := await(t, d, 2, listens); !n.Alive {
		t.Error("a stopped process is there")
	}
	if err := d.Stop(t.Context(), "net-1", 2, true); err != nil {
		t.Fatal(err)
	}
	if err := d.RequestReplacement("net-1", 2); err != nil {
		t.Fatal(err)
	}
	await(t, d, 2, func(n provision.Node) bool { return n.Replace && !n.Alive })
	s := spec(t, standIn)
	s.Release.Path = filepath.Join(t.TempDir(), "none")
	if _, err := d.Start(t.Context(), s); err == nil {
		t.Error("a binary that is not there is started")
	}
	if nodes, err := d.Nodes(t.Context(), "net-1"); err != nil || len(nodes) != 3 {
		t.Errorf("a failed start leaves a node: %v, %v", nodes, err)
	}
}

// TestLogs has a log grow past its bound again and again.
func TestLogs(t *testing.T) {
	t.Parallel()
	d := newTestDriver(t, t.TempDir())
	start(t, d, spec(t, standIn))
	name := d.LogFile("net-1", 0)
	for i := range 4 {
		f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(strings.Repeat(strconv.Itoa(i), 2000) + "\n"); err != nil {
			t.Fatal(err)
		}
		f.Close()
		await(t, d, 0, listens)
	}
	for file, want := range map[string]string{name + ".1": "3", name + ".2": "2"} {
		if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), strings.Repeat(want, 2000)) {
			t.Errorf("%s: %v, %d bytes", filepath.Base(file), err, len(text))
		}
	}
	if files, err := filepath.Glob(name + "*"); err != nil || len(files) != 3 {
		t.Errorf("%v, %v", files, err)
	}
}

// TestConfig reads what nodes of each kind are told.
func TestConfig(t *testing.T) {
	t.Parallel()
	d := newTestDriver(t, t.TempDir())
	from := t.TempDir()
	for _, name := range []string{"ledger_1-2.committed", "sub/x"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(from, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(from, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := spec(t, standIn)
	s.Hosts = []string{"127.0.0.1", "10.0.0.1", "net.example"}
	for kind, change := range map[provision.Kind]func(){
		provision.KindStart: func() {
			s.Genesis = provision.Genesis{Constitution: "js", Threshold: 2, Members: []provision.GenesisMember{
				{Certificate: "c0", EncryptionKey: "e0", Data: json.RawMessage(`{"a":1}`)}, {Certificate: "c1"},
			}}
		},
		provision.KindRecover: func() {
			s.Recover = provision.Recover{Ledger: from, Snapshots: filepath.Join(from, "none"), PreviousCertificate: "p"}
		},
		provision.KindJoin: func() {},
	} {
		change()
		s.Kind = kind
		home := d.home("net-1", start(t, d, s).Ordinal)
		var c struct {
			Certificate struct {
				Names []string `json:"subject_alt_names"`
			} `json:"node_certificate"`
			Command map[string]json.RawMessage
		}
		if !(&look{}).json(configFile(home), &c) {
			t.Fatal("no configuration")
		}
		if got := strings.Join(c.Certificate.Names, " "); got != "iPAddress:127.0.0.1 dNSName:localhost iPAddress:10.0.0.1 dNSName:net.example" {
			t.Errorf("names %s", got)
		}
		if string(c.Command["type"]) != `"`+string(kind)+`"` {
			t.Errorf("type %s", c.Command["type"])
		}
		want := map[provision.Kind][]string{
			provision.KindStart:   {"constitution.js", "member0_cert.pem", "member0_enc_pubk.pem", "member0_data.json", "member1_cert.pem"},
			provision.KindJoin:    {"service_cert.pem"},
			provision.KindRecover: {"previous_cert.pem", "ledger/ledger_1-2.committed", "ledger/sub/x"},
		}[kind]
		for _, name := range want {
			if _, err := os.Stat(filepath.Join(home, name)); err != nil {
				t.Error(err)
			}
		}
	}
	for _, name := range []string{"", "..", "a/b", strings.Repeat("x", 65)} {
		s.Network = name
		if _, err := d.Start(t.Context(), s); err == nil {
			t.Errorf("network %q is started", name)
		}
	}
}
