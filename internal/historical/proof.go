package historical

import (
	"encoding/json"
	"fmt"

	"synod/app"
	"synod/internal/cose"
	"synod/receipt"
)

// prove makes what proves a transaction to those who trust the service as it
// is now.
func (h *History) prove(s *state) (*app.Proof, error) {
	proof, err := h.proofOf(s)
	if err != nil {
		return nil, fmt.Errorf("proof of transaction %s: %w", s.id, err)
	}
	return proof, nil
}

func (h *History) proofOf(s *state) (*app.Proof, error) {
	r := s.receipt()
	var err error
	if r.ServiceEndorsements, err = h.endorsedSince(r.Cert, s.id.SeqNo); err != nil {
		return nil, err
	}
	p := &app.Proof{COSESignature: s.signed.cose}
	if p.Receipt, err = json.Marshal(r); err != nil {
		return nil, err
	}
	if p.COSEEndorsements, err = h.coseEndorsedSince(s.id.SeqNo); err != nil {
		return nil, err
	}
	if s.signature || s.components.CommitEvidence == "" {
		return p, nil
	}
	inclusion := cose.InclusionProof{
		WriteSetDigest: s.components.WriteSetDigest, CommitEvidence: s.components.CommitEvidence,
		ClaimsDigest: s.components.ClaimsDigest, Path: s.path,
	}
	p.MerkleProof = inclusion.Encode()
	if s.signed.cose != nil {
		p.COSEReceipt, err = cose.Receipt(s.signed.cose, inclusion)
	}
	return p, err
}

// receipt is the JSON receipt without endorsements of older identities
// (CCF: src/node/historical_queries_adapter.cpp, describe_receipt_v1).
func (s *state) receipt() *receipt.Receipt {
	switch {
	case s.signature:
		return receipt.NewForSignature(s.signed.parts())
	case s.components.CommitEvidence == "": // before 2.0
		r := receipt.New(s.signed.parts(), s.components, s.path)
		r.Leaf, r.LeafComponents = &s.components.WriteSetDigest, nil
		return r
	default:
		return receipt.New(s.signed.parts(), s.components, s.path)
	}
}
