package host

import (
	"encoding/hex"
	"encoding/json"
	"fmt"

	"synod"
	"synod/app"
	"synod/internal/consensus"
	"synod/internal/cose"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/merkle"
	"synod/internal/tables"
	"synod/receipt"
)

// signed is what a signature transaction holds.
type signed struct {
	record tables.SignatureRecord
	cose   []byte
	tree   []byte
}

func (s *signed) parts() receipt.Signature {
	root, _ := hex.DecodeString(s.record.Root)
	sig := receipt.Signature{Sig: s.record.Sig, Cert: s.record.Cert, NodeID: s.record.Node}
	copy(sig.Root[:], root)
	return sig
}

// Proof returns what proves a committed transaction.
func (h *Host) Proof(id synod.TxID) (*app.Proof, error) {
	switch status := h.Status(id); status {
	case synod.TxCommitted:
	case synod.TxInvalid:
		return nil, synod.Errorf(404, synod.CodeTransactionInvalid, "Transaction %s is invalid.", id)
	default:
		return nil, synod.Errorf(404, synod.CodeTransactionPendingOrUnknown, "Transaction %s is not available. Its status is %s.", id, status)
	}
	entry, sig, err := h.read(id.SeqNo)
	if err != nil {
		return nil, err
	}
	if sig != nil {
		body, err := json.Marshal(receipt.NewForSignature(sig.parts()))
		return &app.Proof{Receipt: body, COSESignature: sig.cose}, err
	}
	sig, path, err := h.covering(id.SeqNo)
	if err != nil {
		return nil, err
	}
	leaf, err := h.leaf(id, entry)
	if err != nil {
		return nil, err
	}
	inclusion := cose.InclusionProof{
		WriteSetDigest: leaf.WriteSetDigest, CommitEvidence: leaf.CommitEvidence, ClaimsDigest: leaf.ClaimsDigest, Path: path,
	}
	p := &app.Proof{MerkleProof: inclusion.Encode(), COSESignature: sig.cose}
	if p.Receipt, err = json.Marshal(receipt.New(sig.parts(), leaf, path)); err != nil {
		return nil, err
	}
	p.COSEReceipt, err = cose.Receipt(sig.cose, inclusion)
	return p, err
}

// Receipt makes the JSON receipt of a committed transaction. Without a proof
// from consensus, the signature that covers it is read from the ledger.
func (h *Host) Receipt(id synod.TxID, proof *consensus.Proof) ([]byte, error) {
	if proof == nil || proof.Path == nil {
		p, err := h.Proof(id)
		if err != nil {
			return nil, err
		}
		return p.Receipt, nil
	}
	entry, _, err := h.read(id.SeqNo)
	if err != nil {
		return nil, err
	}
	leaf, err := h.leaf(id, entry)
	if err != nil {
		return nil, err
	}
	sig := signed{record: proof.Signature.Record}
	return json.Marshal(receipt.New(sig.parts(), leaf, proof.Path))
}

func (h *Host) leaf(id synod.TxID, entry *ledger.Entry) (receipt.LeafComponents, error) {
	secret, err := h.Secrets.At(id.SeqNo)
	if err != nil {
		return receipt.LeafComponents{}, fmt.Errorf("receipt of %s: %w", id, err)
	}
	return receipt.LeafComponents{
		WriteSetDigest: entry.WriteSetDigest(),
		CommitEvidence: string(secret.CommitEvidence(nil, id)),
		ClaimsDigest:   entry.Claims,
	}, nil
}

// covering reads the first signature after an entry, whose tree still has the
// entry's leaf.
func (h *Host) covering(seqno synod.SeqNo) (*signed, merkle.Path, error) {
	at, ok := h.Replica.SignatureAfter(seqno)
	if !ok {
		return nil, nil, fmt.Errorf("no committed signature covers seqno %d", seqno)
	}
	_, sig, err := h.read(at)
	if err != nil {
		return nil, nil, err
	}
	if sig == nil {
		return nil, nil, fmt.Errorf("entry %d is not the signature that it was", at)
	}
	t, err := merkle.Deserialise(sig.tree)
	if err != nil {
		return nil, nil, fmt.Errorf("tree in the signature at %d: %w", at, err)
	}
	path, err := t.Path(uint64(seqno), uint64(at-1))
	if err != nil {
		return nil, nil, fmt.Errorf("path of %d under the signature at %d: %w", seqno, at, err)
	}
	return sig, path, nil
}

// read returns an entry, and what it signs if it is a signature.
func (h *Host) read(seqno synod.SeqNo) (*ledger.Entry, *signed, error) {
	raw, err := h.Replica.Entry(seqno)
	if err != nil {
		return nil, nil, fmt.Errorf("read ledger entry %d: %w", seqno, err)
	}
	e, err := ledger.ParseEntry(raw)
	if err != nil || !e.IsSignature() {
		return e, nil, err
	}
	maps, err := kv.DecodeDomain(e.PublicMaps, true)
	if err != nil {
		return nil, nil, fmt.Errorf("signature at %s: %w", e.TxID, err)
	}
	sig := &signed{}
	for _, m := range maps {
		for _, w := range m.Writes {
			switch m.Name {
			case tables.Signatures:
				err = json.Unmarshal(w.Value, &sig.record)
			case tables.COSESignatures:
				err = json.Unmarshal(w.Value, &sig.cose)
			case tables.Tree:
				sig.tree = w.Value
			}
			if err != nil {
				return nil, nil, fmt.Errorf("signature at %s: %w", e.TxID, err)
			}
		}
	}
	return e, sig, nil
}
