package sealing

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"synod"
	"synod/internal/attest"
	"synod/internal/secrets"
)

// secretHeader is what is authenticated of a sealed ledger secret
// (CCF: src/node/local_sealing.h, SealedLedgerSecretAAD).
type secretHeader struct {
	TCB     string      `json:"tcb_version,omitempty"`
	Version synod.SeqNo `json:"version"`
}

func (d *Dir) writeSecret(key attest.SealingKey, e secrets.Entry) error {
	aad, err := json.Marshal(secretHeader{key.TCB, e.From})
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	text, err := json.Marshal(bodyOf(e))
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	sealed, err := seal(key.Bytes(), text, string(aad))
	if err != nil {
		return err
	}
	return d.replace(secretName(e.From), sealed)
}

func secretName(from synod.SeqNo) string { return strconv.FormatUint(uint64(from), 10) + secretSuffix }

// ErrNoSecret says that no sealed ledger secret could be opened.
var ErrNoSecret = errors.New("no sealed ledger secret can be opened")

// ReadSecret opens the newest sealed ledger secret that seals entries from most or
// before, as CCF does: files that it cannot open it passes over. The error wraps
// ErrNoSecret and says why each was passed over.
func (d *Dir) ReadSecret(most synod.SeqNo) (secrets.Entry, error) {
	names, err := d.fs.ReadDir(d.path)
	if err != nil {
		return secrets.Entry{}, fmt.Errorf("%w: %w", ErrNoSecret, err)
	}
	var versions []synod.SeqNo
	for _, name := range names {
		text, ok := strings.CutSuffix(name, secretSuffix)
		n, err := strconv.ParseUint(text, 10, 64)
		if ok && err == nil && n > 0 && secretName(synod.SeqNo(n)) == name && synod.SeqNo(n) <= most {
			versions = append(versions, synod.SeqNo(n))
		}
	}
	slices.Sort(versions)
	failed := []error{fmt.Errorf("%w in %s", ErrNoSecret, d.path)}
	for _, version := range slices.Backward(versions) {
		e, err := d.readSecret(version)
		if err == nil {
			return e, nil
		}
		failed = append(failed, fmt.Errorf("%s: %w", secretName(version), err))
	}
	return secrets.Entry{}, errors.Join(failed...)
}

func (d *Dir) readSecret(version synod.SeqNo) (secrets.Entry, error) {
	e, err := d.read(secretName(version))
	if err != nil {
		return secrets.Entry{}, err
	}
	var h secretHeader
	if err := json.Unmarshal([]byte(e.AADText), &h); err != nil || h.Version != version {
		return secrets.Entry{}, errors.New("it is sealed for another seqno than its name says")
	}
	key, err := d.platform(h.TCB)
	if err != nil {
		return secrets.Entry{}, err
	}
	text, err := e.open(key.Bytes())
	if err != nil {
		return secrets.Entry{}, err
	}
	var b secretBody
	if err := json.Unmarshal(text, &b); err != nil {
		return secrets.Entry{}, errors.New("what it holds cannot be read")
	}
	return b.entry(version)
}
