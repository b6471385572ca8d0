package js

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
)

// converterOps are the functions on ccf itself
// (CCF: src/js/extensions/ccf/converters.cpp).
var converterOps = []hostOp{
	{"ccf.strToBuf", 1, func(v *vm, _ *call, a args) (value, bool) {
		if !a.want(1) {
			return valExc, false
		}
		if !isString(a.at(0)) {
			return v.throw(typeError, "Argument must be a string")
		}
		return v.textToBuffer(a.at(0))
	}},
	{"ccf.bufToStr", 1, func(v *vm, _ *call, a args) (value, bool) {
		if !a.want(1) {
			return valExc, false
		}
		b, ok := v.buffer(a.at(0))
		if !ok {
			return v.throw(typeError, "Argument must be an ArrayBuffer")
		}
		return owned(v.newString(bytesAsString(b)))
	}},
	{"ccf.jsonCompatibleToBuf", 1, func(v *vm, _ *call, a args) (value, bool) {
		if !a.want(1) {
			return valExc, false
		}
		s := v.stringify(a.at(0))
		if isException(s) {
			return s, false
		}
		defer v.free(s)
		if !isString(s) {
			return v.throw(typeError, "Argument must be a string")
		}
		return v.textToBuffer(s)
	}},
	{"ccf.bufToJsonCompatible", 1, func(v *vm, _ *call, a args) (value, bool) {
		if !a.want(1) {
			return valExc, false
		}
		b, ok := v.buffer(a.at(0))
		if !ok {
			return v.throw(typeError, "Argument must be an ArrayBuffer")
		}
		return owned(v.parseJSON(bytesAsString(b), v.json))
	}},
	{"ccf.enableUntrustedDateTime", 1, func(v *vm, _ *call, a args) (value, bool) {
		if !a.want(1) {
			return valExc, false
		}
		return boolValue(v.g.ToBool(v.ctx, a.at(0)) != 0), true
	}},
	{"ccf.enableMetricsLogging", 1, func(v *vm, _ *call, a args) (value, bool) {
		if !a.want(1) {
			return valExc, false
		}
		b := a.at(0)
		if tagOf(b) != tagBool {
			return v.throw(typeError, "First argument must be a boolean")
		}
		before := v.metricsLogging
		v.metricsLogging = b == valTrue
		return boolValue(before), true
	}},
	{"ccf.pemToId", 1, func(v *vm, _ *call, a args) (value, bool) {
		if !a.want(1) {
			return valExc, false
		}
		text, ok := v.text(a.at(0))
		if !ok {
			return valExc, false
		}
		cert, err := parseCertificate([]byte(text))
		if err != nil {
			return v.throw(internalError, "Failed to parse PEM: %s", err)
		}
		id := sha256.Sum256(cert.Raw)
		return owned(v.newString(hex.EncodeToString(id[:])))
	}},
}

// textToBuffer is an ArrayBuffer of a string's UTF-8.
func (v *vm) textToBuffer(x value) (value, bool) {
	s, ok := v.text(x)
	if !ok {
		return valExc, false
	}
	return owned(v.newBuffer([]byte(s)))
}

// parseCertificate reads the first certificate of PEM text.
func parseCertificate(b []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("no PEM certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}
