package recovery

import (
	"errors"
	"fmt"

	"synod"
	"synod/internal/ledger"
	"synod/internal/machine"
	"synod/internal/secrets"
	"synod/internal/tables"
)

// Tx is what Secrets needs of a transaction.
type Tx interface {
	tables.Reader
	VersionOfPreviousWrite(mapName string, key []byte) (synod.SeqNo, bool)
}

// Secrets restores the ledger secrets from the latest one: each is stored in the
// ledger, encrypted with the one after it, and the newest such write is in the
// state. Where the ledger does not reach back to a write, as after a snapshot,
// the secrets before are not there.
func Secrets(latest *secrets.Secret, tx Tx, log *ledger.Log) (*secrets.Chain, error) {
	row, ok, err := tables.GetJSON[tables.EncryptedPastSecret](tx, tables.HistoricalLedgerSecret, tables.UnitKey())
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%w: the service has never stored one", secrets.ErrRestore)
	}
	at, _ := tx.VersionOfPreviousWrite(tables.HistoricalLedgerSecret, tables.UnitKey())
	return secrets.Restore(latest, secrets.Stored{At: at, Row: row}, func(seqno synod.SeqNo) (tables.EncryptedPastSecret, bool, error) {
		return pastSecret(log, seqno)
	})
}

// pastSecret reads the write of historical_encrypted_ledger_secret that the entry
// at seqno makes; false if the log does not hold the entry.
func pastSecret(log *ledger.Log, seqno synod.SeqNo) (row tables.EncryptedPastSecret, found bool, err error) {
	raw, err := log.Read(seqno, seqno, 0)
	if errors.Is(err, ledger.ErrNotFound) {
		return row, false, nil
	}
	if err != nil {
		return row, false, err
	}
	e, err := ledger.ParseEntry(raw[0])
	if err != nil {
		return row, false, err
	}
	row, found, err = machine.StoredSecret(e.PublicMaps)
	if err != nil {
		return row, false, fmt.Errorf("entry %s: %w", e.TxID, err)
	}
	if !found {
		return row, false, fmt.Errorf("%w: entry %s stores no secret", secrets.ErrRestore, e.TxID)
	}
	return row, true, nil
}
