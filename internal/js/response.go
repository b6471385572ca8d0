package js

import (
	"synod/app"
)

// responseError says what was wrong with what a function returned.
type responseError struct {
	message string
	cause   *Exception // what a conversion threw, or nil
}

func (r *responseError) Error() string { return r.message }

func (r *responseError) Unwrap() error {
	if r.cause == nil {
		return nil
	}
	return r.cause
}

func invalidResponse(what string) *responseError {
	return &responseError{message: "Invalid endpoint function return value (" + what + ")."}
}

// respond turns { body, headers, statusCode } into the response, in that
// order (CCF: src/js/registry.cpp).
func (v *vm) respond(c *app.Context, r value) error {
	if !isObject(r) {
		return invalidResponse("not an object")
	}
	if err := v.respondBody(c, r); err != nil {
		return err
	}
	if err := v.respondHeaders(c, r); err != nil {
		return err
	}
	return v.respondStatus(c, r)
}

// member reads a member of the result; what a getter throws is the call's
// exception.
func (v *vm) member(r value, atom int) (value, error) {
	m := v.g.GetProperty(v.ctx, r, v.atoms[atom])
	if isException(m) {
		v.unlimit()
		return valUndef, v.takeException()
	}
	return m, nil
}

func (v *vm) respondBody(c *app.Context, r value) error {
	body, err := v.member(r, atomBody)
	if err != nil || body == valUndef {
		return err
	}
	defer func() { v.free(body) }()
	if b, ok := v.bytesOf(body); ok {
		c.Bytes("application/octet-stream", b)
		return nil
	}
	if isString(body) {
		s, ok := v.text(body)
		if !ok {
			return v.conversionError("error during string conversion of body")
		}
		c.Bytes("text/plain", []byte(s))
		return nil
	}
	j := v.stringify(body)
	if isException(j) {
		return v.conversionError("error during JSON conversion of body")
	}
	s, ok := v.text(j) // "undefined" for what has no JSON
	v.free(j)
	if !ok {
		return v.conversionError("error during string conversion of body")
	}
	c.Bytes("application/json", []byte(s))
	return nil
}

func (v *vm) conversionError(what string) error {
	e := invalidResponse(what)
	v.unlimit()
	e.cause = v.takeException()
	return e
}

// bytesOf copies the bytes of an ArrayBuffer or those that a typed array
// views.
func (v *vm) bytesOf(x value) ([]byte, bool) {
	if !isObject(x) {
		return nil, false
	}
	if v.g.TypedArrayType(x) < 0 {
		return v.buffer(x)
	}
	out := v.scratch + scratchOut
	ab := v.g.GetTypedArrayBuffer(v.ctx, x, out, out+4, out+8)
	if isException(ab) {
		v.free(v.g.GetException(v.ctx))
		return nil, false
	}
	mem := v.g.Memory()
	offset, n := getUint32(mem, out), getUint32(mem, out+4)
	all, ok := v.buffer(ab)
	v.free(ab)
	if !ok || uint64(offset)+uint64(n) > uint64(len(all)) {
		return nil, false
	}
	return all[offset : offset+n], true
}

// Flags of JS_GetOwnPropertyNames: enumerable properties with string names.
const ownStringNames = 1<<0 | 1<<4

// propertyEnumMax bounds the headers of one response.
const propertyEnumMax = 1000

func (v *vm) respondHeaders(c *app.Context, r value) error {
	headers, err := v.member(r, atomHeaders)
	if err != nil {
		return err
	}
	defer func() { v.free(headers) }()
	if !isObject(headers) {
		return nil
	}
	out := v.scratch + scratchOut
	if v.g.GetOwnPropertyNames(v.ctx, out, out+4, headers, ownStringNames) < 0 {
		return v.conversionError("header type")
	}
	mem := v.g.Memory()
	tab, n := int32(getUint32(mem, out)), getUint32(mem, out+4)
	defer v.g.FreePropertyEnum(v.ctx, tab, int32(n))
	if n > propertyEnumMax {
		return invalidResponse("too many headers")
	}
	const entry, atomAt = 8, 4 // struct { bool is_enumerable; JSAtom atom; }
	for i := range int32(n) {
		atom := int32(getUint32(v.g.Memory(), tab+i*entry+atomAt))
		key := v.g.AtomToString(v.ctx, atom)
		name, ok := v.text(key)
		v.free(key)
		if !ok {
			return v.conversionError("header type")
		}
		x := v.g.GetProperty(v.ctx, headers, atom)
		if isException(x) {
			return v.conversionError("header value type")
		}
		val, ok := v.text(x)
		v.free(x)
		if !ok {
			return v.conversionError("header value type")
		}
		c.SetHeader(name, val)
	}
	return nil
}

func (v *vm) respondStatus(c *app.Context, r value) error {
	code, err := v.member(r, atomStatusCode)
	if err != nil {
		return err
	}
	if code == valUndef || code == valNull {
		c.Status(200)
		return nil
	}
	f, ok := numberOf(code)
	v.free(code)
	if !ok || f != float64(int(f)) || f < 100 || f > 999 {
		return invalidResponse("status code type")
	}
	c.Status(int(f))
	return nil
}
