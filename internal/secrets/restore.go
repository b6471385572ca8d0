package secrets

import (
	"errors"
	"fmt"

	"synod"
	"synod/internal/tables"
)

// ErrRestore says that the past secrets do not follow from the latest one.
var ErrRestore = errors.New("the ledger secrets do not form a chain")

// Stored is one write of historical_encrypted_ledger_secret.
type Stored struct {
	At  synod.SeqNo // of the write
	Row tables.EncryptedPastSecret
}

// next is the first seqno that the secret of this write seals.
func (s Stored) next() synod.SeqNo {
	if s.Row.NextVersion != nil {
		return synod.SeqNo(*s.Row.NextVersion)
	}
	return s.At + 1
}

// Restore rebuilds the chain from its latest secret and the writes of
// historical_encrypted_ledger_secret in ledger order, walking backwards: each
// holds the secret before, encrypted with the one after it
// (CCF: src/node/share_manager.h). It stops at the write that holds none. If
// the first writes are missing, as with a snapshot, so are their secrets. The
// error wraps ErrRestore or ErrAuthentication.
func Restore(latest *Secret, writes []Stored) (*Chain, error) {
	if len(writes) == 0 {
		return nil, fmt.Errorf("%w: no past secret is stored", ErrRestore)
	}
	last := writes[len(writes)-1]
	c := NewChain()
	c.Add(Entry{From: last.next(), Secret: latest, StoredAt: last.At})
	known := map[synod.SeqNo]bool{last.next(): true}
	current := latest
	for i := len(writes) - 1; i >= 0; i-- {
		previous := writes[i].Row.PreviousLedgerSecret
		if previous == nil {
			break
		}
		if known[previous.Version] {
			continue // a service that was opened twice has stored it twice
		}
		secret, err := current.Unwrap(previous.EncryptedData)
		if err != nil {
			return nil, fmt.Errorf("secret for %d, stored at %d: %w", previous.Version, writes[i].At, err)
		}
		e := Entry{From: previous.Version, Secret: secret}
		if previous.PreviousSecretStoredVersion != nil {
			e.StoredAt = synod.SeqNo(*previous.PreviousSecretStoredVersion)
		}
		c.Add(e)
		known[previous.Version] = true
		current = secret
	}
	return c, nil
}
