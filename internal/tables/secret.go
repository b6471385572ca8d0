package tables

import "synod"

// EncryptedLedgerSecret is a ledger secret wrapped for one node
// (CCF: src/service/tables/secrets.h). A nil Version, written as null, means
// the seqno after the entry that holds it.
type EncryptedLedgerSecret struct {
	EncryptedSecret             Bytes   `json:"encrypted_secret"`
	PreviousSecretStoredVersion *uint64 `json:"previous_secret_stored_version,omitempty"`
	Version                     *uint64 `json:"version"`
}

// LedgerSecretsForNodes is the row of EncryptedLedgerSecrets.
type LedgerSecretsForNodes map[synod.NodeID][]EncryptedLedgerSecret

// EncryptedPastSecret is the row of HistoricalLedgerSecret
// (CCF: src/service/tables/shares.h, EncryptedLedgerSecretInfo). Without
// NextVersion the secret that follows is valid from the seqno after this
// write.
type EncryptedPastSecret struct {
	NextVersion          *uint64         `json:"next_version,omitempty"`
	PreviousLedgerSecret *PreviousSecret `json:"previous_ledger_secret,omitempty"`
}

// PreviousSecret is a ledger secret encrypted with its successor.
type PreviousSecret struct {
	EncryptedData               Bytes       `json:"encrypted_data"`
	PreviousSecretStoredVersion *uint64     `json:"previous_secret_stored_version,omitempty"`
	Version                     synod.SeqNo `json:"version"` // first seqno that it encrypts
}

// RecoveryShares is the row of Shares
// (CCF: src/service/tables/shares.h, RecoverySharesInfo).
type RecoveryShares struct {
	EncryptedShares             map[synod.MemberID]Bytes `json:"encrypted_shares"`
	PreviousSecretStoredVersion *uint64                  `json:"previous_secret_stored_version,omitempty"`
	WrappedLatestLedgerSecret   Bytes                    `json:"wrapped_latest_ledger_secret"`
}

// MarshalJSON writes no shares as {}.
func (r RecoveryShares) MarshalJSON() ([]byte, error) {
	type plain RecoveryShares
	if r.EncryptedShares == nil {
		r.EncryptedShares = map[synod.MemberID]Bytes{}
	}
	return Marshal(plain(r))
}
