package secrets

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"synod"
)

// Sizes in a sealed entry, in bytes (CCF: src/crypto/symmetric_key.h).
const (
	Size    = 32 // of a secret
	TagSize = 16
	IVSize  = 12
)

// snapshotBit marks the IV of a snapshot, in its last byte.
const snapshotBit = 0x80

// viewMax is the largest view that an IV can hold.
const viewMax = 1<<31 - 1

// redacted is all that a secret ever prints.
const redacted = "[redacted]"

// ErrAuthentication says that sealed bytes were changed, or sealed with
// another secret.
var ErrAuthentication = errors.New("sealed data does not authenticate")

// Secret is one ledger secret (CCF: src/node/ledger_secret.h). It may be used
// from several goroutines.
type Secret struct {
	raw  [Size]byte
	aead cipher.AEAD
	mac  macKey // keyed with the commit secret

	// ivs recycles *[IVSize]byte: what is passed to aead escapes to the heap.
	ivs sync.Pool
}

// NewSecret makes a random secret.
func NewSecret() (*Secret, error) {
	var raw [Size]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return nil, fmt.Errorf("make a ledger secret: %w", err)
	}
	return SecretFrom(raw), nil
}

// SecretFrom makes a secret of its raw bytes.
func SecretFrom(raw [Size]byte) *Secret {
	block, err := aes.NewCipher(raw[:])
	if err != nil {
		panic(err) // the key size is right
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // the block size is right
	}
	s := &Secret{raw: raw, aead: aead}
	s.ivs.New = func() any { return new([IVSize]byte) }
	base := newMACKey(raw)
	s.mac = newMACKey(base.sum([]byte(commitLabel)))
	return s
}

// Bytes are the raw bytes.
func (s *Secret) Bytes() [Size]byte { return s.raw }

// Equal says, in constant time, whether both are the same secret.
func (s *Secret) Equal(other *Secret) bool {
	return subtle.ConstantTimeCompare(s.raw[:], other.raw[:]) == 1
}

// Format hides the secret from every verb of package fmt.
func (s *Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue hides the secret.
func (s *Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the secret, and so does its JSON.
func (s *Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// IV is the initialisation vector of the entry at id, or of the snapshot at
// its seqno (CCF: src/node/encryptor.h): u64 seqno ‖ u32 view, little-endian;
// for a snapshot view 0 and the top bit. The view must fit 31 bits.
func IV(id synod.TxID, snapshot bool) [IVSize]byte {
	if id.View > viewMax {
		panic(fmt.Sprintf("secrets: view %d does not fit an IV", id.View))
	}
	var iv [IVSize]byte
	binary.LittleEndian.PutUint64(iv[:], uint64(id.SeqNo))
	if snapshot {
		iv[IVSize-1] = snapshotBit
		return iv
	}
	binary.LittleEndian.PutUint32(iv[8:], uint32(id.View))
	return iv
}

// SealInPlace encrypts text where it stands and returns its tag. text must
// have TagSize bytes of spare capacity, which are overwritten; it then does
// not allocate. An iv must never be used twice with one secret.
func (s *Secret) SealInPlace(iv [IVSize]byte, text, aad []byte) (tag [TagSize]byte) {
	nonce := s.ivs.Get().(*[IVSize]byte)
	*nonce = iv
	sealed := s.aead.Seal(text[:0], nonce[:], text, aad)
	s.ivs.Put(nonce)
	copy(text, sealed[:len(text)]) // the same place, unless capacity lacked
	copy(tag[:], sealed[len(text):])
	return tag
}

// Open decrypts ciphertext and checks its tag. The error is ErrAuthentication.
func (s *Secret) Open(iv [IVSize]byte, tag [TagSize]byte, ciphertext, aad []byte) ([]byte, error) {
	joined := make([]byte, 0, len(ciphertext)+TagSize)
	joined = append(append(joined, ciphertext...), tag[:]...)
	nonce := s.ivs.Get().(*[IVSize]byte)
	*nonce = iv
	text, err := s.aead.Open(joined[:0], nonce[:], joined, aad)
	s.ivs.Put(nonce)
	if err != nil {
		return nil, ErrAuthentication
	}
	return text, nil
}
