package httpd

// chunkDigitsMax bounds the digits of a chunk's size.
const chunkDigitsMax = 16

// chunkState is what the next byte of a chunked body belongs to.
type chunkState uint8

const (
	chunkSize      chunkState = iota
	chunkExtension            // up to CR
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	trailerLine // the first byte of a trailer's line, or the CR that ends the body
	trailerName
	trailerValue
	trailerLF
	trailerEndLF
)

// chunked decodes a chunked body (RFC 9112 §7.1) as its bytes arrive and keeps
// none but the data. Extensions and trailers are checked and dropped; together
// they may be as large as one header, so that a body's cost is bounded by what
// it carries.
type chunked struct {
	bodyMax, extraMax int64

	state  chunkState
	size   int64 // of this chunk, then what is left of it
	digits int
	extra  int64
	body   []byte
}

// feed takes bytes and says how many it used: all, unless the body ended.
func (d *chunked) feed(b []byte) (n int, done bool, f *fault) {
	for n < len(b) {
		if d.state == chunkData {
			take := int(min(d.size, int64(len(b)-n)))
			d.body = append(d.body, b[n:n+take]...)
			d.size -= int64(take)
			n += take
			if d.size == 0 {
				d.state = chunkDataCR
			}
			continue
		}
		if d.state == trailerEndLF && b[n] == '\n' {
			return n + 1, true, nil
		}
		if kind, reason := d.step(b[n]); reason != "" {
			return n, false, &fault{kind, reason, n}
		}
		n++
	}
	return n, false, nil
}

// step takes one byte that is no data.
func (d *chunked) step(c byte) (faultKind, string) {
	switch d.state {
	case chunkSize:
		return d.stepSize(c)
	case chunkExtension:
		if c == '\r' {
			d.state = chunkSizeLF
			break
		}
		return d.keepOut(c, isValue, "bad byte in a chunk's extension")
	case chunkSizeLF:
		if c != '\n' {
			return malformed, "expected LF after a chunk's size"
		}
		d.state = chunkData
		if d.size == 0 {
			d.state = trailerLine
		}
	case chunkDataCR, chunkDataLF:
		if c != "\r\n"[d.state-chunkDataCR] {
			return malformed, "expected CR LF after a chunk's data"
		}
		d.state++
		if c == '\n' {
			d.state, d.size, d.digits = chunkSize, 0, 0
		}
	case trailerLine:
		if c == '\r' {
			d.state = trailerEndLF
			break
		}
		d.state = trailerName
		return d.keepOut(c, isToken, "bad first byte of a trailer's line")
	case trailerName:
		if c == ':' {
			d.state = trailerValue
			break
		}
		return d.keepOut(c, isToken, "bad byte in a trailer's name")
	case trailerValue:
		if c == '\r' {
			d.state = trailerLF
			break
		}
		return d.keepOut(c, isValue, "bad byte in a trailer's value")
	case trailerLF:
		if c != '\n' {
			return malformed, "expected LF after a trailer's line"
		}
		d.state = trailerLine
	case trailerEndLF:
		return malformed, "expected LF at the end of the body"
	}
	return 0, ""
}

func (d *chunked) stepSize(c byte) (faultKind, string) {
	digit := unhex(c)
	switch {
	case digit >= 0 && d.digits == chunkDigitsMax:
		return malformed, "a chunk's size has too many digits"
	case digit >= 0:
		d.digits++
		d.size = d.size<<4 | int64(digit)
		if d.size < 0 || d.size > d.bodyMax-int64(len(d.body)) {
			return bodyTooLarge, bodyTooLargeReason
		}
		return 0, ""
	case d.digits == 0:
		return malformed, "bad chunk size"
	case c == '\r':
		d.state = chunkSizeLF
	case c == ';':
		d.state = chunkExtension
	default:
		return malformed, "bad chunk size"
	}
	return 0, ""
}

// keepOut checks a byte that is dropped and counts it.
func (d *chunked) keepOut(c byte, allowed uint8, reason string) (faultKind, string) {
	if d.extra++; d.extra > d.extraMax {
		return headerTooLarge, "Chunk extensions and trailers are too large"
	}
	if class[c]&allowed == 0 {
		return malformed, reason
	}
	return 0, ""
}

func unhex(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	default:
		return -1
	}
}
