package js

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"testing"
)

// TestPSSWithoutSalt checks our encoding against crypto/rsa, which verifies
// any salt length if asked to.
func TestPSSWithoutSalt(t *testing.T) {
	for _, bits := range []int{1024, 1025, 1031, 2048} {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256([]byte("x"))
		sig, err := signPSS(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), crypto.SHA256, digest[:], 0)
		if err != nil {
			t.Fatal(bits, err)
		}
		if err := rsa.VerifyPSS(&k.PublicKey, crypto.SHA256, digest[:], sig, nil); err != nil {
			t.Error(bits, err)
		}
		sig[len(sig)/2] ^= 1
		if verifyPSSNoSalt(&k.PublicKey, crypto.SHA256, digest[:], sig) {
			t.Error(bits, "accepted a changed signature")
		}
	}
}
