package js

import (
	"crypto/sha256"
	"slices"
)

// cryptoOps are ccf.crypto (CCF: src/js/extensions/ccf/crypto.cpp).
var cryptoOps = slices.Concat([]hostOp{{"crypto.digest", 2, digestOp}}, generateOps, signatureOps, certificateOps, jwkOps, wrapOps)

func digestOp(v *vm, _ *call, a args) (value, bool) {
	if !a.want(2) {
		return valExc, false
	}
	name, ok := v.text(a.at(0))
	if !ok {
		return valExc, false
	}
	if name != "SHA-256" {
		return v.throw(rangeError, "unsupported digest algorithm, supported: SHA-256")
	}
	b, ok := v.bufferView(a.at(1))
	if !ok {
		return v.throw(typeError, wantBuffer)
	}
	sum := sha256.Sum256(b)
	return owned(v.newBuffer(sum[:]))
}

// wantBuffer is the text of QuickJS for a value that is no ArrayBuffer.
const wantBuffer = "ArrayBuffer object expected"

// bufferArg is a copy of an argument that has to be an ArrayBuffer; false
// means that it threw.
func (v *vm) bufferArg(x value) ([]byte, bool) {
	b, ok := v.buffer(x)
	if !ok {
		v.throw(typeError, wantBuffer)
	}
	return b, ok
}
