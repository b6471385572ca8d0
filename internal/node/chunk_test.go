package node_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"synod"
	"synod/client"
)

// TestChunks fetches ledger chunks from two nodes, of which one lacks the first
// because it began with a snapshot.
func TestChunks(t *testing.T) {
	s := startNodes(t, 1, snapshotEvery(1_000_000), func(cfg object) {
		set(cfg, "4KB", "ledger", "chunk_size")
		set(cfg, []string{"LedgerChunkRead", "SnapshotRead"}, "network", "rpc_interfaces", "self", "enabled_operator_features")
	})
	first := s.nodes[0]
	s.put(first, 1, "one")
	s.snapshotAfter(first, func() { s.pass(client.Action{Name: "trigger_snapshot"}) })
	second := s.join(nil)
	s.trust(second)
	s.voting(2)
	s.put(first, 2, "two")
	s.pass(client.Action{Name: "trigger_ledger_chunk"})
	last := s.put(first, 3, "three")

	type listed struct {
		Chunks []struct {
			Name       string
			Start, End synod.SeqNo
			Size       int64
		}
		Committed synod.TxID
	}
	list := func(r *running) (l listed) {
		t.Helper()
		a := s.requestOn(r, "self", "GET", "/node/ledger_chunks", "")
		if err := json.Unmarshal([]byte(a.body), &l); err != nil || a.status != 200 {
			t.Fatalf("%d %s: %v", a.status, a.body, err)
		}
		return l
	}
	var has, lacks listed
	s.poll("completed chunks", func() error {
		has, lacks = list(first), list(second)
		if n := len(lacks.Chunks); n == 0 || has.Chunks[len(has.Chunks)-1].End != lacks.Chunks[n-1].End {
			return fmt.Errorf("%+v, %+v", has, lacks)
		}
		return nil
	})
	if has.Chunks[0].Start != 1 || lacks.Chunks[0].Start == 1 || has.Committed.SeqNo < last.SeqNo {
		t.Fatalf("the first node holds %+v, the second %+v", has, lacks)
	}
	for i, c := range has.Chunks {
		if c.Name != fmt.Sprintf("ledger_%d-%d.committed", c.Start, c.End) || i > 0 && c.Start != has.Chunks[i-1].End+1 {
			t.Errorf("chunk %d is %+v", i, c)
		}
	}

	old, newest := has.Chunks[0], has.Chunks[len(has.Chunks)-1]
	beyond := strconv.FormatUint(uint64(newest.End)+1_000_000, 10)
	to := func(r *running, path string) string { return "https://" + r.Address("self") + path }
	for _, method := range []string{"GET", "HEAD"} {
		for _, x := range []struct {
			on       *running
			path     string
			status   int
			location string
		}{
			{first, "/node/ledger_chunk?since=1", 308, to(first, "/node/ledger_chunk/"+old.Name)},
			{first, "/node/ledger-chunk?since=1", 308, to(first, "/node/ledger-chunk/"+old.Name)},
			{first, "/node/ledger_chunk?since=" + fmt.Sprint(old.End), 308, to(first, "/node/ledger_chunk/"+old.Name)},
			{second, "/node/ledger_chunk?since=" + fmt.Sprint(newest.End), 308, to(second, "/node/ledger_chunk/"+newest.Name)},
			{second, "/node/ledger_chunk?since=1", 308, to(first, "/node/ledger_chunk?since=1&asked=1")},
			{second, "/node/ledger_chunk?since=1&asked=2", 404, ""},
			{second, "/node/ledger_chunk?since=" + beyond, 308, to(first, "/node/ledger_chunk?since="+beyond+"&asked=1")},
			{first, "/node/ledger_chunk?since=" + beyond, 404, ""},
			{first, "/node/ledger_chunk?since=0", 404, ""},
			{first, "/node/ledger_chunk", 400, ""},
			{first, "/node/ledger_chunk?since=x", 400, ""},
			{first, "/node/ledger_chunk/" + old.Name, 200, ""},
			{second, "/node/ledger_chunk/" + old.Name, 404, ""},
			{first, "/node/ledger_chunk/ledger_1-999999.committed", 404, ""},
			{first, "/node/ledger_chunk/ledger_" + fmt.Sprint(newest.End+1), 404, ""},
			{first, "/node/ledger_chunk/..%2Fsnapshots%2F" + old.Name, 404, ""},
			{first, "/node/ledger_chunk/node.json", 404, ""},
		} {
			if a := s.requestOn(x.on, "self", method, x.path, ""); a.status != x.status || a.header.Get("location") != x.location {
				t.Errorf("%s %s: %d to %q, want %d to %q", method, x.path, a.status, a.header.Get("location"), x.status, x.location)
			}
		}
	}
	for _, path := range []string{"/node/ledger_chunks", "/node/ledger_chunk?since=1", "/node/ledger_chunk/" + old.Name} {
		if a := s.request(first, "GET", path, ""); a.status != 403 || !strings.Contains(a.body, "AuthorizationFailed") {
			t.Errorf("%s for anybody: %d %s", path, a.status, a.body)
		}
		member := s.at(first.Node, s.members[0])
		if resp, err := member.Do(t.Context(), client.Request{Path: path}); err != nil || resp.Status != 200 {
			t.Errorf("%s for a member: %+v, %v", path, resp, err)
		}
		member.Close()
	}
	s.wantChunk(first, old.Name)
}

// wantChunk fetches a chunk whole and in parts.
func (s *service) wantChunk(r *running, name string) {
	s.t.Helper()
	file, err := os.ReadFile(filepath.Join(r.dir, "ledger", name))
	if err != nil {
		s.t.Fatal(err)
	}
	size := len(file)
	sum, long := sha256.Sum256(file), sha512.Sum512(file)
	digest := "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	etag := `"` + digest + `"`
	for _, x := range []struct {
		headers    []string
		status     int
		start, end int
		repr       string
	}{
		{nil, 200, 0, size, ""},
		{[]string{"range", "bytes=0-0"}, 206, 0, 1, ""},
		{[]string{"range", "bytes=10-99"}, 206, 10, 100, ""},
		{[]string{"range", "bytes=10-"}, 206, 10, size, ""},
		{[]string{"range", "bytes=-7"}, 206, size - 7, size, ""},
		{[]string{"range", "bytes=10-99999999"}, 206, 10, size, ""},
		{[]string{"range", fmt.Sprintf("bytes=%d-", size)}, 416, 0, 0, ""},
		{[]string{"range", fmt.Sprintf("bytes=%d-", size+1)}, 400, 0, 0, ""},
		{[]string{"range", "lines=1-2"}, 400, 0, 0, ""},
		{[]string{"range", "bytes=10-19", "if-range", etag}, 206, 10, 20, ""},
		{[]string{"range", "bytes=10-19", "if-range", `"other"`}, 200, 0, size, ""},
		{[]string{"if-none-match", `"other", W/` + etag}, 304, 0, 0, ""},
		{[]string{"if-none-match", "*"}, 304, 0, 0, ""},
		{[]string{"if-none-match", `"other"`, "want-repr-digest", "sha-256=1"}, 200, 0, size, digest},
		{[]string{"range", "bytes=1-2", "want-repr-digest", "md5=10, sha-512=5, sha-256=3"}, 206, 1, 3, "sha-512=:" + base64.StdEncoding.EncodeToString(long[:]) + ":"},
		{[]string{"want-repr-digest", "md5=10"}, 200, 0, size, digest},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			a := s.requestOn(r, "self", method, "/node/ledger_chunk/"+name, "", x.headers...)
			if method == "HEAD" {
				if x.status != 304 && (a.status != 200 || a.header.Get("content-length") != strconv.Itoa(size) || a.body != "") {
					s.t.Errorf("HEAD %v: %d %v", x.headers, a.status, a.header)
				}
				continue
			}
			want := ""
			if x.status == http.StatusPartialContent {
				want = fmt.Sprintf("bytes %d-%d/%d", x.start, x.end-1, size)
			}
			if a.status != x.status || x.status < 400 && (a.body != string(file[x.start:x.end]) || a.header.Get("content-range") != want ||
				a.header.Get("etag") != etag || a.header.Get("x-ms-ccf-ledger-chunk-name") != name || a.header.Get("repr-digest") != x.repr) {
				s.t.Errorf("%v: %d, %d bytes, %v", x.headers, a.status, len(a.body), a.header)
			}
		}
	}
}
