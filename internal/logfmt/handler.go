package logfmt

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

// TagKey is the attribute that becomes a line's tag, such as app or gov.
const TagKey = "tag"

// bufferMax is the largest buffer kept for reuse, in bytes.
const bufferMax = 64 << 10

// Format is one of CCF's formats, as it stands in a configuration.
type Format string

// The formats.
const (
	Text Format = "Text"
	JSON Format = "Json"
)

// Options says how lines look.
type Options struct {
	// Level is the least level that is written; nil means info.
	Level slog.Leveler
	// Format is Text unless it is JSON.
	Format Format
}

// Handler is a slog.Handler for CCF's formats.
type Handler struct {
	out  *output
	opts Options
	// What WithAttrs and WithGroup have collected; never changed once set.
	tag    string
	prefix string // of keys: open groups, each with a dot
	attrs  []byte // " key=value…"
}

// output is shared by all handlers derived from one.
type output struct {
	mu      sync.Mutex
	w       io.Writer // guarded by mu
	sources sync.Map  // uintptr → source: a call site's place never changes
	buffers sync.Pool // *[]byte
}

// New returns a handler that writes to w, in a node always standard output:
// CCF's test infrastructure takes any byte on standard error as a failure.
func New(w io.Writer, opts Options) *Handler {
	if opts.Level == nil {
		opts.Level = LevelInfo
	}
	return &Handler{out: &output{w: w}, opts: opts}
}

// Enabled says whether records of level l are written.
func (h *Handler) Enabled(_ context.Context, l slog.Level) bool {
	return l >= h.opts.Level.Level()
}

// Handle writes one line. Its error is that of the writer.
func (h *Handler) Handle(_ context.Context, r slog.Record) error {
	scratch, _ := h.out.buffers.Get().(*[]byte)
	if scratch == nil {
		scratch = new([]byte)
	}
	b := (*scratch)[:0]

	l := line{at: r.Time, level: LevelName(r.Level), tag: h.tag, source: h.out.source(r.PC), message: r.Message}
	if l.at.IsZero() {
		l.at = time.Now()
	}
	// The attributes are laid down first, behind them the line that ends with
	// them: the tag, which stands in front, is known only after the last one.
	b = append(b, h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		b = appendAttr(b, h.prefix, a, &l.tag)
		return true
	})
	n := len(b)
	if h.opts.Format == JSON {
		b = l.appendJSON(b, b[:n])
	} else {
		b = l.appendText(b, b[:n])
	}

	h.out.mu.Lock()
	_, err := h.out.w.Write(b[n:])
	h.out.mu.Unlock()

	if cap(b) <= bufferMax {
		*scratch = b
		h.out.buffers.Put(scratch)
	}
	return err
}

// WithAttrs returns a handler whose lines carry attrs as well.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	d := *h
	d.attrs = append([]byte(nil), h.attrs...)
	for _, a := range attrs {
		d.attrs = appendAttr(d.attrs, h.prefix, a, &d.tag)
	}
	return &d
}

// WithGroup returns a handler that puts name and a dot before later keys.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	d := *h
	d.prefix += name + "."
	return &d
}
