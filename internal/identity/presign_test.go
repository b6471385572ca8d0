package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"math/big"
	"testing"
)

// TestPresignedVerifies signs digests of all lengths out of a stock, which the
// standard library verifies, and never uses a k twice: then r would be the same.
func TestPresignedVerifies(t *testing.T) {
	key, err := NewKey(Secp384r1)
	if err != nil {
		t.Fatal(err)
	}
	p := NewPresigner(key)
	if p.Quick() {
		t.Error("quick without stock")
	}
	seen := map[string]bool{}
	check := func(digest []byte) {
		t.Helper()
		sig, err := p.Sign(rand.Reader, digest, crypto.Hash(0))
		if err != nil {
			t.Fatal(err)
		}
		if !ecdsa.VerifyASN1(&key.PublicKey, digest, sig) {
			t.Fatalf("the signature over %x does not verify", digest)
		}
		var parsed struct{ R, S *big.Int }
		if rest, err := asn1.Unmarshal(sig, &parsed); err != nil || len(rest) != 0 {
			t.Fatalf("%x is no signature in DER: %v", sig, err)
		}
		if r := parsed.R.String(); seen[r] {
			t.Fatal("two signatures with one k")
		} else {
			seen[r] = true
		}
	}
	for made := -1; made != 0; {
		if made, err = p.Prepare(); err != nil {
			t.Fatal(err)
		}
	}
	if len(p.stock) != presignedMax {
		t.Errorf("a stock of %d, want %d", len(p.stock), presignedMax)
	}
	short, long := sha256.Sum256([]byte("root")), sha512.Sum384([]byte("envelope"))
	for _, digest := range [][]byte{short[:], long[:], bytes.Repeat([]byte{0xff}, 48), make([]byte, 48), bytes.Repeat([]byte{0xa5}, 64), {1}} {
		check(digest)
	}
	for p.Quick() {
		check(short[:])
	}
	check(short[:]) // without stock
}

// TestPresignedOneByOne compares each inverse with what it is to be.
func TestPresignedOneByOne(t *testing.T) {
	for n := 1; n <= 3; n++ {
		list, err := presign(n)
		if err != nil {
			t.Fatal(err)
		}
		key, err := NewKey(Secp384r1)
		if err != nil {
			t.Fatal(err)
		}
		p := NewPresigner(key)
		for _, s := range list {
			digest := make([]byte, 48)
			sig, err := s.sign(p.d, digest)
			if err != nil || !ecdsa.VerifyASN1(&key.PublicKey, digest, sig) {
				t.Errorf("of %d: %v", n, err)
			}
		}
	}
}

func TestPresignerOfOtherCurves(t *testing.T) {
	for _, c := range []Curve{Secp256r1} {
		key, err := NewKey(c)
		if err != nil {
			t.Fatal(err)
		}
		p := NewPresigner(key)
		if made, err := p.Prepare(); made != 0 || err != nil || !p.Quick() {
			t.Errorf("%s: %d in stock, %v", c, made, err)
		}
		digest := sha256.Sum256([]byte("root"))
		sig, err := p.Sign(rand.Reader, digest[:], crypto.Hash(0))
		if err != nil || !ecdsa.VerifyASN1(&key.PublicKey, digest[:], sig) {
			t.Errorf("%s: %v", c, err)
		}
	}
}

func BenchmarkPresign(b *testing.B) {
	b.Run("prepare", func(b *testing.B) {
		for range b.N {
			if _, err := presign(presignedBatch); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*presignedBatch), "ns/signature")
	})
	b.Run("sign", func(b *testing.B) {
		key, err := NewKey(Secp384r1)
		if err != nil {
			b.Fatal(err)
		}
		p := NewPresigner(key)
		list, err := presign(1)
		if err != nil {
			b.Fatal(err)
		}
		digest := make([]byte, 48)
		for range b.N {
			if _, err := list[0].sign(p.d, digest); err != nil {
				b.Fatal(err)
			}
		}
	})
}
