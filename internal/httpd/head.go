package httpd

import "slices"

// targetMax bounds the request target, in bytes. CCF has no bound of its own;
// a larger header limit raises it.
const targetMax = 64 << 10

// headMax bounds a whole head, in bytes: what a client that has not said who it
// is can make a session hold. By their own limits the header lines could take
// eight times as much. A header limit above half of it raises it.
const headMax = 1 << 20

// faultKind is why a request is refused.
type faultKind uint8

const (
	malformed faultKind = iota
	headerTooLarge
	bodyTooLarge
)

// fault is a refused request: the reason for people, and at is the offset of
// the first byte that is wrong.
type fault struct {
	kind   faultKind
	reason string
	at     int
}

// state is what the next byte of a head belongs to.
type state uint8

const (
	inStart   state = iota // before a request: empty lines are skipped
	inStartLF              // the LF of such a line
	inMethod               //
	inTarget               // its first byte
	inScheme               // "https" of an absolute target
	inSlashes              // "//" after it
	inRest                 // the rest of the target
	inVersion              // "HTTP/1.1" and CR LF
	inLine                 // the first byte of a field line, or the CR that ends the head
	inName                 //
	inSpace                // before a value
	inValue                //
	inValueLF              // the LF of a field line
	inEndLF                // the LF that ends the head
)

// field is where one field line is in the head.
type field struct{ name, nameEnd, value, valueEnd int }

// head parses a request line and its header fields (RFC 9112 §3 and §5),
// strictly, each byte once, whatever pieces they arrive in. It keeps offsets
// into the bytes that parse is given, which must always begin with the same
// byte.
type head struct {
	sizeMax  int // of a name, of a value
	countMax int
	totalMax int // of the request line and all after it

	state     state
	pos       int // the next byte
	begin     int // of the request line
	mark      int // where the current element began
	method    int // index in methods
	target    int
	targetEnd int
	major     byte
	minor     byte
	fields    []field
	framing
}

func (h *head) reset() {
	*h = head{sizeMax: h.sizeMax, countMax: h.countMax, totalMax: h.totalMax, fields: h.fields[:0]}
	h.length = lengthAbsent
}

// parse goes on where it stopped, in b, which holds all the bytes of this
// request so far. When it is done, the head is b[:h.pos].
func (h *head) parse(b []byte) (done bool, f *fault) {
	for {
		done, f = h.scan(b[:min(len(b), h.begin+h.totalMax)])
		switch {
		case done || f != nil:
			return done, f
		case h.pos-h.begin >= h.totalMax:
			return false, &fault{headerTooLarge, headTooLargeReason, h.pos}
		case h.pos == len(b):
			return false, nil
		}
	}
}

// headTooLargeReason is the text for every head over the limit.
const headTooLargeReason = "Header is too large"

// scan is parse without the limit of the whole.
func (h *head) scan(b []byte) (done bool, f *fault) {
	for h.pos < len(b) {
		switch h.state {
		case inLine, inName, inSpace, inValue, inValueLF:
			f = h.parseField(b)
		case inEndLF:
			if b[h.pos] != '\n' {
				return false, h.bad("expected LF after the head's last CR")
			}
			if f := h.complete(); f != nil {
				return false, f
			}
			h.pos++
			return true, nil
		default:
			f = h.parseLine(b)
		}
		if f != nil {
			return false, f
		}
	}
	return false, nil
}

func (h *head) bad(reason string) *fault { return &fault{malformed, reason, h.pos} }

// parseLine takes bytes of the request line.
func (h *head) parseLine(b []byte) *fault {
	c := b[h.pos]
	switch h.state {
	case inStart:
		h.begin = h.pos
		if c == '\r' {
			h.state = inStartLF
			break
		}
		h.mark, h.method, h.state = h.pos, 0, inMethod
		return nil
	case inStartLF:
		if c != '\n' {
			return h.bad("expected LF after CR")
		}
		h.state = inStart
	case inMethod:
		if c == ' ' && len(methods[h.method]) == h.pos-h.mark {
			h.state = inTarget
			break
		}
		if !h.nextMethod(h.pos-h.mark, c) {
			return h.bad("unknown method")
		}
	case inTarget:
		h.target = h.pos
		switch {
		case c == '/' || c == '*' || methods[h.method] == "CONNECT" && class[c]&isTarget != 0:
			h.state = inRest
		case isLetter(c):
			h.state = inScheme
		default:
			return h.bad("bad first byte of the target")
		}
	case inScheme:
		if c == ':' {
			h.mark, h.state = h.pos, inSlashes
		} else if !isLetter(c) {
			return h.bad("bad byte in the target's scheme")
		} else if h.pos-h.target >= schemeMax {
			return h.bad("the target's scheme is too long")
		}
	case inSlashes:
		if c != '/' {
			return h.bad("expected // after the target's scheme")
		}
		if h.pos-h.mark == 2 {
			h.state = inRest
		}
	case inRest:
		return h.parseTarget(b)
	case inVersion:
		return h.parseVersion(c)
	}
	h.pos++
	return nil
}

// schemeMax bounds the scheme of an absolute target, in bytes.
const schemeMax = 16

// nextMethod keeps method at the first of the sorted methods that begins with
// what was read; c is its byte i.
func (h *head) nextMethod(i int, c byte) bool {
	read := methods[h.method][:min(i, len(methods[h.method]))]
	for ; h.method < len(methods); h.method++ {
		m := methods[h.method]
		if len(m) < i || m[:i] != read {
			break
		}
		if len(m) > i && m[i] == c {
			return true
		}
	}
	h.method = 0
	return false
}

// parseTarget takes the rest of the target and the space after it.
func (h *head) parseTarget(b []byte) *fault {
	i := h.pos
	for i < len(b) && class[b[i]]&isTarget != 0 {
		i++
	}
	if most := max(targetMax, h.sizeMax); i-h.target > most {
		return &fault{headerTooLarge, "Request target is too large", h.target + most}
	}
	h.pos = i
	if i == len(b) {
		return nil
	}
	if b[i] != ' ' {
		return h.bad("bad byte in the target")
	}
	h.targetEnd, h.state = i, inVersion
	h.pos++
	h.mark = h.pos
	return nil
}

// versionForm is a request line's end; 0 stands for a digit.
const versionForm = "HTTP/0.0\r\n"

// parseVersion takes one byte of the version: 1.0, 1.1 or, as CCF's parser
// does, 2.0, which is served alike.
func (h *head) parseVersion(c byte) *fault {
	ok := false
	switch i := h.pos - h.mark; i {
	case 5:
		h.major, ok = c, c == '1' || c == '2'
	case 7:
		h.minor, ok = c, c == '0' || c == '1' && h.major == '1'
	default:
		ok = c == versionForm[i]
		if i == len(versionForm)-1 {
			h.state = inLine
		}
	}
	if !ok {
		return h.bad("bad HTTP version")
	}
	h.pos++
	return nil
}

// methods are those that the parser knows, sorted: the registered ones for
// HTTP (https://www.iana.org/assignments/http-methods) without those of
// versions and WebDAV extensions that CCF's parser does not know either, and
// without PRI (CCF: 3rdparty/exported/llhttp).
var methods = [...]string{
	"ACL", "BIND", "CHECKOUT", "CONNECT", "COPY", "DELETE", "GET", "HEAD", "LINK", "LOCK", "M-SEARCH", "MERGE",
	"MKACTIVITY", "MKCALENDAR", "MKCOL", "MOVE", "NOTIFY", "OPTIONS", "PATCH", "POST", "PROPFIND", "PROPPATCH",
	"PURGE", "PUT", "QUERY", "REBIND", "REPORT", "SEARCH", "SOURCE", "SUBSCRIBE", "TRACE", "UNBIND", "UNLINK",
	"UNLOCK", "UNSUBSCRIBE",
}

// Classes of bytes.
const (
	isToken  = 1 << iota // RFC 9110 §5.6.2
	isTarget             // visible, or above ASCII
	isValue              // visible, above ASCII, space or tab (RFC 9110 §5.5)
)

var class = func() (t [256]uint8) {
	for c := range t {
		if c > ' ' && c != 0x7f {
			t[c] |= isTarget | isValue
		}
		if isLetter(byte(c)) || isDigit(byte(c)) || slices.Contains([]byte("!#$%&'*+-.^_`|~"), byte(c)) {
			t[c] |= isToken
		}
	}
	t[' '] |= isValue
	t['\t'] |= isValue
	return t
}()

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
