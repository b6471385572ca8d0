// Package keywrap encrypts keys under other keys: AES key wrap with padding
// (RFC 5649), RSA-OAEP with SHA-256, and the two together as PKCS #11 lays
// them out (CKM_RSA_AES_KEY_WRAP). CCF: src/crypto/key_wrap.cpp.
//
// It reads no PEM and knows nothing of scripts. A library was not used: tink's
// takes keys of 16 bytes and more only, and RFC 5649 begins at 1.
//
// A wrapped key that was changed is refused without saying how it was wrong.
// It starts no goroutine; its functions may be called from several.
//
// Reading order: kwp.go, oaep.go.
package keywrap
