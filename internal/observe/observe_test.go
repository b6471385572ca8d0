package observe

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	collector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"

	"synod/internal/logfmt"
)

func TestParse(t *testing.T) {
	at := time.Date(2026, 11, 27, 11, 43, 42, 744553000, time.UTC)
	for text, want := range map[string]Line{
		"2026-11-27T11:43:42.744553Z        100 [info ][js] internal/js/execute.go:79        | JS execution complete: a | b":        {Time: at, Level: "info", Tag: "js", Source: "internal/js/execute.go:79", Text: "JS execution complete: a | b"},
		"2026-11-27T11:43:42.744553Z        100 [fatal] serve/serve.go:67                    | Cannot start":                        {Time: at, Level: "fatal", Source: "serve/serve.go:67", Text: "Cannot start"},
		`{"h_ts":"2026-11-27T11:43:42.744553Z","thread_id":"100","level":"fail","tag":"gov","file":"a.go","number":3,"msg":"no\n"}`: {Time: at, Level: "fail", Tag: "gov", Source: "a.go", Text: "no"},
		"goroutine 1 [running]:": {Text: "goroutine 1 [running]:"},
		"a [info ] b | c":        {Text: "a [info ] b | c"},
		"{not json":              {Text: "{not json"},
	} {
		if d := cmp.Diff(want, Parse(text)); d != "" {
			t.Errorf("%s: %s", text, d)
		}
	}
	// What our nodes write is read.
	for _, format := range []logfmt.Format{logfmt.Text, logfmt.JSON} {
		var out bytes.Buffer
		slog.New(logfmt.New(&out, logfmt.Options{Format: format})).With(logfmt.TagKey, "app").Error("it broke", "err", "why")
		if l := Parse(strings.TrimSuffix(out.String(), "\n")); l.Level != "fail" || l.Tag != "app" || l.Time.IsZero() || !strings.HasPrefix(l.Text, "it broke") {
			t.Errorf("%s: %s: %+v", format, out.String(), l)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("2026-11-27T11:43:42.744553Z        100 [info ][js] a | b")
	f.Add(`{"h_ts":"2026-11-27T11:43:42Z","level":"info","msg":""}`)
	f.Fuzz(func(t *testing.T, s string) {
		if l := Parse(s); l.Level != "" && !IsLevel(l.Level) {
			t.Errorf("%q has level %q", s, l.Level)
		}
	})
}

func entry(second int, level, text string) string {
	return fmt.Sprintf("2026-11-27T11:43:%02d.000000Z        100 [%-5s] a.go:1 | %s\n", second, level, text)
}

func add(t *testing.T, name, text string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func texts(lines []Line) (all []string) {
	for _, l := range lines {
		all = append(all, fmt.Sprint(l.Node, " ", l.Level, " ", l.Text))
	}
	return all
}

// TestRead follows two logs, one of which is put aside meanwhile.
func TestRead(t *testing.T) {
	dir := t.TempDir()
	files := map[int]string{0: filepath.Join(dir, "0.log"), 1: filepath.Join(dir, "1.log"), 2: filepath.Join(dir, "none.log")}
	add(t, files[0], entry(1, "info", "a")+entry(3, "fail", "c")+"goroutine 1\n")
	add(t, files[1], entry(2, "info", "b")+"half a li")
	read := func(q Query, want ...string) Cursor {
		t.Helper()
		lines, next, err := Read(files, q)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, texts(lines)); d != "" {
			t.Errorf("%+v: %s", q, d)
		}
		return next
	}
	next := read(Query{}, "0 info a", "1 info b", "0 fail c", "0 fail goroutine 1")
	read(Query{Level: "fail"}, "0 fail c", "0 fail goroutine 1")
	read(Query{Contains: "A.GO:1", Limit: 1}, "0 fail c")
	read(Query{After: next})

	add(t, files[1], "ne\n")
	add(t, files[0], entry(4, "info", "last of the old file"))
	if err := os.Rename(files[0], files[0]+".1"); err != nil {
		t.Fatal(err)
	}
	add(t, files[0], entry(5, "info", "first of the new file"))
	sent, err := ParseCursor(next.String())
	if err != nil {
		t.Fatal(err)
	}
	next = read(Query{After: sent}, "1  half a line", "0 info last of the old file", "0 info first of the new file")
	read(Query{After: next})
	// A node that came since is read from its beginning.
	files[3] = filepath.Join(dir, "3.log")
	add(t, files[3], entry(6, "info", "new"))
	read(Query{After: next}, "3 info new")

	for _, bad := range []string{"x", "!", "eyIwIjp7Im8iOi0xfX0", strings.Repeat("A", cursorMax+1)} {
		if _, err := ParseCursor(bad); err == nil {
			t.Errorf("cursor %.20q was taken", bad)
		}
	}
}

func TestReadIsBounded(t *testing.T) {
	name := filepath.Join(t.TempDir(), "0.log")
	add(t, name, strings.Repeat(entry(1, "info", strings.Repeat("x", 200)), 20_000))
	lines, _, err := Read(map[int]string{0: name}, Query{})
	if err != nil || len(lines) > LinesMax || len(lines) < 100 {
		t.Errorf("%d lines, %v", len(lines), err)
	}
	if lines[0].Level == "" {
		t.Error("the first line is half of one")
	}
	// Everything is read by going on, however long one line is.
	add(t, name, strings.Repeat("y", 3*readMax)+"\n"+entry(2, "info", "end"))
	at := Cursor{}
	for range 100 {
		lines, next, err := Read(map[int]string{0: name}, Query{After: at})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(lines); n > 0 && lines[n-1].Text == "end" {
			return
		}
		at = next
	}
	t.Error("the end was not reached")
}

// TestExport has a receiver refuse once, and the exporter begin anew in between: each
// line arrives, none that was confirmed twice.
func TestExport(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "0.log")
	add(t, name, entry(1, "info", "one")+entry(2, "fail", "two"))
	var mu sync.Mutex
	var got []string
	refusals := 1
	arrived := make(chan struct{}, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("headers %v", r.Header)
		}
		if refusals > 0 {
			refusals--
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			var err error
			if body, err = gzip.NewReader(r.Body); err != nil {
				t.Error(err)
			}
		}
		text, err := io.ReadAll(body)
		if err != nil {
			t.Error(err)
		}
		var req collector.ExportLogsServiceRequest
		if err := proto.Unmarshal(text, &req); err != nil {
			t.Error(err)
		}
		for _, res := range req.ResourceLogs {
			for _, scope := range res.ScopeLogs {
				for _, r := range scope.LogRecords {
					got = append(got, r.SeverityText+" "+r.Body.GetStringValue()+" "+r.Attributes[0].Value.GetStringValue())
				}
			}
		}
		arrived <- struct{}{}
	}))
	defer server.Close()
	run := func() {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		e := &Exporter{
			Endpoint: server.URL + "/v1/logs", Headers: map[string]string{"Authorization": "Bearer secret"}, State: filepath.Join(dir, "state.json"),
			Log: slog.New(slog.DiscardHandler),
			Sources: func(context.Context) (map[string]map[int]string, error) {
				return map[string]map[int]string{"bank": {0: name}}, nil
			},
		}
		ended := make(chan error, 1)
		go func() { ended <- e.Run(ctx) }()
		select {
		case <-arrived:
		case <-ctx.Done():
			t.Error("nothing arrived")
		}
		// What was confirmed is written down before the next look.
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
			if _, err := os.Stat(e.State); err == nil {
				break
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	run()
	add(t, name, entry(3, "info", "three"))
	run()
	want := []string{"info one bank", "fail two bank", "info three bank"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestAlerts: each metric that a rule looks at is one that is written.
func TestAlerts(t *testing.T) {
	written := ""
	for _, file := range []string{"scrape.go", "../arm/metrics.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		written += string(text)
	}
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal([]byte(Alerts), &rules); err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			count++
			names := regexp.MustCompile(`synod_[a-z_]+`).FindAllString(r.Expr, -1)
			if len(names) == 0 {
				t.Errorf("%s looks at nothing", r.Alert)
			}
			for _, name := range names {
				if !strings.Contains(written, name+"{") && !strings.Contains(written, `"`+name+`"`) {
					t.Errorf("%s looks at %s, which nobody writes", r.Alert, name)
				}
			}
		}
	}
	if count < 5 {
		t.Errorf("%d rules", count)
	}
}

// An application's text does nothing to the terminal that shows it.
func TestLinesAreOnlyText(t *testing.T) {
	l := Line{Level: "info", Text: "paid\x1b]0;title\x07\x1b[2J\u202eevil\té"}
	if s := l.String(); strings.ContainsAny(s, "\x1b\x07\u202e") || !strings.Contains(s, "evil\té") {
		t.Errorf("%q", s)
	}
}
