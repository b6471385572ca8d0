package verdict

import (
	"errors"
	"fmt"

	"synod"
	"synod/internal/audit"
	"synod/internal/identity"
	"synod/internal/ledger"
)

// Mismatch is a ledger that verifies but is not the expected one.
type Mismatch struct {
	Text string
	Hint string // what may be the reason
}

// Error is the text.
func (m *Mismatch) Error() string { return m.Text }

// SameService checks that the ledger's present service has the key of a PEM
// certificate. The error is a *Mismatch, or about the certificate.
func SameService(r *audit.Report, certPEM []byte) error {
	cert, err := identity.ParseCertPEM(certPEM)
	if err != nil {
		return err
	}
	want := identity.ServiceKID(cert.PublicKey)
	for i, s := range r.Services {
		if s.KeyID != want {
			continue
		}
		if i == len(r.Services)-1 {
			return nil
		}
		return &Mismatch{
			fmt.Sprintf("the certificate is that of an earlier service, from %s to %s", s.Since, r.Services[i+1].Since),
			"the service was recovered since: use the present certificate",
		}
	}
	return &Mismatch{"the certificate is not of this ledger's service", "this is another service's ledger or certificate"}
}

// Reaches checks that the ledger is signed up to a transaction. The error is a
// *Mismatch.
func Reaches(r *audit.Report, least synod.TxID) error {
	if r.Good.SeqNo >= least.SeqNo {
		return nil
	}
	return &Mismatch{
		fmt.Sprintf("the ledger is signed up to %s only, before %s", r.Good, least),
		"entries at its end were taken away, or this is an older copy",
	}
}

// LedgerHint says what to do about a ledger that does not verify; false for
// errors that say nothing about the ledger.
func LedgerHint(err error) (string, bool) {
	var bytesError *ledger.CorruptError
	var entryError *audit.Error
	var mismatch *Mismatch
	switch {
	case errors.As(err, &bytesError):
		return bytesError.Hint, true
	case errors.As(err, &entryError):
		return entryError.Hint(), true
	case errors.As(err, &mismatch):
		return mismatch.Hint, true
	}
	return "", false
}
