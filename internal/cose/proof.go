package cose

import (
	"crypto/sha256"
	"fmt"
	"unicode/utf8"

	"synod/internal/merkle"
)

const (
	// evidenceMax bounds the commit evidence in a proof, in bytes
	// (CCF: cddl/ccf-merkle-tree-cose-receipt.cddl).
	evidenceMax = 1024

	// pathMax bounds a proof's path, in steps: a tree of 2^64 leaves is no
	// higher.
	pathMax = 64

	proofLeaf = 1
	proofPath = 2

	inclusionProofs = int64(-1)
)

// InclusionProof shows that an entry is under a root.
type InclusionProof struct {
	WriteSetDigest [32]byte
	CommitEvidence string // "ce:<view>.<seqno>:<hex>", 1 to 1024 bytes
	ClaimsDigest   [32]byte
	Path           merkle.Path // at least one step
}

// Leaf returns the entry's leaf.
func (p InclusionProof) Leaf() merkle.Hash {
	evidence := sha256.Sum256([]byte(p.CommitEvidence))
	b := make([]byte, 0, 96)
	b = append(b, p.WriteSetDigest[:]...)
	b = append(b, evidence[:]...)
	return sha256.Sum256(append(b, p.ClaimsDigest[:]...))
}

// Root returns the root that the proof leads to.
func (p InclusionProof) Root() merkle.Hash { return p.Path.Root(p.Leaf()) }

// Encode writes the proof as CBOR (CCF: src/node/historical_queries_adapter.cpp).
func (p InclusionProof) Encode() []byte {
	b := make([]byte, 0, 256+36*len(p.Path))
	b = appendMap(b, 2)
	b = appendInt(b, proofLeaf)
	b = appendArray(b, 3)
	b = appendBytes(b, p.WriteSetDigest[:])
	b = appendText(b, p.CommitEvidence)
	b = appendBytes(b, p.ClaimsDigest[:])
	b = appendInt(b, proofPath)
	b = appendArray(b, len(p.Path))
	for _, s := range p.Path {
		b = appendArray(b, 2)
		b = appendBool(b, s.Left)
		b = appendBytes(b, s.Hash[:])
	}
	return b
}

// ParseInclusionProof reads exactly what Encode writes. Errors wrap
// ErrMalformed.
func ParseInclusionProof(b []byte) (InclusionProof, error) {
	p, err := parseInclusionProof(&reader{b})
	if err != nil {
		return InclusionProof{}, fmt.Errorf("inclusion proof: %w", err)
	}
	return p, nil
}

func parseInclusionProof(r *reader) (p InclusionProof, err error) {
	if err := r.count(majorMap, 2, "proof"); err != nil {
		return p, err
	}
	if err := r.key(proofLeaf); err != nil {
		return p, err
	}
	if err := r.count(majorArray, 3, "leaf"); err != nil {
		return p, err
	}
	if p.WriteSetDigest, err = r.hash("write set digest"); err != nil {
		return p, err
	}
	if p.CommitEvidence, err = r.evidence(); err != nil {
		return p, err
	}
	if p.ClaimsDigest, err = r.hash("claims digest"); err != nil {
		return p, err
	}
	if err := r.key(proofPath); err != nil {
		return p, err
	}
	steps, err := r.expect(majorArray, "path")
	if err != nil {
		return p, err
	}
	if steps == 0 || steps > pathMax {
		return p, malformed("path of %d steps", steps)
	}
	p.Path = make(merkle.Path, steps)
	for i := range p.Path {
		if err := r.count(majorArray, 2, "step"); err != nil {
			return p, err
		}
		if p.Path[i].Left, err = r.bool("side"); err != nil {
			return p, err
		}
		if p.Path[i].Hash, err = r.hash("sibling"); err != nil {
			return p, err
		}
	}
	return p, r.end()
}

func (r *reader) count(major byte, want uint64, what string) error {
	n, err := r.expect(major, what)
	if err == nil && n != want {
		err = malformed("%s of %d items, want %d", what, n, want)
	}
	return err
}

func (r *reader) key(want uint64) error {
	got, err := r.expect(majorUint, "key")
	if err == nil && got != want {
		err = malformed("key %d, want %d", got, want)
	}
	return err
}

func (r *reader) hash(what string) (h merkle.Hash, err error) {
	b, err := r.bytes(what)
	if err == nil && len(b) != len(h) {
		err = malformed("%s of %d bytes", what, len(b))
	}
	copy(h[:], b)
	return h, err
}

func (r *reader) evidence() (string, error) {
	n, err := r.expect(majorText, "commit evidence")
	if err != nil {
		return "", err
	}
	if n == 0 || n > evidenceMax {
		return "", malformed("commit evidence of %d bytes", n)
	}
	b, err := r.take(n)
	if err == nil && !utf8.Valid(b) {
		err = malformed("commit evidence is not UTF-8")
	}
	return string(b), err
}

func (r *reader) bool(what string) (bool, error) {
	n, err := r.expect(majorSimple, what)
	if err == nil && n != 20 && n != 21 {
		err = malformed("%s is no boolean", what)
	}
	return n == 21, err
}

// Receipt makes a COSE receipt: the service's signature over the root with the
// proof in its unprotected header. Protected header, payload and signature are
// copied as they are (CCF: src/crypto/cose.cpp).
func Receipt(ledgerSignature []byte, proof InclusionProof) ([]byte, error) {
	_, m, err := ParseLedgerSignature(ledgerSignature)
	if err != nil {
		return nil, err
	}
	encoded := proof.Encode()
	u := appendMap(make([]byte, 0, len(encoded)+16), 1)
	u = appendInt(u, labelVDP)
	u = appendMap(u, 1)
	u = appendInt(u, inclusionProofs)
	u = appendArray(u, 1)
	u = appendBytes(u, encoded)
	return appendMessage(make([]byte, 0, len(ledgerSignature)+len(u)), m.Protected, u, nil, m.Signature), nil
}

// InclusionProofs returns the proofs in a receipt's unprotected header, at
// least one. Errors wrap ErrMalformed.
func (m *Message) InclusionProofs() ([]InclusionProof, error) {
	vdp, err := need[map[any]any](m.Unprotected, labelVDP)
	if err != nil {
		return nil, err
	}
	list, err := need[[]any](vdp, inclusionProofs)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, malformed("no inclusion proof")
	}
	out := make([]InclusionProof, len(list))
	for i, v := range list {
		b, ok := v.([]byte)
		if !ok {
			return nil, malformed("inclusion proof is a %T, want a byte string", v)
		}
		if out[i], err = ParseInclusionProof(b); err != nil {
			return nil, err
		}
	}
	return out, nil
}
