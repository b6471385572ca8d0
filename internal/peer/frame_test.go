package peer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"synod"
)

func frame(k kind, content ...byte) []byte {
	return append(appendHeader(nil, k, len(content)), content...)
}

func numbered(k kind, number uint64, content ...byte) []byte {
	return frame(k, append(binary.LittleEndian.AppendUint64(nil, number), content...)...)
}

func TestHello(t *testing.T) {
	h := hello{oldest: 1, newest: 0x0203, to: "abc", node: "n:1", client: "c:22"}
	want := "11000000" + "01" + "0100" + "0302" + "03" + "616263" + "03" + "6e3a31" + "04" + "633a3232"
	if got := hex.EncodeToString(h.encode()); got != want {
		t.Errorf("hello is %s, want %s", got, want)
	}
	got, err := parseHello(append(h.encode()[headerSize:], "of a newer release"...))
	if err != nil || got != h {
		t.Errorf("parseHello = %+v, %v", got, err)
	}
	old := hello{oldest: 1, newest: 0x0203, to: "abc"}
	if got, err := parseHello(old.encode()[headerSize : headerSize+helloMin+len(old.to)]); err != nil || got != old {
		t.Errorf("a hello of an older release = %+v, %v", got, err)
	}
	for _, b := range []string{"", "\x01\x00\x01\x00", "\x01\x00\x01\x00\x01", "\x02\x00\x01\x00\x00"} {
		if _, err := parseHello([]byte(b)); !errors.Is(err, errFrame) {
			t.Errorf("parseHello(%q): %v", b, err)
		}
	}
}

func TestReadHeader(t *testing.T) {
	for _, c := range []struct {
		kind kind
		n    uint32
		ok   bool
	}{
		{kindMessage, 0, true},
		{kindMessage, MessageMax, true},
		{kindMessage, MessageMax + 1, false},
		{kindMessage, 1<<32 - 1, false},
		{kindRequest, numberSize - 1, false},
		{kindRequest, numberSize, true},
		{kindAnswer, numberSize + MessageMax, true},
		{kindAnswer, numberSize + MessageMax + 1, false},
		{kindHello, helloMin - 1, false},
		{kindHello, helloMax, true},
		{kindHello, helloMax + 1, false},
		{kindRefusal, 0, true},
		{kindRefusal, textMax + 1, false},
		{kindFailure, numberSize, false},
		{kindFailure, numberSize + 1 + textMax, true},
		{kindFailure, numberSize + 2 + textMax, false},
		{kindCancel, numberSize, true},
		{kindCancel, numberSize + 1, false},
		{kindKeepAlive, 0, true},
		{0, 0, false},
		{7, 0, false},
		{0x7f, 0, false},
		{0xff, MessageMax, true},
		{0xff, MessageMax + 1, false},
	} {
		b := append(binary.LittleEndian.AppendUint32(nil, c.n), byte(c.kind))
		k, n, err := readHeader(bufio.NewReader(bytes.NewReader(b)))
		if c.ok && (err != nil || k != c.kind || uint32(n) != c.n) || !c.ok && !errors.Is(err, errFrame) { //nolint:gosec // a test's
			t.Errorf("type %d of %d bytes: %d, %d, %v", c.kind, c.n, k, n, err)
		}
	}
	for b, want := range map[string]error{"": io.EOF, "\x00\x00\x00\x00": io.ErrUnexpectedEOF} {
		if _, _, err := readHeader(bufio.NewReader(strings.NewReader(b))); !errors.Is(err, want) {
			t.Errorf("%q: %v", b, err)
		}
	}
}

// streams are what one end may send: the seeds of FuzzFrames, and what the two
// readers make of them in TestStreams.
var streams = map[string]struct {
	bytes     []byte
	in, out   string // what the accepting and the dialling side say at the end of it
	delivered int    // messages and requests that reached the accepting side
}{
	"messages":         {append(frame(kindMessage, 1, 2), frame(kindMessage)...), "EOF", "type 3 from", 2},
	"request":          {numbered(kindRequest, 1, 'x'), "EOF", "type 4 from", 1},
	"same call twice":  {append(numbered(kindRequest, 7), numbered(kindRequest, 7)...), "served already", "type 4 from", 1},
	"cancel":           {append(numbered(kindCancel, 5), numbered(kindRequest, 1)...), "EOF", "type 4 from", 1},
	"answer":           {numbered(kindAnswer, 9, 'x'), "type 5 from", "EOF", 0},
	"failure":          {numbered(kindFailure, 9, reasonBusy, 'n', 'o'), "type 6 from", "EOF", 0},
	"refusal":          {frame(kindRefusal, 'n', 'o'), "type 2 from", "refuses the link: no", 0},
	"hello again":      {hello{oldest: 1, newest: 1, to: ""}.encode(), "type 1 from", "type 1 from", 0},
	"keep-alive":       {append(frame(kindKeepAlive), frame(kindMessage, 1)...), "EOF", "type 3 from", 1},
	"newer, skippable": {append(frame(0xfe, 1, 2, 3), frame(kindMessage, 1)...), "EOF", "type 3 from", 1},
	"newer":            {frame(0x10, 1), "unknown type 16", "unknown type 16", 0},
	"huge":             {appendHeader(nil, kindMessage, MessageMax+1), "68157441 bytes in type 3", "68157441 bytes in type 3", 0},
	"cut short":        {frame(kindMessage, 1, 2, 3)[:6], "unexpected EOF", "type 3 from", 0},
	"cut in header":    {[]byte{1, 0}, "unexpected EOF", "unexpected EOF", 0},
	"nothing":          {nil, "EOF", "EOF", 0},
}

// readers lets both sides read a stream, and returns what they say at its end and
// how many messages and requests were delivered.
func readers(b []byte) (delivered int, in, out error) {
	requests := make(chan struct{}, len(b)+1)
	l := New(Config{
		Logger:  slog.New(slog.DiscardHandler),
		Message: func(_ synod.NodeID, _ []byte) { delivered++ },
		Call: func(ctx context.Context, _ synod.NodeID, _ []byte) ([]byte, error) {
			requests <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		},
	})
	defer l.Close()
	w := func() *wire {
		return &wire{r: bufio.NewReader(bytes.NewReader(b)), w: bufio.NewWriter(io.Discard)}
	}
	accepted := newInbound(context.Background(), l, "peer", w())
	in = accepted.read()
	accepted.leave(in)
	accepted.tasks.Wait()
	out = newLink(l, "peer", func() {}).read(context.Background(), w())
	return delivered + len(requests), in, out
}

func TestStreams(t *testing.T) {
	for name, c := range streams {
		delivered, in, out := readers(c.bytes)
		if !strings.Contains(in.Error(), c.in) || !strings.Contains(out.Error(), c.out) || delivered != c.delivered {
			t.Errorf("%s: %v, %v, %d delivered; want %q, %q, %d", name, in, out, delivered, c.in, c.out, c.delivered)
		}
	}
}

// FuzzFrames lets both sides read anything. They must come to its end or refuse
// it, and take no more memory than what was sent asks for.
func FuzzFrames(f *testing.F) {
	for _, c := range streams {
		f.Add(c.bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		delivered, in, out := readers(b)
		if in == nil || out == nil {
			t.Errorf("a stream of %d bytes never ended", len(b))
		}
		if delivered*headerSize > len(b) {
			t.Errorf("%d deliveries in %d bytes", delivered, len(b))
		}
		h, err := parseHello(b)
		if err != nil {
			return
		}
		if again, err := parseHello(h.encode()[headerSize:]); err != nil || again != h {
			t.Errorf("%+v read again is %+v, %v", h, again, err)
		}
	})
}

func TestClip(t *testing.T) {
	if got := clip(strings.Repeat("ä", textMax)); len(got) != textMax {
		t.Errorf("%d bytes", len(got))
	}
	if got := clip("a" + strings.Repeat("ä", textMax)); len(got) != textMax-1 {
		t.Errorf("a rune is cut: %d bytes", len(got))
	}
	if got := clip("a\xffb"); got != "ab" {
		t.Errorf("%q", got)
	}
}
