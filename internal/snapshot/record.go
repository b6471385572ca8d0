package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"synod"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/secrets"
	"synod/internal/tables"
	"synod/receipt"
)

// Record is what the evidence transaction of a snapshot writes, this and
// nothing else. Its claims digest must be e.Digest.
func (e Entry) Record() (*kv.WriteSet, error) {
	row, err := json.Marshal(tables.SnapshotEvidence{Hash: hex.EncodeToString(e.Digest[:]), Version: e.SeqNo})
	if err != nil {
		return nil, fmt.Errorf("record of the snapshot at %d: %w", e.SeqNo, err)
	}
	return &kv.WriteSet{Maps: []kv.MapWrites{{
		Name: tables.Snapshots, Writes: []kv.Write{{Key: tables.UnitKey(), Value: row}},
	}}}, nil
}

// rebuilt checks without the ledger that the transaction of a receipt records
// a snapshot. An application may let its users choose what it claims, so that
// claims alone prove nothing; but the entry of a record follows, but for its
// flags, from what is known with the ledger secrets, so it can be made again.
func rebuilt(chain *secrets.Chain, proved receipt.Result, e Entry) error {
	secret, err := chain.At(proved.TxID.SeqNo)
	if err != nil {
		return err
	}
	ws, err := e.Record()
	if err != nil {
		return err
	}
	commitEvidence := sha256.Sum256(secret.CommitEvidence(nil, proved.TxID))
	public := ledger.AppendPublicHeader(nil, proved.TxID.SeqNo, e.Digest, commitEvidence)
	public = kv.AppendDomain(public, ws, true)
	iv := ledger.IV(proved.TxID)
	tag := secret.SealInPlace(iv, make([]byte, 0, secrets.TagSize), public)
	for flags := range byte(ledger.FlagForceChunkAfter|ledger.FlagForceChunkBefore) + 1 {
		if sha256.Sum256(ledger.Build(flags, tag, iv, public, nil)) == proved.WriteSetDigest {
			return nil
		}
	}
	return fmt.Errorf("transaction %s does something else than to record the snapshot", proved.TxID)
}

// evident checks that the entry of a receipt records the snapshot at seqno.
func evident(raw []byte, proved receipt.Result, seqno synod.SeqNo) error {
	if sha256.Sum256(raw) != proved.WriteSetDigest {
		return errors.New("the ledger's entry is not the one of the receipt")
	}
	e, err := ledger.ParseEntry(raw)
	if err != nil {
		return err
	}
	maps, err := kv.DecodeDomain(e.PublicMaps, true)
	if err != nil {
		return err
	}
	for _, m := range maps {
		if m.Name != tables.Snapshots || len(m.Writes) != 1 {
			continue
		}
		var row tables.SnapshotEvidence
		if err := json.Unmarshal(m.Writes[0].Value, &row); err != nil {
			return fmt.Errorf("record of transaction %s: %w", e.TxID, err)
		}
		if row.Hash != hex.EncodeToString(proved.ClaimsDigest[:]) || row.Version != seqno {
			return fmt.Errorf("transaction %s records the snapshot at %d", e.TxID, row.Version)
		}
		return nil
	}
	return fmt.Errorf("transaction %s records no snapshot", e.TxID)
}
