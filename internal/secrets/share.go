package secrets

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
)

// The field and layout of shares (CCF: src/crypto/sharing.h).
const (
	prime     = 1<<31 - 1
	limbs     = 10
	ShareSize = 4 * (limbs + 1) // bytes
)

// ErrShares says that shares do not make a key.
var ErrShares = errors.New("the recovery shares do not make a key")

// Share is a point on the polynomials that hide a wrapping key; x = 0 is the
// key itself, as recovery owners hold it.
type Share struct {
	x uint32
	y [limbs]uint32
}

// Bytes is the 44-byte form: x and the limbs, little-endian.
func (s Share) Bytes() []byte {
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, ShareSize), s.x)
	for _, y := range s.y {
		b = binary.LittleEndian.AppendUint32(b, y)
	}
	return b
}

// Format hides the share from every verb of package fmt.
func (s Share) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue hides the share.
func (s Share) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the share, and so does its JSON.
func (s Share) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// IsFull says whether the share is the whole key.
func (s Share) IsFull() bool { return s.x == 0 }

// ParseShare reads the 44-byte form. The error wraps ErrShares.
func ParseShare(b []byte) (Share, error) {
	if len(b) != ShareSize {
		return Share{}, fmt.Errorf("%w: a share is %d bytes, not %d", ErrShares, ShareSize, len(b))
	}
	s := Share{x: binary.LittleEndian.Uint32(b)}
	for i := range s.y {
		if s.y[i] = binary.LittleEndian.Uint32(b[4*(i+1):]); s.y[i] >= prime {
			return Share{}, fmt.Errorf("%w: a limb is out of range", ErrShares)
		}
	}
	return s, nil
}

// WrappingKey is a fresh key that wraps a ledger secret, split into shares.
type WrappingKey struct {
	Full   Share
	Shares []Share // x = 1, 2, …
	secret *Secret

	// wrapped and box are the secret that was wrapped and the result: with an
	// IV of zeros the key must not encrypt anything else.
	wrapped *Secret
	box     []byte
}

// NewWrappingKey makes a key that any threshold of count shares rebuild, for
// 1 <= threshold <= count.
func NewWrappingKey(threshold, count int) (*WrappingKey, error) {
	if threshold < 1 || threshold > count {
		return nil, fmt.Errorf("cannot split a key into %d shares of which %d rebuild it", count, threshold)
	}
	w := &WrappingKey{Shares: make([]Share, count)}
	for i := range w.Shares {
		w.Shares[i].x = uint32(i + 1)
	}
	coefficients := make([]uint64, threshold)
	for limb := range limbs {
		for i := range coefficients {
			c, err := randomElement()
			if err != nil {
				return nil, err
			}
			coefficients[i] = c
		}
		w.Full.y[limb] = uint32(coefficients[0])
		for i := range w.Shares {
			w.Shares[i].y[limb] = evaluate(coefficients, uint64(w.Shares[i].x))
		}
	}
	var err error
	w.secret, err = wrappingSecret(w.Full)
	return w, err
}

func randomElement() (uint64, error) {
	var b [8]byte
	for {
		if _, err := rand.Read(b[:]); err != nil {
			return 0, fmt.Errorf("make a wrapping key: %w", err)
		}
		if e := binary.LittleEndian.Uint64(b[:]) & prime; e != prime {
			return e, nil
		}
	}
}

func evaluate(coefficients []uint64, x uint64) uint32 {
	var y uint64
	for i := len(coefficients) - 1; i >= 0; i-- {
		y = (y*x + coefficients[i]) % prime
	}
	return uint32(y)
}

// wrappingSecret derives the wrapping key: HKDF-SHA256 with the limbs as key
// and, as CCF has it, again as info (CCF: src/crypto/sharing.cpp).
func wrappingSecret(full Share) (*Secret, error) {
	material := full.Bytes()[4:]
	key, err := hkdf.Key(sha256.New, material, nil, string(material), Size)
	if err != nil {
		return nil, fmt.Errorf("derive the wrapping key: %w", err)
	}
	return SecretFrom([Size]byte(key)), nil
}

// Wrap encrypts a ledger secret as tag, IV of zeros and ciphertext. The key
// can be used for one secret only: it panics when given another.
func (w *WrappingKey) Wrap(s *Secret) []byte {
	switch {
	case w.wrapped == nil:
		w.wrapped, w.box = s, w.secret.encrypt([IVSize]byte{}, s.raw[:])
	case !w.wrapped.Equal(s):
		panic("secrets: a wrapping key is used for a second secret")
	}
	return slices.Clone(w.box)
}

// Format hides the key from every verb of package fmt.
func (w *WrappingKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue hides the key.
func (w *WrappingKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// Combine rebuilds the full share from at least threshold shares, or from one
// that is full; further shares are ignored. The error wraps ErrShares.
func Combine(shares []Share, threshold int) (Share, error) {
	for _, s := range shares {
		if s.IsFull() {
			return s, nil
		}
	}
	if len(shares) < threshold || threshold < 1 {
		return Share{}, fmt.Errorf("%w: %d of %d", ErrShares, len(shares), threshold)
	}
	shares = shares[:threshold]
	var full Share
	for i, s := range shares {
		lambda := uint64(1)
		for j, o := range shares {
			if i == j {
				continue
			}
			if o.x == s.x {
				return Share{}, fmt.Errorf("%w: one is there twice", ErrShares)
			}
			difference := (uint64(o.x) + prime - uint64(s.x)%prime) % prime
			lambda = lambda * (uint64(o.x) % prime) % prime * inverse(difference) % prime
		}
		for limb := range limbs {
			full.y[limb] = uint32((uint64(full.y[limb]) + lambda*uint64(s.y[limb])) % prime)
		}
	}
	return full, nil
}

// inverse is a^(p-2) mod p.
func inverse(a uint64) uint64 {
	result := uint64(1)
	for e := uint64(prime - 2); e > 0; e >>= 1 {
		if e&1 == 1 {
			result = result * a % prime
		}
		a = a * a % prime
	}
	return result
}

// UnwrapWith decrypts a ledger secret that WrappingKey.Wrap made, with the
// full share. The error wraps ErrShares or ErrAuthentication.
func UnwrapWith(full Share, wrapped []byte) (*Secret, error) {
	key, err := wrappingSecret(full)
	if err != nil {
		return nil, err
	}
	return key.Unwrap(wrapped)
}
