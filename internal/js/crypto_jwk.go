package js

import (
	"unicode/utf8"

	"synod/internal/jwk"
)

// jwkOps convert between PEM and JSON Web Keys, public and private.
var jwkOps = []hostOp{
	{"crypto.pubPemToJwk", 1, pemToJWK(jwk.EC, jwk.PublicFromPEM)},
	{"crypto.pemToJwk", 1, pemToJWK(jwk.EC, jwk.PrivateFromPEM)},
	{"crypto.pubRsaPemToJwk", 1, pemToJWK(jwk.RSA, jwk.PublicFromPEM)},
	{"crypto.rsaPemToJwk", 1, pemToJWK(jwk.RSA, jwk.PrivateFromPEM)},
	{"crypto.pubEddsaPemToJwk", 1, pemToJWK(jwk.EdDSA, jwk.PublicFromPEM)},
	{"crypto.eddsaPemToJwk", 1, pemToJWK(jwk.EdDSA, jwk.PrivateFromPEM)},
	{"crypto.pubJwkToPem", 1, jwkToPEM(jwk.EC, jwk.PublicToPEM)},
	{"crypto.jwkToPem", 1, jwkToPEM(jwk.EC, jwk.PrivateToPEM)},
	{"crypto.pubRsaJwkToPem", 1, jwkToPEM(jwk.RSA, jwk.PublicToPEM)},
	{"crypto.rsaJwkToPem", 1, jwkToPEM(jwk.RSA, jwk.PrivateToPEM)},
	{"crypto.pubEddsaJwkToPem", 1, jwkToPEM(jwk.EdDSA, jwk.PublicToPEM)},
	{"crypto.eddsaJwkToPem", 1, jwkToPEM(jwk.EdDSA, jwk.PrivateToPEM)},
}

// hostFunc is the Go side of a host function.
type hostFunc = func(v *vm, c *call, a args) (value, bool)

func pemToJWK(kind jwk.Kind, convert func(kind jwk.Kind, pem string, kid *string) ([]byte, error)) hostFunc {
	return func(v *vm, _ *call, a args) (value, bool) {
		if a.argc != 1 && a.argc != 2 {
			return v.throw(typeError, "Passed %d arguments, but expected 1 or 2", a.argc)
		}
		pem, ok := v.text(a.at(0))
		if !ok {
			return valExc, false
		}
		// An undefined kid that is passed is the text "undefined", as in CCF.
		var kid *string
		if a.argc == 2 {
			s, ok := v.text(a.at(1))
			if !ok {
				return valExc, false
			}
			kid = &s
		}
		text, err := convert(kind, pem, kid)
		if err != nil {
			return v.throw(internalError, "Failed to convert pem to jwk: %s", err)
		}
		if kid != nil && !utf8.ValidString(*kid) {
			return v.throw(internalError, "Failed to serialise jwk: kid has half of a surrogate pair")
		}
		return owned(v.parseJSON(bytesAsString(text), v.json))
	}
}

func jwkToPEM(kind jwk.Kind, convert func(kind jwk.Kind, text []byte) (string, error)) hostFunc {
	return func(v *vm, _ *call, a args) (value, bool) {
		if !a.want(1) {
			return valExc, false
		}
		key := v.stringify(a.at(0))
		if isException(key) {
			return key, false
		}
		defer v.free(key)
		text, ok := v.text(key)
		if !ok {
			return valExc, false
		}
		pem, err := convert(kind, []byte(text))
		if err != nil {
			return v.throw(internalError, "Failed to convert jwk to pem %s", err)
		}
		return owned(v.newString(pem))
	}
}
