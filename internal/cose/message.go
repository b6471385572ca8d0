package cose

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"math/big"
)

// Errors of Verify.
var (
	ErrAlgorithm = errors.New("cose: algorithm does not fit the key")
	ErrSignature = errors.New("cose: bad signature")
	ErrPayload   = errors.New("cose: payload given for an attached one or missing for a detached one")
)

// Labels of header parameters (RFC 9052 §3.1, RFC 9597, RFC 9942).
const (
	labelAlg  = int64(1)
	labelCrit = int64(2)
	labelKID  = int64(4)
	labelCWT  = int64(15)
	labelVDS  = int64(395) // verifiable data structure
	labelVDP  = int64(396) // verifiable data proofs
	labelCCF  = "ccf.v1"
)

const (
	tagSign1 = 18

	// headerMax bounds each header of a message, in bytes.
	headerMax = 64 << 10
)

// Message is a COSE_Sign1 message. Its byte strings alias what was parsed.
type Message struct {
	Protected   []byte      // the protected header as received, the content of its byte string
	Alg         int64       // 0 if there is none
	KID         []byte      // nil if there is none
	Header      map[any]any // Protected, decoded: keys are int64 or string; see Parse
	Unprotected map[any]any
	Payload     []byte // empty if Detached
	Detached    bool   // the payload is null
	Signature   []byte // r ‖ s
}

// Parse reads exactly one tagged COSE_Sign1 message. Every error wraps
// ErrMalformed. Header values are int64 (uint64 above its range), []byte,
// string, []any, map[any]any, bool, Date or nil. Messages with critical headers
// (label 2) are refused: none is known here.
func Parse(b []byte) (*Message, error) {
	r := reader{b}
	tag, err := r.expect(majorTag, "message")
	if err != nil {
		return nil, err
	}
	if tag != tagSign1 {
		return nil, malformed("tag %d is not COSE_Sign1", tag)
	}
	n, err := r.expect(majorArray, "COSE_Sign1")
	if err != nil {
		return nil, err
	}
	if n != 4 {
		return nil, malformed("COSE_Sign1 of %d items", n)
	}
	m := &Message{}
	if m.Protected, err = r.bytes("protected header"); err != nil {
		return nil, err
	}
	if err := m.parseProtected(); err != nil {
		return nil, err
	}
	if m.Unprotected, err = r.unprotected(); err != nil {
		return nil, err
	}
	if len(r.b) > 0 && r.b[0] == cborNull {
		m.Detached, r.b = true, r.b[1:]
	} else if m.Payload, err = r.bytes("payload"); err != nil {
		return nil, err
	}
	if m.Signature, err = r.bytes("signature"); err != nil {
		return nil, err
	}
	return m, r.end()
}

// unprotected reads a map from at most headerMax bytes, so that what it decodes
// to stays small whatever the message's size.
func (r *reader) unprotected() (map[any]any, error) {
	bounded := reader{r.b[:min(len(r.b), headerMax)]}
	before := len(bounded.b)
	n, err := bounded.expect(majorMap, "unprotected header")
	if err != nil {
		return nil, err
	}
	m, err := bounded.mapOf(n, 0)
	if err != nil {
		return nil, fmt.Errorf("unprotected header: %w", err)
	}
	r.b = r.b[before-len(bounded.b):]
	return m, nil
}

func (m *Message) parseProtected() error {
	m.Header = map[any]any{}
	if len(m.Protected) == 0 {
		return nil // an empty map may be encoded as an empty string
	}
	var err error
	if m.Header, err = header(m.Protected, "protected header"); err != nil {
		return err
	}
	if _, ok := m.Header[labelCrit]; ok {
		return malformed("critical headers are not supported")
	}
	if m.Alg, _, err = field[int64](m.Header, labelAlg); err != nil {
		return err
	}
	m.KID, _, err = field[[]byte](m.Header, labelKID)
	return err
}

// Text returns the text of a protected header with a text label, and whether
// it is there. A value of another type is an error that wraps ErrMalformed.
func (m *Message) Text(label string) (string, bool, error) { return field[string](m.Header, label) }

// Uint returns the number of a protected header with a text label, from 0 to
// 2^63-1, and whether it is there. A value of another type or below 0 is an
// error that wraps ErrMalformed.
func (m *Message) Uint(label string) (uint64, bool, error) {
	v, ok, err := field[int64](m.Header, label)
	if err == nil && v < 0 {
		err = malformed("header %s is negative", label)
	}
	return uint64(max(v, 0)), ok, err
}

// Verify checks the signature with a key, over the protected header as it was
// received. detachedPayload is the payload if the message has none itself, and
// must be nil otherwise. The error is ErrAlgorithm, ErrPayload or ErrSignature.
func (m *Message) Verify(pub *ecdsa.PublicKey, detachedPayload []byte) error {
	a, err := algorithmOf(pub)
	if err != nil {
		return err
	}
	if a.id != m.Alg {
		return fmt.Errorf("%w: %d with a key for %d", ErrAlgorithm, m.Alg, a.id)
	}
	payload := m.Payload
	if m.Detached {
		payload = detachedPayload
	}
	if m.Detached == (detachedPayload == nil) {
		return ErrPayload
	}
	if len(m.Signature) != 2*a.size {
		return fmt.Errorf("%w: %d bytes, want %d", ErrSignature, len(m.Signature), 2*a.size)
	}
	r := new(big.Int).SetBytes(m.Signature[:a.size])
	s := new(big.Int).SetBytes(m.Signature[a.size:])
	if !ecdsa.Verify(pub, a.digest(m.Protected, payload), r, s) {
		return ErrSignature
	}
	return nil
}

// ToBeSigned are the bytes that the signature of a message with its payload is
// over (RFC 9052 §4.4), for algorithms that Verify does not know.
func (m *Message) ToBeSigned() []byte {
	return append(sigStructure(m.Protected, len(m.Payload)), m.Payload...)
}
