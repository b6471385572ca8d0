package secrets

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
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

// commitLabel is what the commit secret is derived with: the first 8 bytes of
// the label in CCF's source, whose length is taken wrongly there
// (CCF: src/node/ledger_secret.h).
const commitLabel = "Commit S"

// snapshotBit marks the IV of a snapshot, in its last byte.
const snapshotBit = 0x80

// viewMax is the largest view that an IV can hold.
const viewMax = 1<<31 - 1

// ErrAuthentication says that sealed bytes were changed, or sealed with
// another secret.
var ErrAuthentication = errors.New("sealed data does not authenticate")

// Secret is one ledger secret (CCF: src/node/ledger_secret.h).
type Secret struct {
	raw  [Size]byte
	aead cipher.AEAD
	macs sync.Pool // of hash.Hash keyed with the commit secret
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
	mac := hmac.New(sha256.New, raw[:])
	mac.Write([]byte(commitLabel))
	commitSecret := mac.Sum(nil)
	s.macs.New = func() any { return hmac.New(sha256.New, commitSecret) }
	return s
}

// Bytes are the raw bytes.
func (s *Secret) Bytes() [Size]byte { return s.raw }

// String hides the secret.
func (s *Secret) String() string { return "[redacted]" }

// GoString hides the secret.
func (s *Secret) GoString() string { return "[redacted]" }

// LogValue hides the secret.
func (s *Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// CommitEvidence appends the commit evidence of a transaction:
// ce:<view>.<seqno>:<hex nonce> (CCF: src/kv/committable_tx.h).
func (s *Secret) CommitEvidence(dst []byte, id synod.TxID) []byte {
	mac := s.macs.Get().(hash.Hash)
	mac.Reset()
	dst = append(dst, "ce:"...)
	from := len(dst)
	dst = id.AppendTo(dst)
	mac.Write(dst[from:])
	var nonce [sha256.Size]byte
	mac.Sum(nonce[:0])
	s.macs.Put(mac)
	dst = append(dst, ':')
	return hex.AppendEncode(dst, nonce[:])
}

// IV is the initialisation vector of the entry at id, or of the snapshot at
// its seqno (CCF: src/node/encryptor.h). The view must fit 31 bits.
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
// have TagSize bytes of spare capacity, which are overwritten.
func (s *Secret) SealInPlace(iv [IVSize]byte, text, aad []byte) (tag [TagSize]byte) {
	sealed := s.aead.Seal(text[:0], iv[:], text, aad)
	copy(tag[:], sealed[len(text):])
	return tag
}

// Open decrypts ciphertext and checks its tag. The error is ErrAuthentication.
func (s *Secret) Open(iv [IVSize]byte, tag [TagSize]byte, ciphertext, aad []byte) ([]byte, error) {
	joined := make([]byte, 0, len(ciphertext)+TagSize)
	joined = append(append(joined, ciphertext...), tag[:]...)
	text, err := s.aead.Open(joined[:0], iv[:], joined, aad)
	if err != nil {
		return nil, ErrAuthentication
	}
	return text, nil
}
