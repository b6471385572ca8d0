// Package jwk turns keys into PEM and JSON Web Keys (RFC 7517, 7518, 8037), and
// back, as CCF's scripts see them: P-256 and P-384, RSA, Ed25519 and X25519.
// PEM is PKCS #8 and SubjectPublicKeyInfo, byte for byte what OpenSSL writes.
//
// It knows nothing of scripts and does no signing. Sources: CCF:
// src/crypto/openssl/key_pair.cpp, rsa_key_pair.cpp, eddsa_key_pair.cpp,
// include/ccf/crypto/jwk.h; their error texts, without the keys that some of
// them quote.
//
// What is read is from outside: sizes are bounded, points are on their curve,
// and a private key belongs to its public one.
//
// It starts no goroutine; its functions may be called from several.
//
// Reading order: pem.go, export.go, import.go.
package jwk
