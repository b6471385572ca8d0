package httpd

import "math"

// framing is what a head says about the bytes after it.
type framing struct {
	length    int64 // Content-Length, or lengthAbsent
	chunked   bool
	close     bool // the client asked to close
	keepAlive bool // the client asked to keep an HTTP/1.0 connection
}

const lengthAbsent = -1

// parseField takes bytes of a field line. Each element's bound is checked
// before what follows it is judged, so that the outcome does not depend on how
// many bytes are there.
func (h *head) parseField(b []byte) *fault {
	c := b[h.pos]
	switch h.state {
	case inLine:
		if c == '\r' {
			h.state = inEndLF
			break
		}
		if class[c]&isToken == 0 {
			return h.bad("bad first byte of a header line")
		}
		if len(h.fields) >= h.countMax {
			return &fault{headerTooLarge, "Too many headers", h.pos}
		}
		h.fields = append(h.fields, field{name: h.pos})
		h.state = inName
		return nil
	case inName:
		return h.parseName(b)
	case inSpace:
		if h.pos-h.mark > h.sizeMax {
			return &fault{headerTooLarge, "Header value is too large", h.pos}
		}
		if c == ' ' || c == '\t' {
			break
		}
		h.fields[len(h.fields)-1].value = h.pos
		h.state = inValue
		return nil
	case inValue:
		return h.parseValue(b)
	case inValueLF:
		if c != '\n' {
			return h.bad("expected LF after a header line")
		}
		if f := h.endField(b); f != nil {
			return f
		}
		h.state = inLine
	}
	h.pos++
	return nil
}

func (h *head) parseName(b []byte) *fault {
	last := &h.fields[len(h.fields)-1]
	i := h.pos
	for i < len(b) && class[b[i]]&isToken != 0 {
		i++
	}
	if i-last.name > h.sizeMax {
		return &fault{headerTooLarge, "Header name is too large", last.name + h.sizeMax}
	}
	h.pos = i
	if i == len(b) {
		return nil
	}
	if b[i] != ':' {
		return h.bad("bad byte in a header name")
	}
	last.nameEnd = i
	h.pos++
	h.mark, h.state = h.pos, inSpace
	return nil
}

func (h *head) parseValue(b []byte) *fault {
	last := &h.fields[len(h.fields)-1]
	i := h.pos
	for i < len(b) && class[b[i]]&isValue != 0 {
		i++
	}
	if i-last.value > h.sizeMax {
		return &fault{headerTooLarge, "Header value is too large", last.value + h.sizeMax}
	}
	h.pos = i
	if i == len(b) {
		return nil
	}
	if b[i] != '\r' {
		return h.bad("bad byte in a header value")
	}
	for i > last.value && (b[i-1] == ' ' || b[i-1] == '\t') {
		i--
	}
	last.valueEnd = i
	h.pos++
	h.state = inValueLF
	return nil
}

// endField looks at a complete field line for what frames the message.
func (h *head) endField(b []byte) *fault {
	last := h.fields[len(h.fields)-1]
	name, value := b[last.name:last.nameEnd], b[last.value:last.valueEnd]
	switch len(name) {
	case len("content-length"):
		if equalFold(name, "content-length") {
			return h.contentLength(value)
		}
	case len("transfer-encoding"):
		if equalFold(name, "transfer-encoding") {
			if h.chunked || !equalFold(value, "chunked") {
				return h.bad("the only Transfer-Encoding understood is a single chunked")
			}
			h.chunked = true
		}
	case len("connection"):
		if equalFold(name, "connection") {
			h.connection(value)
		}
	}
	if h.chunked && h.length != lengthAbsent {
		return h.bad("Transfer-Encoding and Content-Length in one request")
	}
	return nil
}

func (h *head) contentLength(value []byte) *fault {
	if h.length != lengthAbsent {
		return h.bad("more than one Content-Length")
	}
	if len(value) == 0 {
		return h.bad("empty Content-Length")
	}
	if h.chunked {
		return h.bad("Transfer-Encoding and Content-Length in one request")
	}
	var n int64
	for _, c := range value {
		if !isDigit(c) {
			return h.bad("Content-Length is not a number")
		}
		if n > (math.MaxInt64-9)/10 {
			return h.bad("Content-Length is too large a number")
		}
		n = n*10 + int64(c-'0')
	}
	h.length = n
	return nil
}

// connection reads a list of options (RFC 9110 §7.6.1); only two matter here.
func (h *head) connection(value []byte) {
	for len(value) > 0 {
		end := 0
		for end < len(value) && value[end] != ',' {
			end++
		}
		option := value[:end]
		value = value[min(end+1, len(value)):]
		for len(option) > 0 && (option[0] == ' ' || option[0] == '\t') {
			option = option[1:]
		}
		for len(option) > 0 && (option[len(option)-1] == ' ' || option[len(option)-1] == '\t') {
			option = option[:len(option)-1]
		}
		h.close = h.close || equalFold(option, "close")
		h.keepAlive = h.keepAlive || equalFold(option, "keep-alive")
	}
}

// complete judges a whole head.
func (h *head) complete() *fault {
	if h.chunked && h.major == '1' && h.minor == '0' {
		return h.bad("Transfer-Encoding in an HTTP/1.0 request")
	}
	return nil
}

// closes says whether the client expects the connection to end after the
// answer (RFC 9112 §9.3).
func (h *head) closes() bool {
	return h.close || h.major == '1' && h.minor == '0' && !h.keepAlive
}

// equalFold compares with an ASCII text in lower case.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if toLower(c) != lower[i] {
			return false
		}
	}
	return true
}

func toLower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}
