package gov_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"synod"
	"synod/app"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/merkle"
	"synod/internal/tables"
)

// life is what is known of the service in testdata/life.
type life struct {
	entries  []*ledger.Entry
	requests map[synod.SeqNo]*recorded // by the entry that each made
}

// recorded is a request that CCF answered.
type recorded struct {
	name   string
	target string
	body   []byte
	answer answer
}

func readLife(t *testing.T) *life {
	t.Helper()
	l := &life{requests: map[synod.SeqNo]*recorded{}}
	for _, name := range []string{"ledger_1-11.committed", "ledger_12-20.committed"} {
		b := readFile(t, name)
		s, err := ledger.NewScanner(bytes.NewReader(b), int64(len(b)), synod.SeqNo(len(l.entries)+1))
		if err != nil {
			t.Fatal(err)
		}
		for {
			e, err := s.Next()
			if err != nil {
				break
			}
			l.entries = append(l.entries, e)
		}
	}
	if len(l.entries) != 20 {
		t.Fatalf("%d entries", len(l.entries))
	}
	names, err := filepath.Glob("testdata/life/*.request.bin")
	if err != nil || len(names) != 12 {
		t.Fatalf("%d requests, %v", len(names), err)
	}
	for _, path := range names {
		name, _ := strings.CutSuffix(filepath.Base(path), ".request.bin")
		line, _, _ := strings.Cut(string(readFile(t, name+".request.txt")), "\n")
		r := &recorded{name: name, body: readFile(t, name+".request.bin"), answer: parseAnswer(t, readFile(t, name+".response.http"))}
		r.target = strings.TrimPrefix(line, "POST /gov")
		id, err := synod.ParseTxID(r.answer.Header.Get("x-ms-ccf-transaction-id"))
		if err != nil {
			t.Fatal(err)
		}
		l.requests[id.SeqNo] = r
	}
	return l
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "life", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parseAnswer(t *testing.T, b []byte) answer {
	t.Helper()
	r := textproto.NewReader(bufio.NewReader(bytes.NewReader(b)))
	line, err := r.ReadLine()
	if err != nil {
		t.Fatal(err)
	}
	var a answer
	if _, err := fmt.Sscanf(line, "HTTP/1.1 %d", &a.Status); err != nil {
		t.Fatal(err)
	}
	h, err := r.ReadMIMEHeader()
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range h {
		a.Header.Set(name, v[0])
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(r.R); err != nil {
		t.Fatal(err)
	}
	a.Body = strings.TrimRight(body.String(), "\n")
	return a
}

// TestLife replays a ledger of CCF's and, in front of each entry that a
// member's request made, sends that request: the answer must be CCF's, and so
// must every write that is governance's.
func TestLife(t *testing.T) {
	l := readLife(t)
	s := newService(t, "")
	s.store = kv.New()
	s.node.store = s.store
	tree := merkle.New()
	s.node.root = func(seqno synod.SeqNo) ([32]byte, error) { return tree.RootAt(uint64(seqno)) }
	for _, e := range l.entries {
		maps, err := kv.DecodeDomain(e.PublicMaps, true)
		if err != nil {
			t.Fatal(err)
		}
		if r := l.requests[e.TxID.SeqNo]; r != nil {
			t.Run(r.name, func(t *testing.T) { s.compare(t, r, maps) })
		}
		if err := s.store.Commit(&kv.WriteSet{Maps: maps}, e.TxID); err != nil {
			t.Fatal(err)
		}
		tree.Append(e.Leaf())
	}
	want := []string{"open 0 688"}
	if diff := cmp.Diff(want, s.node.effects); diff != "" {
		t.Error(diff)
	}
	for name, path := range map[string]string{
		"get-gov-service-info.before.json":    "/service/info",
		"get-gov-service-members.before.json": "/service/members",
	} {
		want, got := string(readFile(t, name)), s.get(path).Body
		if path == "/service/members" {
			want, got = sortList(want), sortList(got)
		}
		if !sameJSON(t, want, got) {
			t.Errorf("%s: %s, CCF: %s", path, got, want)
		}
	}
}

// sortList makes the order of a list of objects not matter.
func sortList(body string) string {
	parts := strings.SplitAfter(strings.TrimSuffix(strings.TrimPrefix(body, `{"value":[`), "]}"), "},")
	for i := range parts {
		parts[i] = strings.TrimSuffix(parts[i], ",")
	}
	slices.Sort(parts)
	return `{"value":[` + strings.Join(parts, ",") + "]}"
}

// compare sends a request without keeping what it writes.
func (s *service) compare(t *testing.T, r *recorded, maps []kv.MapWrites) {
	req := signedRequest(r.target, r.body)
	got, ws := s.dry(req)
	if got.Status != r.answer.Status || got.Body != r.answer.Body {
		t.Errorf("answer %d %s\nCCF: %d %s", got.Status, got.Body, r.answer.Status, r.answer.Body)
	}
	if got.Header.Get("content-type") != r.answer.Header.Get("content-type") {
		t.Errorf("content type %q", got.Header.Get("content-type"))
	}
	if diff := cmp.Diff(written(maps), written(ws.Maps)); diff != "" {
		t.Errorf("writes (-CCF +ours):\n%s", diff)
	}
}

// written shows the writes to governance tables: values as canonical JSON
// where they are JSON. Tables of the node's own effects are left out.
func written(maps []kv.MapWrites) map[string]string {
	all := map[string]string{}
	for _, m := range maps {
		if !strings.HasPrefix(m.Name, tables.GovPrefix) || m.Name == tables.Service {
			continue
		}
		for _, w := range m.Writes {
			var b bytes.Buffer
			if canonical(string(w.Value), &b) != nil {
				b.Write(w.Value)
			}
			all[m.Name+" "+string(w.Key)] = b.String()
		}
		for _, key := range m.Removes {
			all[m.Name+" "+string(key)] = "removed"
		}
	}
	return all
}

// dry is run without the commit.
func (s *service) dry(req *app.Request) (*answer, *kv.WriteSet) {
	s.t.Helper()
	s.keep = false
	defer func() { s.keep = true }()
	return s.run(req)
}
