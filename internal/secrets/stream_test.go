package secrets

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"synod"
)

// TestStreamIsGCM compares with the standard library's GCM over one piece.
func TestStreamIsGCM(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	feed := func(b []byte, take func([]byte)) {
		for len(b) > 0 {
			n := min(len(b), 1+rng.IntN(100_000))
			take(b[:n])
			b = b[n:]
		}
	}
	sizes := []int{0, 1, 15, 16, 17, 1000, streamChunk - 1, streamChunk, streamChunk + 1, 2 * streamChunk, 5*streamChunk + 7}
	for _, aadLen := range sizes {
		for _, textLen := range sizes {
			secret := SecretFrom([Size]byte(random(Size)))
			iv := IV(synod.TxID{SeqNo: synod.SeqNo(rng.Uint32())}, true)
			aad, text := random(aadLen), random(textLen)
			sealed := append(make([]byte, 0, textLen+TagSize), text...)
			want := secret.SealInPlace(iv, sealed, aad)

			s := secret.Stream(iv)
			feed(aad, s.AAD)
			own := bytes.Clone(text)
			feed(own, s.Encrypt)
			if got := s.Tag(); got != want || !bytes.Equal(own, sealed) {
				t.Fatalf("%d and %d bytes are sealed differently in pieces", aadLen, textLen)
			}

			s = secret.Stream(iv)
			feed(aad, s.AAD)
			feed(own, s.Decrypt)
			if err := s.Verify(want); err != nil || !bytes.Equal(own, text) {
				t.Fatalf("%d and %d bytes do not open in pieces: %v", aadLen, textLen, err)
			}
			want[rng.IntN(TagSize)] ^= 1
			if s.Verify(want) == nil {
				t.Fatal("another tag verifies")
			}
		}
	}
}

func BenchmarkStream(b *testing.B) {
	secret := SecretFrom([Size]byte{1})
	text := make([]byte, 1<<20)
	for b.Loop() {
		s := secret.Stream([IVSize]byte{})
		s.Encrypt(text)
		s.Tag()
	}
	b.SetBytes(int64(len(text)))
}
