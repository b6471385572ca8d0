package node

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	"synod"
	"synod/internal/consensus"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/merkle"
	"synod/internal/tables"
	"synod/receipt"
)

func seqnoText(s synod.SeqNo) string { return strconv.FormatUint(uint64(s), 10) }

// receipt makes the JSON receipt of a committed transaction. Without a proof,
// the signature that covers it is read from the ledger.
func (n *Node) receipt(id synod.TxID, proof *consensus.Proof) ([]byte, error) {
	entry, err := n.entry(id.SeqNo)
	if err != nil {
		return nil, err
	}
	if record, _, err := signatureOf(entry); err != nil {
		return nil, err
	} else if record != nil {
		return marshalReceipt(receipt.NewForSignature(signatureParts(record)))
	}
	record, path := (*tables.SignatureRecord)(nil), merkle.Path(nil)
	if proof != nil && proof.Path != nil {
		record, path = &proof.Signature.Record, proof.Path
	} else if record, path, err = n.coveringSignature(id.SeqNo); err != nil {
		return nil, err
	}
	secret, err := n.secrets.At(id.SeqNo)
	if err != nil {
		return nil, fmt.Errorf("receipt of %s: %w", id, err)
	}
	return marshalReceipt(receipt.New(signatureParts(record), receipt.LeafComponents{
		WriteSetDigest: entry.WriteSetDigest(),
		CommitEvidence: string(secret.CommitEvidence(nil, id)),
		ClaimsDigest:   entry.Claims,
	}, path))
}

func marshalReceipt(r *receipt.Receipt) ([]byte, error) { return json.Marshal(r) }

func signatureParts(r *tables.SignatureRecord) receipt.Signature {
	root, _ := hex.DecodeString(r.Root)
	s := receipt.Signature{Sig: r.Sig, Cert: r.Cert, NodeID: r.Node}
	copy(s.Root[:], root)
	return s
}

// coveringSignature reads the first signature after an entry, whose tree still
// has the entry's leaf.
func (n *Node) coveringSignature(seqno synod.SeqNo) (*tables.SignatureRecord, merkle.Path, error) {
	at, ok := n.replica.SignatureAfter(seqno)
	if !ok {
		return nil, nil, fmt.Errorf("no committed signature covers seqno %d", seqno)
	}
	entry, err := n.entry(at)
	if err != nil {
		return nil, nil, err
	}
	record, tree, err := signatureOf(entry)
	if err != nil {
		return nil, nil, err
	}
	if record == nil {
		return nil, nil, fmt.Errorf("entry %d is not the signature that it was", at)
	}
	t, err := merkle.Deserialise(tree)
	if err != nil {
		return nil, nil, fmt.Errorf("tree in the signature at %d: %w", at, err)
	}
	path, err := t.Path(uint64(seqno), uint64(at-1))
	if err != nil {
		return nil, nil, fmt.Errorf("path of %d under the signature at %d: %w", seqno, at, err)
	}
	return record, path, nil
}

func (n *Node) entry(seqno synod.SeqNo) (*ledger.Entry, error) {
	raw, err := n.replica.Entry(seqno)
	if err != nil {
		return nil, fmt.Errorf("read ledger entry %d: %w", seqno, err)
	}
	return ledger.ParseEntry(raw)
}

// signatureOf returns the signature and the serialised tree that an entry
// holds, or nil if it is not a signature.
func signatureOf(e *ledger.Entry) (*tables.SignatureRecord, []byte, error) {
	if !e.IsSignature() {
		return nil, nil, nil
	}
	maps, err := kv.DecodeDomain(e.PublicMaps, true)
	if err != nil {
		return nil, nil, fmt.Errorf("signature at %s: %w", e.TxID, err)
	}
	var record *tables.SignatureRecord
	var tree []byte
	for _, m := range maps {
		for _, w := range m.Writes {
			switch m.Name {
			case tables.Signatures:
				record = &tables.SignatureRecord{}
				if err := json.Unmarshal(w.Value, record); err != nil {
					return nil, nil, fmt.Errorf("signature at %s: %w", e.TxID, err)
				}
			case tables.Tree:
				tree = w.Value
			}
		}
	}
	return record, tree, nil
}
