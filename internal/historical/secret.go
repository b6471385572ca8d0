package historical

import (
	"errors"
	"fmt"
	"sync"

	"synod"
	"synod/internal/machine"
	"synod/internal/secrets"
	"synod/internal/tables"
)

// olderSecrets are the ledger secrets from before those that the node was
// given.
type olderSecrets struct {
	chain *secrets.Chain
	mu    sync.Mutex // held while they are looked for
}

// secretAt is the secret that seals an entry. One that the node does not know
// is looked for in the ledger.
func (h *History) secretAt(seqno synod.SeqNo) (*secrets.Secret, error) {
	if s, err := h.cfg.Secrets.At(seqno); err == nil {
		return s, nil
	}
	if s := h.olderSecret(seqno); s != nil {
		return s, nil
	}
	h.older.mu.Lock()
	defer h.older.mu.Unlock()
	for {
		if s := h.olderSecret(seqno); s != nil {
			return s, nil
		}
		if err := h.findOlderSecret(); err != nil {
			return nil, fmt.Errorf("find the ledger secret for entry %d: %w", seqno, err)
		}
	}
}

// olderSecret is one that was found before. The oldest that the node was given
// seals nothing below itself, so that the newest found one may be asked.
func (h *History) olderSecret(seqno synod.SeqNo) *secrets.Secret {
	s, err := h.older.chain.At(seqno)
	if err != nil {
		return nil
	}
	return s
}

// findOlderSecret walks one step back: the oldest secret that is known was
// brought into use by a transaction that holds its predecessor, encrypted with
// it (CCF: src/node/historical_queries.h, handle_encrypted_past_ledger_secret).
func (h *History) findOlderSecret() error {
	oldest, err := h.oldestSecret()
	if err != nil {
		return err
	}
	entries, err := h.entries(oldest.StoredAt, oldest.StoredAt)
	if err != nil {
		return err
	}
	row, found, err := machine.StoredSecret(entries[0].PublicMaps)
	if err != nil {
		return notBelieved(oldest.StoredAt, err)
	}
	if !found {
		return notBelieved(oldest.StoredAt, errors.New("it does not write "+tables.HistoricalLedgerSecret))
	}
	if row.PreviousLedgerSecret == nil || row.PreviousLedgerSecret.Version >= oldest.From {
		return notBelieved(oldest.StoredAt, errors.New("it holds no older ledger secret"))
	}
	secret, err := oldest.Secret.Unwrap(row.PreviousLedgerSecret.EncryptedData)
	if err != nil {
		return notBelieved(oldest.StoredAt, fmt.Errorf("the older ledger secret: %w", err))
	}
	older := secrets.Entry{From: row.PreviousLedgerSecret.Version, Secret: secret}
	if at := row.PreviousLedgerSecret.PreviousSecretStoredVersion; at != nil {
		older.StoredAt = synod.SeqNo(*at)
	}
	// The entry itself is sealed with one of the two.
	with := secret
	if oldest.StoredAt >= oldest.From {
		with = oldest.Secret
	}
	if _, err := openWith(with, entries[0]); err != nil {
		return notBelieved(oldest.StoredAt, err)
	}
	h.older.chain.Add(older)
	return nil
}

// oldestSecret is the oldest that is known, with the place where its
// predecessor is.
func (h *History) oldestSecret() (secrets.Entry, error) {
	known := h.older.chain.All()
	if len(known) == 0 {
		known = h.cfg.Secrets.All()
	}
	if len(known) == 0 {
		return secrets.Entry{}, secrets.ErrNoSecret
	}
	oldest := known[0]
	if info, _, err := h.serviceNow(); err != nil || info.Status == tables.ServiceOpen {
		if err != nil {
			return secrets.Entry{}, err
		}
		if oldest.StoredAt == 0 && len(known) == 1 && !h.cfg.Hidden() {
			// The newest of all: its place is the last write of the table, but not
			// before a recovery is complete: that write is the lost service's.
			tx := h.cfg.Store.Begin()
			defer tx.Release()
			if at, ok := tx.VersionOfPreviousWrite(tables.HistoricalLedgerSecret, tables.UnitKey()); ok {
				oldest.StoredAt = at
			}
		}
	}
	if oldest.StoredAt == 0 {
		return secrets.Entry{}, fmt.Errorf("%w before seqno %d, and no transaction is known that holds an older one", secrets.ErrNoSecret, oldest.From)
	}
	return oldest, nil
}
