package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"fmt"
)

// SignDigest makes a node's signature over a root: ECDSA in DER over the 32
// bytes as the message digest, whatever the curve (CCF: src/node/history.h).
func SignDigest(key crypto.Signer, root [32]byte) ([]byte, error) {
	sig, err := key.Sign(rand.Reader, root[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign root: %w", err)
	}
	return sig, nil
}

// VerifyDigest says whether sig is SignDigest's over root by the owner of pub.
// Keys other than ECDSA verify nothing.
func VerifyDigest(pub crypto.PublicKey, root [32]byte, sig []byte) bool {
	key, ok := pub.(*ecdsa.PublicKey)
	return ok && ecdsa.VerifyASN1(key, root[:], sig)
}
