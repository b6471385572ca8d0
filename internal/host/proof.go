package host

import (
	"encoding/hex"
	"encoding/json"
	"fmt"

	"synod"
	"synod/app"
	"synod/internal/consensus"
	"synod/internal/ledger"
	"synod/receipt"
)

// Proof returns what proves a committed transaction. See app.Node.
func (h *Host) Proof(id synod.TxID) (*app.Proof, error) {
	s, err := h.Past.State(id)
	if err != nil {
		if h.Replica.Status(id) == synod.TxPending {
			h.Replica.Interest()
		}
		return nil, err
	}
	return s.Proof()
}

// Receipt makes the JSON receipt of a committed transaction. Without a proof
// from consensus it is read from the ledger.
func (h *Host) Receipt(id synod.TxID, proof *consensus.Proof) ([]byte, error) {
	if proof == nil || proof.Path == nil {
		p, err := h.Proof(id)
		if err != nil {
			return nil, err
		}
		return p.Receipt, nil
	}
	leaf, err := h.leaf(id)
	if err != nil {
		return nil, err
	}
	record := &proof.Signature.Record
	sig := receipt.Signature{Sig: record.Sig, Cert: record.Cert, NodeID: record.Node}
	root, err := hex.DecodeString(record.Root)
	copy(sig.Root[:], root)
	if err != nil {
		return nil, fmt.Errorf("root of the signature at %s: %w", proof.Signature.TxID, err)
	}
	return json.Marshal(receipt.New(sig, leaf, proof.Path))
}

func (h *Host) leaf(id synod.TxID) (receipt.LeafComponents, error) {
	raw, err := h.Replica.Entry(id.SeqNo)
	if err != nil {
		return receipt.LeafComponents{}, fmt.Errorf("read ledger entry %d: %w", id.SeqNo, err)
	}
	entry, err := ledger.ParseEntry(raw)
	if err != nil {
		return receipt.LeafComponents{}, err
	}
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
