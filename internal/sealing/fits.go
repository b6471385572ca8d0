package sealing

import (
	"errors"
	"fmt"
	"slices"

	"synod"
	"synod/internal/identity"
	"synod/internal/secrets"
	"synod/internal/tables"
)

// ErrNotAllowed says that members do not allow a service to come back from what
// is sealed.
var ErrNotAllowed = errors.New("members do not allow sealed resume")

// Allowed says where members have allowed nodes to seal; 0 if they do not.
func Allowed(tx Tx) (synod.SeqNo, error) {
	policy, _, err := tables.GetJSON[tables.SealedResumePolicy](tx, tables.SealedResume, tables.UnitKey())
	if err != nil || !policy.Allowed {
		return 0, err
	}
	at, _ := tx.VersionOfPreviousWrite(tables.SealedResume, tables.UnitKey())
	return at, nil
}

// Tx is what Allowed and Fits need of a transaction.
type Tx interface {
	tables.Reader
	VersionOfPreviousWrite(mapName string, key []byte) (synod.SeqNo, bool)
}

// Fits says whether a service may come back from what is sealed and the state of a
// ledger that is good up to last, and returns the ledger secret that this ledger
// used last. Its errors say what to do.
func (s *Service) Fits(tx Tx, last synod.TxID) (*secrets.Secret, error) {
	info, ok, err := tables.GetJSON[tables.ServiceInfo](tx, tables.Service, tables.UnitKey())
	if err != nil || !ok {
		return nil, errors.Join(err, errors.New("the ledger has no service"))
	}
	cert, err := identity.ParseCertPEM([]byte(info.Cert))
	if err != nil {
		return nil, fmt.Errorf("the service's certificate: %w", err)
	}
	if !s.Key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("what is sealed is another service's than the ledger's, or of an earlier life of it: name the directory of a node of this service, %s", hintShares)
	}
	allowed, err := Allowed(tx)
	if err != nil {
		return nil, err
	}
	switch {
	case allowed == 0:
		return nil, fmt.Errorf("%w: the ledger's last word is that nodes may not seal: recover with members' shares: remove command.recover.sealed_resume from the configuration", ErrNotAllowed)
	case allowed != s.PolicyAt:
		return nil, fmt.Errorf("%w with this file: it was sealed under what they allowed at %d, which is no longer in force; the ledger's is that of %d: take the file of another node, %s",
			ErrNotAllowed, s.PolicyAt, allowed, hintShares)
	case s.Committed.SeqNo > last.SeqNo || s.Committed.View > last.View:
		return nil, fmt.Errorf("the ledger is older than what is sealed: it is good up to %s, and %s was committed: bring the files that hold what is missing, "+
			"as from another node, %s", last, s.Committed, hintShares)
	}
	from, err := LatestSecret(tx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(s.Secrets, func(e secrets.Entry) bool { return e.From == from })
	if i < 0 {
		return nil, fmt.Errorf("what is sealed is older than the ledger: the ledger secret since %d is not in it, only those up to that since %d: take the file of a node that took part in the rekey, %s",
			from, s.latest(), hintShares)
	}
	return s.Secrets[i].Secret, nil
}

// LatestSecret is the first entry that the last ledger secret of a ledger seals.
func LatestSecret(tx Tx) (synod.SeqNo, error) {
	row, ok, err := tables.GetJSON[tables.EncryptedPastSecret](tx, tables.HistoricalLedgerSecret, tables.UnitKey())
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, errors.New("the service was never opened: it has no ledger secret on record")
	}
	at, _ := tx.VersionOfPreviousWrite(tables.HistoricalLedgerSecret, tables.UnitKey())
	return secrets.Stored{At: at, Row: row}.Next(), nil
}
