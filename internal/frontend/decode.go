package frontend

import (
	"encoding/binary"
	"errors"
	"fmt"

	"synod/app"
)

var errShort = errors.New("it ends too early")

// decoder reads the front part of a message: numbers, and byte strings that
// stay where they are. After the first fault it returns zeros.
type decoder struct {
	rest  []byte
	short bool
}

// newDecoder checks version and size and returns the flags.
func newDecoder(b []byte) (*decoder, byte, error) {
	switch {
	case len(b) > forwardedMax:
		return nil, 0, fmt.Errorf("it has %d bytes, which is more than %d", len(b), forwardedMax)
	case len(b) < 2:
		return nil, 0, errShort
	case b[0] != wireVersion:
		return nil, 0, fmt.Errorf("it has version %d, and this node reads %d", b[0], wireVersion)
	}
	return &decoder{rest: b[2:]}, b[1], nil
}

func (d *decoder) take(n uint64) []byte {
	if d.short || n > uint64(len(d.rest)) {
		d.short = true
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) uint64() uint64 {
	if b := d.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// bytes returns nil for none.
func (d *decoder) bytes() []byte {
	b := d.take(uint64(d.uint32()))
	if len(b) == 0 {
		return nil
	}
	return b
}

// text goes on with the rest as strings: one copy for all of them.
func (d *decoder) text() *texts { return &texts{rest: string(d.rest), short: d.short} }

// texts reads the back part of a message.
type texts struct {
	rest  string
	short bool
}

func (t *texts) number() uint32 {
	if t.short || len(t.rest) < 4 {
		t.short = true
		return 0
	}
	s := t.rest
	t.rest = s[4:]
	return uint32(s[0])<<24 | uint32(s[1])<<16 | uint32(s[2])<<8 | uint32(s[3])
}

func (t *texts) string() string {
	n := t.number()
	if t.short || uint64(n) > uint64(len(t.rest)) {
		t.short = true
		return ""
	}
	s := t.rest[:n]
	t.rest = t.rest[n:]
	return s
}

// fieldMin is the fewest bytes that a field takes.
const fieldMin = 8

func (t *texts) fields() app.Header {
	n := t.number()
	if uint64(n) > uint64(len(t.rest)/fieldMin) {
		t.short = true
		return nil
	}
	if n == 0 {
		return nil
	}
	list := make(app.Header, n)
	for i := range list {
		list[i] = app.Field{Name: t.string(), Value: t.string()}
	}
	return list
}

// end says whether all was there and nothing is left.
func (t *texts) end() error {
	switch {
	case t.short:
		return errShort
	case t.rest != "":
		return fmt.Errorf("%d bytes are left over", len(t.rest))
	}
	return nil
}
