package peer

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"synod"
)

// How long a connection may do nothing.
const (
	// handshakeTimeout bounds dialling, the TLS handshake and the hellos together.
	handshakeTimeout = 5 * time.Second
	// keepAliveInterval is how often each side writes at least something.
	keepAliveInterval = time.Second
	// idleTimeout is how long a side waits for the next bytes, or for the other to
	// take some, before it gives up the connection.
	idleTimeout = 4 * time.Second
)

// Buffers and large frames.
const (
	bufferSize = 64 << 10
	// largeFrameMin is the content, in bytes, from which a frame counts as large.
	largeFrameMin = 1 << 20
	// largeFramesMax bounds how many large frames are received at once, over all
	// peers. The others wait, and with them their senders.
	largeFramesMax = 4
)

// wearMax is how many bytes go through a connection in one direction before it
// is replaced: half of what AES-GCM may encrypt under one key (RFC 8446 §5.5,
// 2^24.5 records of 16 KiB), since crypto/tls changes keys only when asked.
const wearMax = 1 << 37

// paced is a connection of which each read and write must make progress within
// idleTimeout, once it is started. It counts bytes.
type paced struct {
	net.Conn
	started     atomic.Bool
	read, wrote atomic.Int64
}

func (c *paced) Read(b []byte) (int, error) {
	if c.started.Load() {
		if err := c.SetReadDeadline(time.Now().Add(idleTimeout)); err != nil {
			return 0, err
		}
	}
	n, err := c.Conn.Read(b)
	c.read.Add(int64(n))
	return n, err
}

func (c *paced) Write(b []byte) (int, error) {
	if c.started.Load() {
		if err := c.SetWriteDeadline(time.Now().Add(idleTimeout)); err != nil {
			return 0, err
		}
	}
	n, err := c.Conn.Write(b)
	c.wrote.Add(int64(n))
	return n, err
}

// wire is an authenticated connection with its frames.
type wire struct {
	raw *paced
	tls *tls.Conn
	r   *bufio.Reader
	w   *bufio.Writer
}

func newWire(raw *paced, conn *tls.Conn) *wire {
	return &wire{raw: raw, tls: conn, r: bufio.NewReaderSize(conn, bufferSize), w: bufio.NewWriterSize(conn, bufferSize)}
}

// start ends the time of the handshake.
func (w *wire) start() error {
	w.raw.started.Store(true)
	return w.raw.SetDeadline(time.Now().Add(idleTimeout))
}

// worn is how many bytes went in the direction that had more.
func (w *wire) worn() int64 { return max(w.raw.read.Load(), w.raw.wrote.Load()) }

// frame writes a frame of which the content has up to two parts. It is sent at
// the latest by the next Flush.
func (w *wire) frame(k kind, head, body []byte) error {
	b := appendHeader(w.w.AvailableBuffer(), k, len(head)+len(body))
	if _, err := w.w.Write(append(b, head...)); err != nil {
		return err
	}
	_, err := w.w.Write(body)
	return err
}

// content reads a frame's content, large ones when there is a slot.
func (l *Links) content(ctx context.Context, r *bufio.Reader, n int) ([]byte, error) {
	if n >= largeFrameMin {
		select {
		case l.large <- struct{}{}:
			defer func() { <-l.large }()
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return readContent(r, n)
}

// text reads the words in a frame.
func (w *wire) text(n int) (string, error) {
	b, err := readContent(w.r, n)
	return clip(string(b)), err
}

// sayHello writes our hello to a node.
func (l *Links) sayHello(w *wire, to synod.NodeID) error {
	h := hello{oldest: l.oldest, newest: l.newest, to: string(to)}
	if l.config.Addresses != nil {
		h.node, h.client = l.config.Addresses()
	}
	_, err := w.tls.Write(h.encode())
	return err
}

// refusedError is the other end's refusal, in its words.
type refusedError string

func (e refusedError) Error() string { return "the other node refuses the link: " + string(e) }

// hearHello reads the other end's hello and checks that it means this node and
// speaks a version of ours.
func (l *Links) hearHello(w *wire) (h hello, err error) {
	k, n, err := readHeader(w.r)
	if err != nil {
		return h, err
	}
	switch k {
	case kindRefusal:
		words, err := w.text(n)
		if err != nil {
			return h, err
		}
		return h, refusedError(words)
	case kindHello:
	default:
		return h, fmt.Errorf("%w: type %d before the hello", errFrame, k)
	}
	b, err := readContent(w.r, n)
	if err != nil {
		return h, err
	}
	h, err = parseHello(b)
	if err != nil {
		return h, err
	}
	if h.to != string(l.config.Self) {
		return h, mismatchError(fmt.Sprintf("meant is %s, this is %s", synod.NodeID(clip(h.to)), l.config.Self))
	}
	if h.newest < l.oldest || h.oldest > l.newest {
		return h, mismatchError(fmt.Sprintf("it speaks versions %d to %d, this node %d to %d: upgrade one release at a time",
			h.oldest, h.newest, l.oldest, l.newest))
	}
	return h, nil
}

// mismatchError is a hello that does not fit; the other end is told.
type mismatchError string

func (e mismatchError) Error() string { return "hello does not fit: " + string(e) }

// drain ends our side and reads what the other end still sends for a moment, so
// that closing does not take back the words that it is to read (TCP resets a
// connection that is closed with bytes unread).
func drain(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	if c.SetDeadline(time.Now().Add(lingerMax)) == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(c, bufferSize))
	}
}

// lingerMax bounds how long a refused connection is kept for its words to arrive.
const lingerMax = 500 * time.Millisecond
