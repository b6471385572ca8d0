package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"synod/internal/ledger"
)

// ccfLedger is a ledger that CCF wrote.
const ccfLedger = "../audit/testdata/ledger"

func stores(t *testing.T) map[string]Store {
	t.Helper()
	dir, err := OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	backend := s3mem.New()
	if err := backend.CreateBucket("networks"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(server.Close)
	s3, err := OpenS3(S3{
		Endpoint: strings.TrimPrefix(server.URL, "http://"), Plain: true, Bucket: "networks", Prefix: "team/a",
		Region: "us-east-1", AccessKey: "key", SecretKey: "a secret",
	})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]Store{"directory": dir, "s3": s3}
}

// source is the committed chunks of CCF's ledger up to the last that ends at
// or before an entry, in a new directory.
func source(t *testing.T, names ...string) Source {
	t.Helper()
	src := Source{Ledgers: []string{t.TempDir()}, Snapshots: []string{t.TempDir()}}
	for _, n := range names {
		b, err := os.ReadFile(filepath.Join(ccfLedger, n))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(src.Ledgers[0], n), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return src
}

func committedNames(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(ccfLedger)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".committed") {
			names = append(names, e.Name())
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		x, _ := ledger.ParseName(a)
		y, _ := ledger.ParseName(b)
		return int(x.Start) - int(y.Start)
	})
	return names
}

var about = About{Network: "/networks/bank", Now: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)}

func TestStores(t *testing.T) {
	for name, st := range stores(t) {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			store(t, st, "a", []byte("text"))
			if got := get(t, st, "a"); string(got) != "text" {
				t.Errorf("gave back %q", got)
			}
			if err := st.Delete(ctx, "a"); err != nil {
				t.Fatal(err)
			}
			if _, err := st.Get(ctx, "b/none"); !errors.Is(err, ErrNotFound) {
				t.Errorf("get of what is not there: %v", err)
			}
			for _, key := range []string{"b/2", "b/1", "bc/3"} {
				if err := st.Put(ctx, key, strings.NewReader(key), int64(len(key))); err != nil {
					t.Fatal(err)
				}
			}
			found, err := st.List(ctx, "b/")
			if err != nil || len(found) != 2 || found[0].Key != "b/1" || found[1].SizeBytes != 3 {
				t.Errorf("list: %v, %v", found, err)
			}
			for _, key := range []string{"", "/etc/passwd", "../x", "a/../../x", "a//b", `a\b`} {
				if err := st.Put(ctx, key, strings.NewReader(""), 0); err == nil {
					t.Errorf("key %q was taken", key)
				}
			}
			if err := st.Delete(ctx, "b/1"); err != nil {
				t.Fatal(err)
			}
			if err := st.Delete(ctx, "b/1"); err != nil {
				t.Errorf("second delete: %v", err)
			}
			if err := st.Put(ctx, "short", strings.NewReader("abc"), 5); err == nil {
				t.Error("a short object was stored")
			}
			if _, err := st.Get(ctx, "short"); !errors.Is(err, ErrNotFound) {
				t.Errorf("half an object is there: %v", err)
			}
			if strings.Contains(st.String(), "secret") {
				t.Error("the store shows its secret")
			}
		})
	}
}

// TestGrow makes a backup, lets it grow, fetches it and verifies it.
func TestGrow(t *testing.T) {
	names := committedNames(t)
	for name, st := range stores(t) {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			src := source(t, names[:3]...)
			m, err := Append(ctx, st, "bank-1", src, about, nil)
			if err != nil {
				t.Fatal(err)
			}
			if m.Last == 0 || len(m.Files) != 3 {
				t.Fatalf("manifest: %+v", m)
			}
			counted := &counting{Store: st}
			var done, total int64
			grown, err := Append(ctx, counted, "bank-1", source(t, names...), about, func(d, n int64) { done, total = d, n })
			if err != nil {
				t.Fatal(err)
			}
			if want := len(names) - 3 + 1; counted.puts != want {
				t.Errorf("%d files were sent, want %d: the new ones and the manifest", counted.puts, want)
			}
			if done != total || total == 0 {
				t.Errorf("progress ended at %d of %d", done, total)
			}
			dir := t.TempDir()
			check, err := Fetch(ctx, st, "bank-1", dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			if uint64(check.Manifest.Last) != check.Entries || check.Good.SeqNo == 0 || check.Good.SeqNo > grown.Last {
				t.Errorf("check: %+v", check)
			}
			for _, n := range names {
				want, _ := os.ReadFile(filepath.Join(ccfLedger, n))
				got, err := os.ReadFile(filepath.Join(dir, "ledger", n))
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s differs from what was backed up (%v)", n, err)
				}
			}
			list, broken, err := List(ctx, st)
			if err != nil || len(list) != 1 || len(broken) != 0 || list[0].Network != about.Network {
				t.Errorf("list: %v, %v, %v", list, broken, err)
			}
			if err := Delete(ctx, st, "bank-1"); err != nil {
				t.Fatal(err)
			}
			if left, _ := st.List(ctx, ""); len(left) != 0 {
				t.Errorf("left after delete: %v", left)
			}
			if err := Delete(ctx, st, "bank-1"); !errors.Is(err, ErrNotFound) {
				t.Errorf("second delete: %v", err)
			}
		})
	}
}

// TestDamage flips a bit of each file of a backup in turn, and takes each away.
func TestDamage(t *testing.T) {
	st, err := OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	m, err := Append(ctx, st, "b", source(t, committedNames(t)...), about, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range m.Files {
		key := "b/" + f.Path
		good := get(t, st, key)
		bad := bytes.Clone(good)
		bad[len(bad)/2] ^= 4
		store(t, st, key, bad)
		expectDamage(t, st, f.Path)
		if err := st.Delete(ctx, key); err != nil {
			t.Fatal(err)
		}
		expectDamage(t, st, f.Path)
		store(t, st, key, good)
	}
	// A manifest that vouches for a changed file: the signatures do not.
	f := m.Files[1]
	bad := get(t, st, "b/"+f.Path)
	bad[len(bad)/2] ^= 4
	store(t, st, "b/"+f.Path, bad)
	h, _, err := hashOf(ctx, st, "b/"+f.Path)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(get(t, st, "b/manifest.json")), f.SHA256, fmt.Sprintf("%x", h.Sum(nil)), 1)
	store(t, st, "b/manifest.json", []byte(text))
	if _, err := Verify(ctx, st, "b", t.TempDir(), nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("changed file under a changed manifest: %v", err)
	}
}

func TestABackupUnderAnotherNameIsDamaged(t *testing.T) {
	st, err := OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"noise": "{", "renamed": `{"format":1,"name":"b"}`, "later": `{"format":2,"name":"later"}`} {
		store(t, st, name+"/manifest.json", []byte(text))
		if _, err := Read(t.Context(), st, name); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func expectDamage(t *testing.T, st Store, file string) {
	t.Helper()
	dir := t.TempDir()
	_, err := Fetch(t.Context(), st, "b", dir, nil)
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), file) {
		t.Errorf("damage of %s: %v", file, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("a failed fetch left %v", left)
	}
}

func TestRefusedManifests(t *testing.T) {
	file := func(p string) string {
		return fmt.Sprintf(`{"path":%q,"size_bytes":1,"sha256":%q}`, p, strings.Repeat("0", 64))
	}
	for _, c := range []struct{ files, last, want string }{
		{file("../../etc/cron.d/x"), "0", "does not belong"},
		{file("ledger/../x"), "0", "does not belong"},
		{file("ledger/ledger_1-4"), "4", "committed"},
		{file("ledger/ledger_5-9.committed"), "9", "lacks entries 1 to 4"},
		{file("ledger/ledger_1-4.committed"), "5", "ends at"},
		{file("ledger/ledger_1-4.committed") + "," + file("ledger/ledger_1-4.committed"), "4", "wrongly"},
		{file("snapshots/snapshot_4_5"), "0", "committed"},
		{`{"path":"ledger/ledger_1-4.committed","size_bytes":-1,"sha256":""}`, "4", "wrongly"},
	} {
		st, err := OpenDir(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		store(t, st, "b/manifest.json", []byte(`{"format":1,"name":"b","last":`+c.last+`,"files":[`+c.files+`]}`))
		if _, err := Read(t.Context(), st, "b"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.files, err, c.want)
		}
		if _, broken, err := List(t.Context(), st); err != nil || len(broken) != 1 {
			t.Errorf("%s: list: %v, %v", c.files, broken, err)
		}
	}
	st, err := OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store(t, st, "b/manifest.json", []byte(`{"format":2,"name":"b"}`))
	if _, err := Read(t.Context(), st, "b"); err == nil || !strings.Contains(err.Error(), "format 2") {
		t.Errorf("format: %v", err)
	}
	for _, name := range []string{"", "..", "a/b", ".hidden", strings.Repeat("x", 200)} {
		if _, err := Append(t.Context(), st, name, source(t), about, nil); err == nil {
			t.Errorf("name %q was taken", name)
		}
	}
}

func TestIncompleteSource(t *testing.T) {
	names := committedNames(t)
	st, err := OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Append(t.Context(), st, "b", source(t), about, nil); !errors.Is(err, ErrNothing) {
		t.Errorf("empty source: %v", err)
	}
	gap := source(t, slices.Delete(slices.Clone(names), 2, 3)...)
	if _, err := Append(t.Context(), st, "b", gap, about, nil); err == nil || !strings.Contains(err.Error(), "in no committed ledger file") {
		t.Errorf("gap: %v", err)
	}
	// Two nodes that each lack something hold all of it together.
	both := source(t, names[:3]...)
	both.Ledgers = append(both.Ledgers, source(t, names[2:]...).Ledgers...)
	if _, err := Append(t.Context(), st, "b", both, about, nil); err != nil {
		t.Error(err)
	}
}

// TestFaultyStore: a failed or lying store leaves the backup as it was.
func TestFaultyStore(t *testing.T) {
	names := committedNames(t)
	good, err := OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	before, err := Append(ctx, good, "b", source(t, names[:2]...), about, nil)
	if err != nil {
		t.Fatal(err)
	}
	src := source(t, names...)
	for at := range len(names) - 2 {
		for _, lie := range []bool{false, true} {
			if _, err := Append(ctx, &faulty{Store: good, at: at, lie: lie}, "b", src, about, nil); err == nil {
				t.Fatalf("fault at write %d (lie %v) went unseen", at, lie)
			}
			m, err := Read(ctx, good, "b")
			if err != nil || m.Last != before.Last {
				t.Fatalf("after a fault at write %d: %+v, %v", at, m, err)
			}
			if _, err := Verify(ctx, good, "b", t.TempDir(), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := Append(ctx, good, "b", src, about, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(ctx, good, "b", t.TempDir(), nil); err != nil {
		t.Error(err)
	}
}

func TestAddresses(t *testing.T) {
	root, other := t.TempDir(), t.TempDir()
	if err := os.Symlink(other, filepath.Join(root, "out")); err != nil {
		t.Fatal(err)
	}
	st, err := OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	p := Policy{Named: map[string]Store{"default": st}, Roots: []string{root}, S3: true}
	for _, a := range []string{"", "store:default", "file://" + root, "file://" + root + "/new/place", "s3://k:s@bucket/prefix?endpoint=store.example"} {
		if _, err := p.Open(a); err != nil {
			t.Errorf("%q: %v", a, err)
		}
	}
	for a, want := range map[string]string{
		"store:other":                        `called "other"`,
		"file://" + other:                    "backup.roots",
		"file://" + root + "/../x":           "backup.roots",
		"file://" + root + "/out/x":          "backup.roots",
		"file://host/share":                  "three slashes",
		"https://a.file.example/share?sig=S": "begins with",
		"s3://k:s@/prefix":                   "bucket",
		"s3://k:topsecret@b/../x":            "no name",
		"::":                                 "not a URI",
	} {
		_, err := p.Open(a)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "sig=") {
			t.Errorf("%q: %v, want %q", a, err, want)
		}
	}
	if _, err := (Policy{}).Open("s3://b"); err == nil {
		t.Error("an S3 address was taken though none may be")
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"format":1,"name":"b","last":4,"files":[{"path":"ledger/ledger_1-4.committed","size_bytes":1,"sha256":"` + strings.Repeat("0", 64) + `"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseManifest(b, "b")
		if err != nil {
			return
		}
		for _, file := range m.Files {
			if !filepath.IsLocal(filepath.FromSlash(file.Path)) {
				t.Errorf("a manifest leads to %q", file.Path)
			}
		}
	})
}

func get(t *testing.T, st Store, key string) []byte {
	t.Helper()
	r, err := st.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func store(t *testing.T, st Store, key string, b []byte) {
	t.Helper()
	if err := st.Put(t.Context(), key, bytes.NewReader(b), int64(len(b))); err != nil {
		t.Fatal(err)
	}
}

type counting struct {
	Store
	puts int
}

func (c *counting) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	c.puts++
	return c.Store.Put(ctx, key, r, size)
}

// faulty fails the write of a number, or stores something else.
type faulty struct {
	Store
	at, n int
	lie   bool
}

func (f *faulty) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	f.n++
	if f.n-1 != f.at {
		return f.Store.Put(ctx, key, r, size)
	}
	if !f.lie {
		return errors.New("no space left on device")
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	b[0] ^= 1
	return f.Store.Put(ctx, key, bytes.NewReader(b), size)
}
