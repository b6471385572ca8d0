package logfmt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"time"
)

type secret struct{}

func (secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

var at = time.Date(2019, 7, 19, 20, 53, 25, 690267999, time.FixedZone("", 7200))

func TestLines(t *testing.T) {
	base := slog.New(New(io.Discard, Options{Level: LevelTrace})).Handler()
	for name, tc := range map[string]struct {
		level slog.Level
		msg   string
		with  func(slog.Handler) slog.Handler
		attrs []slog.Attr
		text  string
		json  string
	}{
		"plain": {
			LevelInfo, "Service open at seqno 17", nil, nil,
			"2019-07-19T18:53:25.690267Z        100 [info ] -:0                                  | Service open at seqno 17\n",
			`{"h_ts":"2019-07-19T18:53:25.690267Z","thread_id":"100","level":"info","tag":"","file":"-","number":"0","msg":"Service open at seqno 17"}` + "\n",
		},
		"tag and attributes": {
			slog.LevelError, "refused", nil,
			[]slog.Attr{slog.String("tag", "gov"), slog.Int("seqno", 7), slog.String("err", `a "b"`), slog.Any("key", secret{}), slog.Duration("took", 1500*time.Microsecond)},
			"2019-07-19T18:53:25.690267Z        100 [fail ][gov] -:0                             | refused seqno=7 err=\"a \\\"b\\\"\" key=[redacted] took=1.5ms\n",
			`{"h_ts":"2019-07-19T18:53:25.690267Z","thread_id":"100","level":"fail","tag":"gov","file":"-","number":"0","msg":"refused seqno=7 err=\"a \\\"b\\\"\" key=[redacted] took=1.5ms"}` + "\n",
		},
		"forged line": {
			LevelFatal, "a\n2019 [info ] b\x00", nil,
			[]slog.Attr{slog.String("x", "1\n2"), slog.Any("err", errors.New("e f"))},
			"2019-07-19T18:53:25.690267Z        100 [fatal] -:0                                  | a\\n2019 [info ] b\\x00 x=\"1\\n2\" err=\"e f\"\n",
			`{"h_ts":"2019-07-19T18:53:25.690267Z","thread_id":"100","level":"fatal","tag":"","file":"-","number":"0","msg":"a\n2019 [info ] b\u0000 x=\"1\\n2\" err=\"e f\""}` + "\n",
		},
		"groups": {
			LevelDebug, "m", func(h slog.Handler) slog.Handler {
				return h.WithAttrs([]slog.Attr{slog.String("tag", "app"), slog.Uint64("a", 1)}).WithGroup("g")
			},
			[]slog.Attr{slog.Bool("b", true), slog.Group("h", slog.Float64("c", 0.5))},
			"2019-07-19T18:53:25.690267Z        100 [debug][app] -:0                             | m a=1 g.b=true g.h.c=0.5\n",
			`{"h_ts":"2019-07-19T18:53:25.690267Z","thread_id":"100","level":"debug","tag":"app","file":"-","number":"0","msg":"m a=1 g.b=true g.h.c=0.5"}` + "\n",
		},
		"long tag": {
			LevelTrace, "m", nil,
			[]slog.Attr{slog.String("tag", strings.Repeat("t", 60))},
			"2019-07-19T18:53:25.690267Z        100 [trace][" + strings.Repeat("t", 37) + "| m\n",
			`{"h_ts":"2019-07-19T18:53:25.690267Z","thread_id":"100","level":"trace","tag":"` + strings.Repeat("t", 60) + `","file":"-","number":"0","msg":"m"}` + "\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, format := range []struct {
				format Format
				want   string
			}{{Text, tc.text}, {JSON, tc.json}} {
				var out bytes.Buffer
				var h slog.Handler = New(&out, Options{Level: LevelTrace, Format: format.format})
				if tc.with != nil {
					h = tc.with(h)
				}
				r := slog.NewRecord(at, tc.level, tc.msg, 0)
				r.AddAttrs(tc.attrs...)
				if err := h.Handle(context.Background(), r); err != nil {
					t.Fatal(err)
				}
				if got := out.String(); got != format.want {
					t.Errorf("got  %s\nwant %s", got, format.want)
				}
			}
		})
	}
	if base.Enabled(t.Context(), LevelTrace-1) || !base.Enabled(t.Context(), LevelTrace) {
		t.Error("level bound")
	}
}

func TestSource(t *testing.T) {
	var out bytes.Buffer
	slog.New(New(&out, Options{})).InfoContext(t.Context(), "here")
	want := regexp.MustCompile(`^\S{27}Z?        100 \[info \] internal/logfmt/logfmt_test\.go:\d+ +\| here\n$`)
	if got := out.String(); !want.MatchString(got) || strings.IndexByte(got, '|') != 27+8+4+45 {
		t.Errorf("%q", got)
	}
	l := line{at: at, level: "info", tag: "gov", source: source{strings.Repeat("d/", 40) + "file.go", "123456"}, message: "m"}
	if got, want := string(l.appendText(nil, nil)), "2019-07-19T18:53:25.690267Z        100 [info ][gov] /d/d/d/d/d/d/d/d/file.go:123456 | m\n"; got != want {
		t.Errorf("cut: got %q, want %q", got, want)
	}
	for function, want := range map[string]string{
		"synod/internal/node.(*Node).Run.func1": "internal/node/x.go",
		"main.main":                             "x.go",
		"synod.StatusOf":                        "x.go",
	} {
		if got := shorten(function, "/a/b/x.go"); got != want {
			t.Errorf("%s: got %s, want %s", function, got, want)
		}
	}
}

func TestLevels(t *testing.T) {
	for s, want := range map[string]slog.Level{
		"trace": LevelTrace, "Debug": LevelDebug, "INFO": LevelInfo, "fail": LevelFail, "Fatal": LevelFatal, "0": LevelTrace, "4": LevelFatal,
	} {
		if got, err := ParseLevel(s); err != nil || got != want {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "5", "warn", "error", "fai"} {
		if _, err := ParseLevel(s); err == nil {
			t.Errorf("%q accepted", s)
		}
	}
	for level, want := range map[slog.Level]string{
		LevelTrace - 9: "trace", LevelTrace: "trace", slog.LevelDebug: "debug", 1: "info", slog.LevelWarn: "fail", slog.LevelError: "fail", LevelFatal: "fatal", 99: "fatal",
	} {
		if got := LevelName(level); got != want {
			t.Errorf("%d: %s, want %s", level, got, want)
		}
	}
}

// TestHandlerContract runs the standard library's checks of a handler, on the
// attributes of the Json format's message.
func TestHandlerContract(t *testing.T) {
	var out bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		out.Reset()
		return New(&out, Options{Level: LevelTrace, Format: JSON})
	}, func(t *testing.T) map[string]any {
		var l struct{ Level, Msg string }
		if err := json.Unmarshal(out.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		result := map[string]any{"level": l.Level, "time": at}
		msg, rest, _ := strings.Cut(l.Msg, " ")
		result["msg"] = msg
		for _, pair := range strings.Fields(rest) {
			key, v, _ := strings.Cut(pair, "=")
			m := result
			for {
				group, below, ok := strings.Cut(key, ".")
				if !ok {
					break
				}
				if m[group] == nil {
					m[group] = map[string]any{}
				}
				m, key = m[group].(map[string]any), below
			}
			m[key] = v
		}
		if strings.Contains(t.Name(), "zero-time") {
			delete(result, "time") // our lines always have a time
		}
		return result
	})
}

func TestConcurrentLinesStayWhole(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(New(&out, Options{}))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				log.InfoContext(t.Context(), "whole", "x", strings.Repeat("y", 100))
			}
		})
	}
	wg.Wait()
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 800 {
		t.Fatalf("%d lines", len(lines))
	}
	for _, l := range lines {
		if !strings.HasSuffix(l, "| whole x="+strings.Repeat("y", 100)) {
			t.Fatalf("torn line %q", l)
		}
	}
}

func BenchmarkText(b *testing.B) {
	log := slog.New(New(io.Discard, Options{}))
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		log.LogAttrs(ctx, LevelInfo, "request completed", slog.String("tag", "gov"), slog.Int("status", 200), slog.String("path", "/gov/members"))
	}
}
