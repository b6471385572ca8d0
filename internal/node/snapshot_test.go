package node_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"synod"
	"synod/client"
	"synod/internal/snapshot"
)

// snapshotEvery is often, in transactions.
func snapshotEvery(n int) change {
	return func(cfg object) { set(cfg, n, "snapshots", "tx_count") }
}

// committed are the names of a node's committed snapshots, newest first.
func (s *service) committed(r *running) []string {
	s.t.Helper()
	names := slices.DeleteFunc(s.files(r, "snapshots"), func(name string) bool { return !strings.HasSuffix(name, ".committed") })
	slices.SortFunc(names, func(a, b string) int { return seqnoOf(b) - seqnoOf(a) })
	return names
}

var snapshotName = regexp.MustCompile(`^snapshot_([0-9]+)_([0-9]+)\.committed$`)

func seqnoOf(name string) int {
	m := snapshotName.FindStringSubmatch(name)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	return n
}

// snapshotAfter waits until a node has a snapshot of a state after the one that
// is committed now, and returns its name: those that are on their way do not
// count.
func (s *service) snapshotAfter(r *running, do func()) (name string) {
	s.t.Helper()
	var commit struct {
		ID string `json:"transaction_id"`
	}
	if err := json.Unmarshal([]byte(s.request(r, "GET", "/node/commit", "").body), &commit); err != nil {
		s.t.Fatal(err)
	}
	now, err := synod.ParseTxID(commit.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	before := int(now.SeqNo)
	do()
	s.poll("a snapshot", func() error {
		if list := s.committed(r); len(list) > 0 && seqnoOf(list[0]) > before {
			name = list[0]
			return nil
		}
		return fmt.Errorf("there are %v", s.files(r, "snapshots"))
	})
	return name
}

// TestSnapshots takes snapshots by count and on demand, looks at who has them
// and what is in them, and fetches them as a client may.
func TestSnapshots(t *testing.T) {
	s := startNodes(t, 3, snapshotEvery(100))
	primary, backup := s.primary(), s.backups()[0]
	s.snapshotAfter(primary, func() { s.pass(client.Action{Name: "trigger_snapshot"}) })
	name := s.snapshotAfter(primary, func() {
		for i := range 40 { // each is followed by a signature
			s.put(primary, i, "by count")
		}
	})

	path := filepath.Join(primary.dir, "snapshots", name)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	proof, err := snapshot.Verify(f, int64(len(file)), snapshot.Trust{Service: []byte(s.ServiceCertificate())})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if want := fmt.Sprintf("snapshot_%d_%d.committed", proof.SeqNo, proof.Evidence.SeqNo); name != want || proof.Signer != s.nodeID(primary) {
		t.Errorf("%s signed by %s, want %s by %s", name, proof.Signer, want, s.nodeID(primary))
	}
	if got := s.files(backup, "snapshots"); len(got) != 0 {
		t.Errorf("a backup has %v", got)
	}
	for _, name := range s.files(primary, "snapshots") {
		if !snapshotName.MatchString(name) {
			t.Errorf("%s is left", name)
		}
	}

	size := len(file)
	at := "https://" + primary.Address("main") + "/node/snapshot"
	since := func(n int) string { return "/node/snapshot?since=" + strconv.Itoa(n) }
	for _, method := range []string{"GET", "HEAD"} {
		for _, x := range []struct {
			on       *running
			path     string
			status   int
			location string
		}{
			{primary, "/node/snapshot", 308, at + "/" + name},
			{primary, since(seqnoOf(name) - 1), 308, at + "/" + name},
			{primary, since(seqnoOf(name)), 404, ""},
			{primary, since(1 << 40), 404, ""},
			{primary, "/node/snapshot?since=-1", 400, ""},
			{primary, "/node/snapshot?since=x", 400, ""},
			{primary, "/node/snapshot?since=", 400, ""},
			{backup, "/node/snapshot", 308, at},
			{backup, since(0), 308, at},
			{backup, since(7), 308, at + "?since=7"},
			{backup, "/node/snapshot/" + name, 404, ""},
			{primary, "/node/snapshot/..%2F..%2Fnode0%2Fnode.json", 404, ""},
			{primary, "/node/snapshot/..%2Fsnapshots%2F" + name, 404, ""},
			{primary, "/node/snapshot/../node.json", 404, ""},
			{primary, "/node/snapshot/%2Fetc%2Fpasswd", 404, ""},
			{primary, "/node/snapshot/" + name + "%00", 404, ""},
			{primary, "/node/snapshot/." + name, 404, ""},
			{primary, "/node/snapshot/" + strings.TrimSuffix(name, ".committed"), 404, ""},
			{primary, "/node/snapshot/snapshot_1_2.committed", 404, ""},
			{primary, "/node/snapshot/snapshot_0" + strings.TrimPrefix(name, "snapshot_"), 404, ""},
		} {
			if a := s.request(x.on, method, x.path, ""); a.status != x.status || a.header.Get("location") != x.location {
				t.Errorf("%s %s: %d to %q, want %d to %q", method, x.path, a.status, a.header.Get("location"), x.status, x.location)
			}
		}
	}
	head := s.request(primary, "HEAD", "/node/snapshot/"+name, "")
	if head.status != 200 || head.header.Get("content-length") != strconv.Itoa(size) || head.header.Get("x-ms-ccf-snapshot-name") != name || head.header.Get("accept-ranges") != "bytes" {
		t.Errorf("HEAD: %d %v", head.status, head.header)
	}
	for _, x := range []struct {
		value      string // of the header range, "" for none
		start, end int
		says       string // why it is refused
	}{
		{"", 0, size, ""},
		{"bytes=0-", 0, size, ""},
		{"bytes=0-100", 0, 100, ""},
		{"bytes=7-7", 7, 7, ""},
		{"bytes=100-" + strconv.Itoa(size), 100, size, ""},
		{fmt.Sprintf("bytes=100-%d", 10*size), 100, size, ""},
		{fmt.Sprintf("bytes=%d-", size), size, size, ""},
		{"bytes=-30", size - 30, size, ""},
		{"bytes=-0", size, size, ""},
		{"lines=0-1", 0, 0, "Only 'bytes' is supported"},
		{"bytes 0-1", 0, 0, "Only 'bytes' is supported"},
		{"bytes=0-1,2-3", 0, 0, "Multiple ranges are not supported"},
		{"bytes=0-1-2", 0, 0, "Invalid format"},
		{"bytes=7", 0, 0, "Invalid format"},
		{"bytes=-", 0, 0, "Invalid range"},
		{"bytes=5-foo", 0, 0, "Unable to parse end of range value foo"},
		{"bytes=foo-5", 0, 0, "Unable to parse start of range value foo"},
		{"bytes=-foo", 0, 0, "Unable to parse end of range offset value foo"},
		{"bytes=9-5", 0, 0, "out of order"},
		{fmt.Sprintf("bytes=%d-", size+1), 0, 0, "larger than total file size"},
		{"bytes=99999999999999999999-", 0, 0, "Unable to parse start"},
	} {
		a := s.request(primary, "GET", "/node/snapshot/"+name, "", "range", x.value)
		if x.value == "" {
			a = s.request(primary, "GET", "/node/snapshot/"+name, "")
		}
		if x.says != "" {
			if a.status != 400 || !strings.Contains(a.body, "InvalidHeaderValue") || !strings.Contains(a.body, x.says) {
				t.Errorf("%s: %d %s", x.value, a.status, a.body)
			}
			continue
		}
		if want := fmt.Sprintf("bytes %d-%d/%d", x.start, x.end, size); a.status != 206 || a.body != string(file[x.start:x.end]) || a.header.Get("content-range") != want {
			t.Errorf("%s: %d, %d bytes, %q, want %q", x.value, a.status, len(a.body), a.header.Get("content-range"), want)
		}
	}
}

// TestJoinFromSnapshot joins from a fetched snapshot, from one of its own, and
// from neither.
func TestJoinFromSnapshot(t *testing.T) {
	s := startNodes(t, 3, snapshotEvery(1_000_000))
	primary, backup := s.primary(), s.backups()[0]
	s.put(primary, 1, "one")
	older := s.snapshotAfter(primary, func() { s.pass(client.Action{Name: "trigger_snapshot"}) })
	s.put(primary, 2, "two")
	newer := s.snapshotAfter(primary, func() { s.pass(client.Action{Name: "trigger_snapshot"}) })
	s.put(primary, 3, "three")
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(primary.dir, "snapshots", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	startup := func(r *running, want int) {
		t.Helper()
		if a := s.requestOn(r, "self", "GET", "/node/state", ""); !strings.Contains(a.body, fmt.Sprintf(`"startup_seqno":%d,`, want)) {
			t.Errorf("it began at another seqno than %d: %s", want, a.body)
		}
	}
	logs := func(r *running, texts ...string) {
		t.Helper()
		for _, want := range texts {
			if !strings.Contains(r.said.String(), want) {
				t.Errorf("its log lacks %q:\n%s", want, r.said)
			}
		}
	}
	// local puts files where a node looks for snapshots, and has it not fetch any.
	local := func(files map[string]string) change {
		dir := t.TempDir()
		for name, content := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return func(cfg object) {
			set(cfg, dir, "snapshots", "read_only_directory")
			set(cfg, false, "command", "join", "fetch_recent_snapshot")
		}
	}
	flip := func(text string, at int) string {
		b := []byte(text)
		b[at] ^= 1
		return string(b)
	}

	var joined []*running
	{ // fetched by way of a backup
		s.Node = backup.Node
		r := s.join(nil)
		startup(r, seqnoOf(newer))
		logs(r, "Joining from snapshot", newer)
		if got := s.committed(r); !slices.Equal(got, []string{newer}) {
			t.Errorf("it kept %v", got)
		}
		joined = append(joined, r)
	}
	{ // the newest is corrupt
		r := s.join(local(map[string]string{older: read(older), newer: flip(read(newer), 2000)}))
		startup(r, seqnoOf(older))
		logs(r, "a snapshot is not used", newer, "the snapshot's digest is not what its receipt claims")
		joined = append(joined, r)
	}
	{ // there is none of this service
		r := s.join(local(map[string]string{
			older:                         "", // as after a crash
			"snapshot_7_8.committed":      foreignSnapshot(t),
			"snapshot_9_10.committed.bak": "hello", // no name of a snapshot
		}))
		startup(r, 0)
		logs(r, "Ignoring empty snapshot file "+older, "a snapshot is not used", "snapshot_7_8.committed")
		joined = append(joined, r)
	}
	whole := read(newer)
	for _, x := range []struct{ file, content, says string }{ // only damaged ones
		{newer, whole[:len(whole)-5000], newer},
		{"snapshot_900000_900001.committed", whole, "the file is named snapshot_900000_900001.committed, but is of"},
		{"snapshot_1000_1500.committed", strings.Repeat("\x00", 64), "snapshot_1000_1500.committed"},
	} {
		err := s.joinInVain(local(map[string]string{x.file: x.content}))
		if !strings.Contains(err.Error(), "no snapshot can be used: ") || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%s: it says %v", x.file, err)
		}
	}
	s.trust(joined...)
	s.voting(6)
	s.put(joined[0], 4, "four")
	for _, r := range joined {
		for i, want := range []string{"one", "two", "three", "four"} {
			s.shows(r, i+1, want)
		}
	}
	// Whoever began with a snapshot lacks what came before: it sends a node that
	// begins earlier to the primary.
	s.Node = joined[0].Node
	r := s.join(local(nil))
	s.trust(r)
	logs(r, "Target node redirected to "+s.primary().Address("main"))
	s.trust(s.join(local(map[string]string{newer: read(newer)})))
}

// foreignSnapshot is a snapshot of another service.
func foreignSnapshot(t *testing.T) string {
	t.Helper()
	s := startNodes(t, 1)
	name := s.snapshotAfter(s.nodes[0], func() { s.pass(client.Action{Name: "trigger_snapshot"}) })
	b, err := os.ReadFile(filepath.Join(s.nodes[0].dir, "snapshots", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestSnapshotsCollected keeps as many snapshots as the configuration says.
func TestSnapshotsCollected(t *testing.T) {
	s := startNodes(t, 1, snapshotEvery(1_000_000), func(cfg object) {
		set(cfg, object{"max_snapshots": 2, "interval": "50ms"}, "files_cleanup")
	})
	r := s.nodes[0]
	var taken []string
	for range 4 {
		taken = append(taken, s.snapshotAfter(r, func() { s.pass(client.Action{Name: "trigger_snapshot"}) }))
	}
	slices.Reverse(taken)
	s.poll("two snapshots to be left", func() error {
		if got := s.committed(r); !slices.Equal(got, taken[:2]) {
			return fmt.Errorf("there are %v of %v", got, taken)
		}
		return nil
	})
	if !strings.Contains(r.said.String(), "Removed an old snapshot") {
		t.Error("it does not say so")
	}
	if a := s.request(r, "GET", "/node/snapshot/"+taken[3], ""); a.status != 404 {
		t.Errorf("a removed snapshot: %d", a.status)
	}
}
