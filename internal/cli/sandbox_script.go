package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"synod/internal/logfmt"
	"synod/internal/sourcemap"
)

// build builds the sandbox's application, or reads its bundle, and remembers
// how its lines map to the sources.
func (s *sandbox) build() ([]byte, error) {
	info, err := os.Stat(s.app)
	if err != nil {
		return nil, fmt.Errorf("find application: %w", err)
	}
	if !info.IsDir() {
		return bundleFrom(s.env.Stderr, s.app)
	}
	text, res, err := buildApp(s.env.Stderr, s.app)
	if err != nil {
		return nil, err
	}
	mapper, err := sourcemap.New(res.Bundle.Texts(), res.SourceMaps)
	if err != nil {
		return nil, err
	}
	s.mapper.Store(mapper)
	return text, nil
}

// scriptLog passes records on, and shows what the application's scripts print
// and throw to whoever develops them, in lines of their sources.
type scriptLog struct {
	slog.Handler
	s   *sandbox
	tag string
}

// Handle shows records of the tag app besides writing them.
func (h *scriptLog) Handle(ctx context.Context, r slog.Record) error {
	tag := h.tag
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == logfmt.TagKey {
			tag = a.Value.String()
		}
		return true
	})
	if tag == "app" {
		text := r.Message
		if m := h.s.mapper.Load(); m != nil {
			text = m.Trace(text)
		}
		// An exception's record is its reason, a colon and its trace.
		text = strings.ReplaceAll(strings.TrimRight(text, "\n"), ":     at ", "\n    at ")
		fmt.Fprintf(h.s.env.Stderr, "app: %s\n", text)
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs keeps the tag in view.
func (h *scriptLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	d := &scriptLog{h.Handler.WithAttrs(attrs), h.s, h.tag}
	for _, a := range attrs {
		if a.Key == logfmt.TagKey {
			d.tag = a.Value.String()
		}
	}
	return d
}

// WithGroup passes the group on.
func (h *scriptLog) WithGroup(name string) slog.Handler {
	return &scriptLog{h.Handler.WithGroup(name), h.s, h.tag}
}
