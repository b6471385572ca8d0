package js

import (
	"errors"
	"strings"

	"synod/internal/jwk"
	"synod/internal/keywrap"
)

// wrapOps encrypt keys under other keys. Wrapping uses randomness, so a
// snapshot must not keep what it returns.
var wrapOps = []hostOp{
	{"crypto.wrapKey", 6, func(v *vm, _ *call, a args) (value, bool) {
		v.effect()
		w, ok := v.wrapArgs(a)
		if !ok {
			return valExc, false
		}
		if !w.known() {
			return v.throw(rangeError, "unsupported key wrapping algorithm, supported: RSA-OAEP, AES-KWP, RSA-OAEP-AES-KWP")
		}
		out, err := w.wrap()
		if err != nil {
			return v.throw(internalError, "Failed to wrap key: %s", err)
		}
		return owned(v.newBuffer(out))
	}},
	{"crypto.unwrapKey", 6, func(v *vm, _ *call, a args) (value, bool) {
		w, ok := v.wrapArgs(a)
		if !ok {
			return valExc, false
		}
		if !w.known() {
			return v.throw(rangeError, "unsupported key unwrapping algorithm, supported: RSA-OAEP, AES-KWP, RSA-OAEP-AES-KWP")
		}
		out, err := w.unwrap()
		if err != nil {
			return v.throw(internalError, "Failed to unwrap key: %s", err)
		}
		return owned(v.newBuffer(out))
	}},
}

// The algorithms of wrapKey and unwrapKey.
const (
	wrapOAEP    = "RSA-OAEP"
	wrapAES     = "AES-KWP"
	wrapOAEPAES = "RSA-OAEP-AES-KWP"
)

// wrapping is one call of wrapKey or unwrapKey.
type wrapping struct {
	name   string
	bits   int64 // of the AES key in between
	label  []byte
	target []byte // what is wrapped or unwrapped
	key    []byte // PEM of an RSA key, or an AES key
}

// wrapArgs are the arguments that the prelude takes out of the parameters:
// count, name, aesKeySize, label, then the rest.
func (v *vm) wrapArgs(a args) (w wrapping, ok bool) {
	if !v.wantCount(a, 3) {
		return w, false
	}
	if w.target, ok = v.bufferArg(a.at(4)); !ok {
		return w, false
	}
	if w.key, ok = v.bufferArg(a.at(5)); !ok {
		return w, false
	}
	if w.name, ok = v.text(a.at(1)); !ok {
		return w, false
	}
	if w.name == wrapOAEPAES {
		if w.bits, ok = v.integer(a.at(2)); !ok {
			return w, false
		}
	}
	// What is no ArrayBuffer is no label, as in CCF.
	w.label, _ = v.buffer(a.at(3))
	return w, true
}

func (w *wrapping) known() bool {
	return w.name == wrapOAEP || w.name == wrapAES || w.name == wrapOAEPAES
}

func (w *wrapping) wrap() ([]byte, error) {
	if w.name == wrapAES {
		return keywrap.WrapAES(w.key, w.target)
	}
	text, err := w.pem()
	if err != nil {
		return nil, err
	}
	key, err := jwk.ReadRSAPublic(text)
	if err != nil {
		return nil, err
	}
	if w.name == wrapOAEP {
		return keywrap.WrapOAEP(key, w.target, w.label)
	}
	return keywrap.WrapOAEPAES(key, int(w.bits), w.target, w.label)
}

func (w *wrapping) unwrap() ([]byte, error) {
	if w.name == wrapAES {
		return keywrap.UnwrapAES(w.key, w.target)
	}
	text, err := w.pem()
	if err != nil {
		return nil, err
	}
	key, err := jwk.ReadRSAPrivate(text)
	if err != nil {
		return nil, err
	}
	if w.name == wrapOAEP {
		return keywrap.UnwrapOAEP(key, w.target, w.label)
	}
	return keywrap.UnwrapOAEPAES(key, w.target, w.label)
}

// pem is the key as text; C programs leave a NUL at its end.
func (w *wrapping) pem() (string, error) {
	if len(w.key) == 0 {
		return "", errors.New("Got PEM of size 0")
	}
	return strings.TrimSuffix(string(w.key), "\x00"), nil
}
