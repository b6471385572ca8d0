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

// Next is the first seqno that the secret of this write seals.
func (s Stored) Next() synod.SeqNo {
	if s.Row.NextVersion != nil {
		return synod.SeqNo(*s.Row.NextVersion)
	}
	return s.At + 1
}

// Previous opens the secret that a write holds, with the secret that came into
// service with the write. It is false if the write holds none: that of a
// service's first secret. The error wraps ErrAuthentication.
func (s Stored) Previous(successor *Secret) (Entry, bool, error) {
	previous := s.Row.PreviousLedgerSecret
	if previous == nil {
		return Entry{}, false, nil
	}
	secret, err := successor.Unwrap(previous.EncryptedData)
	if err != nil {
		return Entry{}, false, fmt.Errorf("secret for %d, stored at %d: %w", previous.Version, s.At, err)
	}
	e := Entry{From: previous.Version, Secret: secret}
	if previous.PreviousSecretStoredVersion != nil {
		e.StoredAt = synod.SeqNo(*previous.PreviousSecretStoredVersion)
	}
	return e, true, nil
}

// Restore rebuilds the chain from its latest secret and the last write of
// historical_encrypted_ledger_secret, walking backwards: each write holds the
// secret before, encrypted with the one after it, and says where that came into
// service (CCF: src/node/share_manager.h). read fetches the write at a seqno,
// false if it is not there, as where a ledger begins after a snapshot: then the
// secrets before are missing. Its errors are returned; else the error wraps
// ErrRestore or ErrAuthentication.
//
// What read returns may be anything: encryption protects the secrets, not where
// they come into service. None can take the place of one after it, so that the
// entries to come are sealed with the latest whatever a host's files say.
func Restore(latest *Secret, last Stored, read func(synod.SeqNo) (tables.EncryptedPastSecret, bool, error)) (*Chain, error) {
	c := NewChain()
	c.Add(Entry{From: last.Next(), Secret: latest, StoredAt: last.At})
	known := map[synod.SeqNo]bool{last.Next(): true}
	current, at, oldest := latest, last, last.Next()
	for {
		previous := at.Row.PreviousLedgerSecret
		if previous == nil {
			return c, nil
		}
		if !known[previous.Version] { // a service that was opened twice has stored it twice
			e, _, err := at.Previous(current)
			if err != nil {
				return nil, err
			}
			if e.From == 0 || e.From >= oldest {
				return nil, fmt.Errorf("%w: the write at %d holds a secret for %d, which is not before %d", ErrRestore, at.At, e.From, oldest)
			}
			c.Add(e)
			known[e.From] = true
			current, oldest = e.Secret, e.From
		}
		if previous.PreviousSecretStoredVersion == nil {
			return c, nil
		}
		stored := synod.SeqNo(*previous.PreviousSecretStoredVersion)
		if stored >= at.At {
			return nil, fmt.Errorf("%w: the write at %d points to %d", ErrRestore, at.At, stored)
		}
		row, found, err := read(stored)
		if err != nil || !found {
			return c, err
		}
		at = Stored{At: stored, Row: row}
	}
}
