package cose

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// ErrMalformed is wrapped by every error about bytes that are not what they
// should be.
var ErrMalformed = errors.New("cose: malformed")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

// depthMax bounds the nesting of arrays and maps.
const depthMax = 16

// itemsAhead bounds the room made for items that are announced but not read
// yet.
const itemsAhead = 16

// Major types of RFC 8949 §3.1.
const (
	majorUint   = 0
	majorNint   = 1
	majorBytes  = 2
	majorText   = 3
	majorArray  = 4
	majorMap    = 5
	majorTag    = 6
	majorSimple = 7
)

// reader takes CBOR items from the front of b. Byte strings alias the input.
type reader struct{ b []byte }

// head reads an item's first bytes: its major type and its argument.
func (r *reader) head() (major byte, arg uint64, err error) {
	if len(r.b) == 0 {
		return 0, 0, malformed("unexpected end")
	}
	major, low := r.b[0]>>5, r.b[0]&31
	r.b = r.b[1:]
	if low < 24 {
		return major, uint64(low), nil
	}
	if low > 27 {
		return 0, 0, malformed("indefinite length or reserved byte %#x", major<<5|low)
	}
	n := 1 << (low - 24)
	if len(r.b) < n {
		return 0, 0, malformed("unexpected end")
	}
	for _, c := range r.b[:n] {
		arg = arg<<8 | uint64(c)
	}
	r.b = r.b[n:]
	// The values that a shorter form would have held.
	if arg < [...]uint64{24, 1 << 8, 1 << 16, 1 << 32}[low-24] || major == majorSimple {
		return 0, 0, malformed("number not in its shortest form")
	}
	return major, arg, nil
}

func (r *reader) take(n uint64) ([]byte, error) {
	if n > uint64(len(r.b)) {
		return nil, malformed("string of %d bytes where %d are left", n, len(r.b))
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out, nil
}

// expect reads the head of an item of one major type.
func (r *reader) expect(major byte, what string) (uint64, error) {
	m, arg, err := r.head()
	if err != nil {
		return 0, err
	}
	if m != major {
		return 0, malformed("%s has CBOR type %d, want %d", what, m, major)
	}
	return arg, nil
}

func (r *reader) bytes(what string) ([]byte, error) {
	n, err := r.expect(majorBytes, what)
	if err != nil {
		return nil, err
	}
	return r.take(n)
}

// end refuses bytes after the last item.
func (r *reader) end() error {
	if len(r.b) != 0 {
		return malformed("%d bytes follow", len(r.b))
	}
	return nil
}

// Date is a number of seconds since 1970 (RFC 8949 §3.4.2, tag 1), a whole one.
type Date int64

// tagDate is the one tag inside of messages: signers of containers write it.
const tagDate = 1

// value reads any item of the subset. It returns int64 (uint64 above its
// range), []byte, string, []any, map[any]any with keys of int64 or string,
// bool, Date, or nil.
func (r *reader) value(depth int) (any, error) {
	if depth > depthMax {
		return nil, malformed("nested deeper than %d", depthMax)
	}
	major, arg, err := r.head()
	if err != nil {
		return nil, err
	}
	switch major {
	case majorUint:
		if arg > math.MaxInt64 {
			return arg, nil
		}
		return int64(arg), nil
	case majorNint:
		if arg > math.MaxInt64 {
			return nil, malformed("integer below -2^63")
		}
		return -1 - int64(arg), nil
	case majorBytes:
		return r.take(arg)
	case majorText:
		b, err := r.take(arg)
		if err != nil {
			return nil, err
		}
		if !utf8.Valid(b) {
			return nil, malformed("text is not UTF-8")
		}
		return string(b), nil
	case majorArray:
		return r.array(arg, depth)
	case majorMap:
		return r.mapOf(arg, depth)
	case majorTag:
		if arg != tagDate {
			return nil, malformed("tag %d inside a message", arg)
		}
		seconds, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if n, ok := seconds.(int64); ok {
			return Date(n), nil
		}
		return nil, malformed("a date that is no number of seconds")
	default:
		switch arg {
		case 20, 21:
			return arg == 21, nil
		case 22:
			return nil, nil
		}
		return nil, malformed("simple value %d", arg)
	}
}

func (r *reader) array(n uint64, depth int) (any, error) {
	if n > uint64(len(r.b)) {
		return nil, malformed("array of %d items in %d bytes", n, len(r.b))
	}
	out := make([]any, 0, min(n, itemsAhead))
	for range n {
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func (r *reader) mapOf(n uint64, depth int) (map[any]any, error) {
	if n > uint64(len(r.b))/2 {
		return nil, malformed("map of %d pairs in %d bytes", n, len(r.b))
	}
	out := make(map[any]any, min(n, itemsAhead))
	for range n {
		key, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		switch key.(type) {
		case int64, string:
		default:
			return nil, malformed("map key is neither an integer nor text")
		}
		if _, dup := out[key]; dup {
			return nil, malformed("duplicate key %v", key)
		}
		if out[key], err = r.value(depth + 1); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// header reads one whole map.
func header(b []byte, what string) (map[any]any, error) {
	if len(b) > headerMax {
		return nil, malformed("%s of %d bytes, more than %d", what, len(b), headerMax)
	}
	r := reader{b}
	n, err := r.expect(majorMap, what)
	if err != nil {
		return nil, err
	}
	m, err := r.mapOf(n, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return m, r.end()
}

// field reads key of m as a T; it must have that type if it is there.
func field[T any](m map[any]any, key any) (v T, ok bool, err error) {
	raw, ok := m[key]
	if !ok {
		return v, false, nil
	}
	if v, ok = raw.(T); !ok {
		return v, false, malformed("header %v is a %T, want %T", key, raw, v)
	}
	return v, true, nil
}

// need is field for what must be there.
func need[T any](m map[any]any, key any) (T, error) {
	v, ok, err := field[T](m, key)
	if err == nil && !ok {
		err = malformed("header %v is missing", key)
	}
	return v, err
}
