package secrets

import (
	"crypto/sha256"
	"encoding/hex"

	"synod"
)

// commitLabel is what the commit secret is derived with: the first 8 bytes of
// the label in CCF's source, whose length is taken wrongly there
// (CCF: src/node/ledger_secret.h).
const commitLabel = "Commit S"

// evidencePrefix begins all commit evidence.
const evidencePrefix = "ce:"

// macKey is HMAC-SHA256 with a fixed key of 32 bytes over short messages: the
// key's two blocks stand ready, and everything else is on the stack.
type macKey struct {
	inner, outer [sha256.BlockSize]byte
}

// macMax bounds a message, in bytes: "view.seqno" has at most 41.
const macMax = 64

func newMACKey(key [sha256.Size]byte) macKey {
	var m macKey
	copy(m.inner[:], key[:])
	copy(m.outer[:], key[:])
	for i := range sha256.BlockSize {
		m.inner[i] ^= 0x36
		m.outer[i] ^= 0x5c
	}
	return m
}

func (m *macKey) sum(message []byte) [sha256.Size]byte {
	var b [sha256.BlockSize + macMax]byte
	copy(b[:], m.inner[:])
	n := sha256.BlockSize + copy(b[sha256.BlockSize:], message)
	digest := sha256.Sum256(b[:n])
	copy(b[:], m.outer[:])
	copy(b[sha256.BlockSize:], digest[:])
	return sha256.Sum256(b[:sha256.BlockSize+sha256.Size])
}

// CommitEvidence appends the commit evidence of a transaction,
// "ce:<view>.<seqno>:<hex nonce>", whose digest is in the entry
// (CCF: src/kv/committable_tx.h). It does not allocate if dst has 110 bytes
// of spare capacity.
func (s *Secret) CommitEvidence(dst []byte, id synod.TxID) []byte {
	dst = append(dst, evidencePrefix...)
	from := len(dst)
	dst = id.AppendTo(dst)
	nonce := s.mac.sum(dst[from:])
	dst = append(dst, ':')
	return hex.AppendEncode(dst, nonce[:])
}
