package peer

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Versions of the protocol that this release speaks. Both ends take the newest
// that both speak.
const (
	versionOldest = 1
	versionNewest = 1
)

// kind is the type of a frame. One with the bit skippable may be passed over by
// a release that does not know it.
type kind byte

const (
	kindHello   kind = 1 // versions, the node that is meant
	kindRefusal kind = 2 // why there will be no link, in words
	kindMessage kind = 3 // one message
	kindRequest kind = 4 // call number, request
	kindAnswer  kind = 5 // call number, answer
	kindFailure kind = 6 // call number, reason, words

	skippable     kind = 0x80
	kindKeepAlive kind = skippable | 1 // nothing
	kindCancel    kind = skippable | 2 // call number
)

// Sizes in frames, in bytes.
const (
	headerSize = 5
	numberSize = 8
	// textMax bounds what one end says to the other in words.
	textMax = 1024
	// helloMax bounds a hello with what newer releases may add.
	helloMax = 1024
)

// Reasons of a failure.
const (
	reasonFailed = 1 // the handler returned an error
	reasonBusy   = 2 // not served: too many calls
)

// errFrame is the error for bytes that are no frame, or not one for here.
var errFrame = errors.New("malformed frame")

// appendHeader appends what stands before a frame's content of n bytes.
func appendHeader(b []byte, k kind, n int) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(n)) //nolint:gosec // at most MessageMax + 8
	return append(b, byte(k))
}

// readHeader reads the header of the next frame and checks its length against
// its kind. The content stays unread.
func readHeader(r *bufio.Reader) (kind, int, error) {
	h, err := r.Peek(headerSize)
	if err != nil {
		if len(h) > 0 && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, 0, err
	}
	k, n := kind(h[4]), int64(binary.LittleEndian.Uint32(h))
	if _, err := r.Discard(headerSize); err != nil {
		return 0, 0, err
	}
	low, high, ok := sizes(k)
	if !ok {
		return 0, 0, fmt.Errorf("%w: unknown type %d", errFrame, k)
	}
	if n < low || n > high {
		return 0, 0, fmt.Errorf("%w: %d bytes in type %d, want %d to %d", errFrame, n, k, low, high)
	}
	return k, int(n), nil
}

// sizes returns how long a frame's content may be, and false for a kind that is
// neither known nor skippable.
func sizes(k kind) (low, high int64, ok bool) {
	switch k {
	case kindHello:
		return helloMin, helloMax, true
	case kindRefusal:
		return 0, textMax, true
	case kindMessage:
		return 0, MessageMax, true
	case kindRequest, kindAnswer:
		return numberSize, numberSize + MessageMax, true
	case kindFailure:
		return numberSize + 1, numberSize + 1 + textMax, true
	case kindCancel:
		return numberSize, numberSize, true
	default:
		return 0, MessageMax, k&skippable != 0
	}
}

// readNumber reads the call number at the start of a frame's content.
func readNumber(r *bufio.Reader) (uint64, error) {
	var b [numberSize]byte
	_, err := io.ReadFull(r, b[:])
	return binary.LittleEndian.Uint64(b[:]), err
}

// readContent reads n bytes into memory of their own.
func readContent(r *bufio.Reader, n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}

// hello is the first frame of each side.
type hello struct {
	oldest, newest uint16 // versions spoken
	to             string // the ID of the node that is meant
	node, client   string // where the sender listens for nodes and for clients, or ""
}

// helloMin is the size of a hello with an empty ID.
const helloMin = 5

// encode returns the frame.
func (h hello) encode() []byte {
	node, client := h.node, h.client
	if len(node) > addressMax || len(client) > addressMax {
		node, client = "", ""
	}
	content := binary.LittleEndian.AppendUint16(nil, h.oldest)
	content = binary.LittleEndian.AppendUint16(content, h.newest)
	for _, text := range []string{h.to, node, client} {
		content = append(content, byte(len(text)))
		content = append(content, text...)
	}
	return append(appendHeader(nil, kindHello, len(content)), content...)
}

// addressMax bounds an address in a hello, in bytes.
const addressMax = 255

// parseHello reads the content of a hello. Addresses that are missing are an older
// release's; what stands behind them is a newer one's, and ignored.
func parseHello(b []byte) (hello, error) {
	if len(b) < helloMin || len(b) < helloMin+int(b[4]) {
		return hello{}, fmt.Errorf("%w: hello of %d bytes", errFrame, len(b))
	}
	h := hello{
		oldest: binary.LittleEndian.Uint16(b), newest: binary.LittleEndian.Uint16(b[2:]),
		to: string(b[helloMin : helloMin+int(b[4])]),
	}
	if h.oldest > h.newest {
		return hello{}, fmt.Errorf("%w: hello with versions %d to %d", errFrame, h.oldest, h.newest)
	}
	rest := b[helloMin+len(h.to):]
	if node, rest, ok := readText(rest); ok {
		if client, _, ok := readText(rest); ok {
			h.node, h.client = node, client
		}
	}
	return h, nil
}

// readText reads one byte of length and the text that it counts.
func readText(b []byte) (text string, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return "", b, false
	}
	return string(b[1 : 1+int(b[0])]), b[1+int(b[0]):], true
}

// appendRefusal appends a frame that says why there will be no link.
func appendRefusal(b []byte, text string) []byte {
	text = clip(text)
	return append(appendHeader(b, kindRefusal, len(text)), text...)
}

// clip makes words fit into a frame, and words from a frame fit for a log.
func clip(text string) string {
	if len(text) > textMax {
		text = text[:textMax]
	}
	return strings.ToValidUTF8(text, "")
}
