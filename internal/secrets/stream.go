package secrets

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
)

// StreamMax is how many bytes one Stream can encrypt: where GCM's block
// counter ends (NIST SP 800-38D, 5.2.1.1).
const StreamMax = 1<<36 - 32

// streamChunk is how many bytes a Stream authenticates at once.
const streamChunk = 1 << 16

// Stream seals or opens one long text piece by piece, in constant memory: what
// SealInPlace and Open do with all of it at hand (NIST SP 800-38D). First all
// associated data, then all text. It belongs to one goroutine.
//
// What Decrypt hands out is not authentic before Verify has said so.
//
// GCM's hash is computed by the standard library's GCM, over chunks: the tag of
// a chunk as associated data, freed from what the tag adds, is the hash so far,
// and that goes on when it is mixed into the first block of the next chunk.
type Stream struct {
	aead  cipher.AEAD
	ctr   cipher.Stream
	iv    [IVSize]byte
	mask  element // encrypted first counter block, which hides the hash in a tag
	h     element // the hash's key
	hInv  element
	sum   element // the hash of the chunks before buf
	buf   []byte  // to be hashed
	aad   uint64  // bytes
	text  uint64  // bytes
	moved bool    // text has begun
}

// Stream starts a text with an initialisation vector, which must never be used
// for two texts.
func (s *Secret) Stream(iv [IVSize]byte) *Stream {
	block, err := aes.NewCipher(s.raw[:])
	if err != nil {
		panic(err) // the key size is right
	}
	var zero, first [aes.BlockSize]byte
	copy(first[:], iv[:])
	first[aes.BlockSize-1] = 1
	counter := first
	counter[aes.BlockSize-1] = 2
	st := &Stream{aead: s.aead, ctr: cipher.NewCTR(block, counter[:]), iv: iv, buf: make([]byte, 0, streamChunk)}
	block.Encrypt(zero[:], zero[:])
	block.Encrypt(first[:], first[:])
	st.h, st.mask = load(zero[:]), load(first[:])
	st.hInv = st.h.inverse()
	return st
}

// AAD takes associated data.
func (s *Stream) AAD(p []byte) {
	s.aad += uint64(len(p))
	s.absorb(p)
}

// Encrypt encrypts text where it stands.
func (s *Stream) Encrypt(text []byte) {
	s.begin(len(text))
	s.ctr.XORKeyStream(text, text)
	s.absorb(text)
}

// Decrypt decrypts text where it stands.
func (s *Stream) Decrypt(text []byte) {
	s.begin(len(text))
	s.absorb(text)
	s.ctr.XORKeyStream(text, text)
}

// Tag ends the text.
func (s *Stream) Tag() (tag [TagSize]byte) {
	s.fold()
	sum := s.sum.add(element{s.aad * 8, s.text * 8}).times(s.h).add(s.mask)
	binary.BigEndian.PutUint64(tag[:], sum.high)
	binary.BigEndian.PutUint64(tag[8:], sum.low)
	return tag
}

// Verify ends the text. The error is ErrAuthentication.
func (s *Stream) Verify(tag [TagSize]byte) error {
	if own := s.Tag(); subtle.ConstantTimeCompare(own[:], tag[:]) != 1 {
		return ErrAuthentication
	}
	return nil
}

func (s *Stream) begin(n int) {
	if !s.moved {
		s.moved = true
		s.fold()
	}
	s.text += uint64(n)
}

func (s *Stream) absorb(p []byte) {
	for len(p) > 0 {
		n := min(len(p), cap(s.buf)-len(s.buf))
		s.buf = append(s.buf, p[:n]...)
		p = p[n:]
		if len(s.buf) == cap(s.buf) {
			s.fold()
		}
	}
}

// fold hashes what waits in buf, filled with zeros to a whole block.
func (s *Stream) fold() {
	if len(s.buf) == 0 {
		return
	}
	for len(s.buf)%aes.BlockSize != 0 {
		s.buf = append(s.buf, 0)
	}
	first := load(s.buf).add(s.sum)
	binary.BigEndian.PutUint64(s.buf, first.high)
	binary.BigEndian.PutUint64(s.buf[8:], first.low)
	var tag [TagSize]byte
	s.aead.Seal(tag[:0], s.iv[:], nil, s.buf)
	// tag = (hash + length) · h + mask
	s.sum = load(tag[:]).add(s.mask).times(s.hInv).add(element{high: uint64(len(s.buf)) * 8})
	s.buf = s.buf[:0]
}

// An element is one of GF(2^128) as GCM writes it: the first bit is the
// coefficient of 1. Its arithmetic takes the same time for all values.
type element struct{ high, low uint64 }

func load(b []byte) element {
	return element{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

func (x element) add(y element) element { return element{x.high ^ y.high, x.low ^ y.low} }

func (x element) times(y element) (z element) {
	for i := range 128 {
		bit := x.high << i >> 63
		if i >= 64 {
			bit = x.low << (i - 64) >> 63
		}
		z.high ^= y.high & -bit
		z.low ^= y.low & -bit
		carry := y.low & 1
		y.low = y.low>>1 | y.high<<63
		y.high = y.high>>1 ^ 0xe1<<56&-carry
	}
	return z
}

// inverse is x to the power of 2^128-2.
func (x element) inverse() element {
	square := x.times(x)
	inv := square
	for range 126 {
		square = square.times(square)
		inv = inv.times(square)
	}
	return inv
}
