package cose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	_ "crypto/sha256" // links SHA-256 for crypto.Hash
	_ "crypto/sha512" // links SHA-384 and SHA-512 for crypto.Hash
	"encoding/asn1"
	"fmt"
	"math/big"
)

// The ECDSA algorithms (RFC 9053 §2.1): P-256, P-384 and P-521, each with its
// own hash.
const (
	AlgES256 int64 = -7
	AlgES384 int64 = -35
	AlgES512 int64 = -36
)

type algorithm struct {
	id   int64
	hash crypto.Hash
	size int // of r and of s, in bytes
}

func algorithmByID(id int64) (algorithm, error) {
	switch id {
	case AlgES256:
		return algorithm{id, crypto.SHA256, 32}, nil
	case AlgES384:
		return algorithm{id, crypto.SHA384, 48}, nil
	case AlgES512:
		return algorithm{id, crypto.SHA512, 66}, nil
	default:
		return algorithm{}, fmt.Errorf("%w: %d is none of ES256, ES384, ES512", ErrAlgorithm, id)
	}
}

func algorithmOf(pub *ecdsa.PublicKey) (algorithm, error) {
	switch pub.Curve {
	case elliptic.P256():
		return algorithmByID(AlgES256)
	case elliptic.P384():
		return algorithmByID(AlgES384)
	case elliptic.P521():
		return algorithmByID(AlgES512)
	default:
		return algorithm{}, fmt.Errorf("%w: curve of the key", ErrAlgorithm)
	}
}

// AlgorithmOf returns the algorithm that goes with a key: -7, -35 or -36. It
// fails with ErrAlgorithm for other curves.
func AlgorithmOf(pub *ecdsa.PublicKey) (int64, error) {
	a, err := algorithmOf(pub)
	return a.id, err
}

// sigStructure is what is signed (RFC 9052 §4.4), up to the payload's bytes.
func sigStructure(protected []byte, payloadLen int) []byte {
	b := make([]byte, 0, len(protected)+32)
	b = appendArray(b, 4)
	b = appendText(b, "Signature1")
	b = appendBytes(b, protected)
	b = appendBytes(b, nil)
	return appendHead(b, majorBytes, uint64(payloadLen))
}

func (a algorithm) digest(protected, payload []byte) []byte {
	h := a.hash.New()
	h.Write(sigStructure(protected, len(payload)))
	h.Write(payload)
	return h.Sum(nil)
}

// Digest hashes what is to be signed (the tbs of PrepareGov) with the hash of
// an algorithm: the input of key stores that sign digests.
func Digest(alg int64, tbs []byte) ([]byte, error) {
	a, err := algorithmByID(alg)
	if err != nil {
		return nil, err
	}
	h := a.hash.New()
	h.Write(tbs)
	return h.Sum(nil), nil
}

// sign returns r ‖ s over a protected header and a payload.
func (a algorithm) sign(key crypto.Signer, protected, payload []byte) ([]byte, error) {
	der, err := key.Sign(rand.Reader, a.digest(protected, payload), a.hash)
	if err != nil {
		return nil, fmt.Errorf("cose: sign: %w", err)
	}
	var pair struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &pair); err != nil {
		return nil, fmt.Errorf("cose: sign: %w", err)
	}
	sig := make([]byte, 2*a.size)
	pair.R.FillBytes(sig[:a.size])
	pair.S.FillBytes(sig[a.size:])
	return sig, nil
}

// appendMessage writes a tagged message; unprotected is an encoded map. A nil
// payload is detached.
func appendMessage(dst, protected, unprotected, payload, signature []byte) []byte {
	dst = appendHead(dst, majorTag, tagSign1)
	dst = appendArray(dst, 4)
	dst = appendBytes(dst, protected)
	dst = append(dst, unprotected...)
	if payload == nil {
		dst = append(dst, cborNull)
	} else {
		dst = appendBytes(dst, payload)
	}
	return appendBytes(dst, signature)
}

// emptyMap is the unprotected header of everything but receipts.
func emptyMap() []byte { return appendMap(nil, 0) }
