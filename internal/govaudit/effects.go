package govaudit

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"synod"
	"synod/app"
	"synod/internal/cose"
	"synod/internal/identity"
	"synod/internal/js"
	"synod/internal/tables"
)

// effects are what apply asks of the node when it is run again. What the node
// made with its keys is taken from the transaction.
type effects struct {
	*transaction
	faults []difference
}

func (fx *effects) fault(table, format string, args ...any) {
	fx.faults = append(fx.faults, difference{row{table, string(tables.UnitKey())}, fmt.Sprintf(format, args...)})
}

func (fx *effects) forApply(tx app.Tx) *js.Effects {
	return &js.Effects{
		TriggerLedgerRekey:           func() error { return fx.rekey(tx) },
		TriggerRecoverySharesRefresh: func() error { return fx.shares(tx) },
		TriggerLedgerChunk:           func() error { return nil },
		TriggerSnapshot:              func() error { return nil },
		TransitionServiceToOpen:      func(previous, next []byte) error { return fx.openService(tx, previous, next) },
		SetSealedResume: func(allowed bool) error {
			return tables.PutJSON(tx, tables.SealedResume, tables.UnitKey(), tables.SealedResumePolicy{Allowed: allowed})
		},
		LatestLedgerSecretSeqno:     func() (synod.SeqNo, error) { return fx.secretFrom, nil },
		GenerateEndorsedCertificate: fx.endorsed,
		GenerateNetworkCertificate:  fx.renewed,
	}
}

// take copies a row that only the node can make, after a look at it.
func (fx *effects) take(tx app.Tx, table string, look func(value []byte) error) {
	value, ok := fx.unitValue(table)
	if !ok {
		fx.fault(table, "is missing, although the node was to write it")
		return
	}
	if err := look(value); err != nil {
		fx.fault(table, "is not what a node writes: %s", err)
	}
	tx.Put(table, tables.UnitKey(), value)
}

// shares takes new recovery shares: for active members with a key, and nobody
// else.
func (fx *effects) shares(tx app.Tx) error {
	fx.take(tx, tables.Shares, func(value []byte) error { return sharesFor(tx, value) })
	return nil
}

func sharesFor(tx tables.Reader, value []byte) error {
	var row tables.RecoveryShares
	if err := json.Unmarshal(value, &row); err != nil {
		return err
	}
	for id := range row.EncryptedShares {
		info, _, err := tables.GetJSON[tables.MemberInfo](tx, tables.Members, []byte(id))
		if err != nil || info.Status != tables.MemberActive || !tx.Has(tables.MemberEncryptionKeys, []byte(id)) {
			return fmt.Errorf("a share for %s, who is no active recovery member", id)
		}
	}
	return nil
}

func pastSecret(value []byte) error {
	var row tables.EncryptedPastSecret
	return json.Unmarshal(value, &row)
}

// secretsFor looks at ledger secrets for nodes: those of the service only.
func secretsFor(tx tables.Reader, value []byte) error {
	var row tables.LedgerSecretsForNodes
	if err := json.Unmarshal(value, &row); err != nil {
		return err
	}
	for id := range row {
		info, ok, err := tables.GetJSON[tables.NodeInfo](tx, tables.Nodes, []byte(id))
		if err != nil || !ok || info.Status == tables.NodePending {
			return fmt.Errorf("a secret for %s, which is no node of the service", id)
		}
	}
	return nil
}

func (fx *effects) rekey(tx app.Tx) error {
	if fx.service().Status != tables.ServiceOpen {
		return errors.New("the service is not open")
	}
	if err := fx.shares(tx); err != nil {
		return err
	}
	fx.take(tx, tables.HistoricalLedgerSecret, pastSecret)
	fx.take(tx, tables.EncryptedLedgerSecrets, func(v []byte) error { return secretsFor(tx, v) })
	return nil
}

// service is the service's record before the transaction.
func (t *transaction) service() tables.ServiceInfo {
	info, _, err := tables.GetJSON[tables.ServiceInfo](t.before, tables.Service, tables.UnitKey())
	if err != nil {
		return tables.ServiceInfo{}
	}
	return info
}

// openService is the transition that members agreed on
// (CCF: src/node/node_state.h, transition_service_to_open).
func (fx *effects) openService(tx app.Tx, previous, next []byte) error {
	info := fx.service()
	switch info.Status {
	case tables.ServiceOpen, tables.ServiceWaitingForRecoveryShares:
		return nil
	case tables.ServiceRecovering:
		last, ok, err := tables.GetJSON[string](tx, tables.PreviousServiceIdentity, tables.UnitKey())
		if err != nil || !ok || previous == nil || !samePEM(previous, []byte(last)) {
			return errors.New("the previous service identity does not match")
		}
	case tables.ServiceOpening:
	default:
		return errors.New("there is no service")
	}
	if !samePEM(next, []byte(info.Cert)) {
		return errors.New("the next service identity does not match")
	}
	if info.Status == tables.ServiceRecovering {
		return fx.awaitShares(tx)
	}
	if err := fx.shares(tx); err != nil {
		return err
	}
	fx.take(tx, tables.HistoricalLedgerSecret, pastSecret)
	if _, ok := fx.unitValue(tables.ServiceEndorsement); ok { // services before 6.0 write none
		fx.take(tx, tables.ServiceEndorsement, fx.endorsement)
	}
	return fx.setStatus(tx, tables.ServiceOpen)
}

// awaitShares starts the second half of a recovery.
func (fx *effects) awaitShares(tx app.Tx) error {
	tx.Clear(tables.SubmittedShares)
	if value, ok := fx.unitValue(tables.LastRecoveryType); ok {
		fx.take(tx, tables.LastRecoveryType, func([]byte) error { return nil })
		if sameJSON(value, []byte(`"`+string(tables.RecoveryLocalUnsealing)+`"`)) {
			fx.take(tx, tables.EncryptedLedgerSecrets, func(v []byte) error { return secretsFor(tx, v) })
		}
	}
	return fx.setStatus(tx, tables.ServiceWaitingForRecoveryShares)
}

// setStatus changes the status of the service and nothing else of its record,
// but for the version of the record before, which services up to 6.0 note.
func (t *transaction) setStatus(tx app.Tx, status tables.ServiceStatus) error {
	after, ok := t.serviceAfter()
	last, _ := t.before.VersionOfPreviousWrite(tables.Service, tables.UnitKey())
	if n := after.PreviousServiceIdentityVersion; ok && n != nil && *n == uint64(last) {
		if err := setField(tx, tables.Service, tables.UnitKey(), "previous_service_identity_version", last); err != nil {
			return err
		}
	}
	return setField(tx, tables.Service, tables.UnitKey(), "status", status)
}

// setField changes one field of a record, whatever else is in it.
func setField(tx app.Tx, table string, key []byte, field string, v any) error {
	record, _, err := tables.GetJSON[map[string]json.RawMessage](tx, table, key)
	if err != nil {
		return err
	}
	if record == nil {
		return fmt.Errorf("table %s has no such row", table)
	}
	if record[field], err = json.Marshal(v); err != nil {
		return err
	}
	return tables.PutJSON(tx, table, key, record)
}

func samePEM(a, b []byte) bool {
	ca, err := identity.ParseCertPEM(bytes.TrimRight(a, "\x00"))
	if err != nil {
		return false
	}
	cb, err := identity.ParseCertPEM(bytes.TrimRight(b, "\x00"))
	return err == nil && bytes.Equal(ca.Raw, cb.Raw)
}

// endorsement looks at the service's endorsement of an identity: it must be by
// the service's key.
func (t *transaction) endorsement(value []byte) error {
	var row tables.COSEEndorsement
	if err := json.Unmarshal(value, &row); err != nil {
		return err
	}
	_, msg, err := cose.ParseEndorsement(row.Endorsement)
	if err != nil {
		return err
	}
	key, err := t.serviceKey()
	if err != nil {
		return err
	}
	return msg.Verify(key, nil)
}

// endorsed finds the certificate that the node made for a request: for its
// key, signed by the service, with these dates.
func (fx *effects) endorsed(csrPEM, validFrom string, days int) (string, error) {
	key, err := csrKey(csrPEM)
	if err != nil {
		return "", err
	}
	m := fx.writes(tables.NodeEndorsedCertificates)
	if m == nil {
		return "", errors.New("the endorsed certificate was not recorded")
	}
	for _, w := range m.Writes {
		cert, err := identity.ParseCertPEM(bytes.TrimRight(w.Value, "\x00"))
		if err != nil || string(identity.NodeIDOf(cert.PublicKey)) != string(w.Key) || !bytes.Equal(cert.RawSubjectPublicKeyInfo, key) {
			continue
		}
		if err := fx.byService(cert); err != nil {
			fx.fault(tables.NodeEndorsedCertificates, "has a certificate of node %s that the service did not sign: %s", w.Key, err)
		}
		if err := valid(cert, validFrom, days); err != nil {
			fx.fault(tables.NodeEndorsedCertificates, "has a certificate of node %s with other dates: %s", w.Key, err)
		}
		return string(w.Value), nil
	}
	return "", errors.New("no endorsed certificate was recorded for the node's key")
}

// renewed finds the service's new certificate, for the key that it has.
func (fx *effects) renewed(validFrom string, days int) (string, error) {
	value, ok := fx.unitValue(tables.Service)
	var info tables.ServiceInfo
	if !ok || json.Unmarshal(value, &info) != nil {
		return "", errors.New("the service's new certificate was not recorded")
	}
	cert, err := identity.ParseCertPEM([]byte(info.Cert))
	if err != nil {
		return "", err
	}
	if err := fx.byService(cert); err != nil {
		fx.fault(tables.Service, "has a certificate that the service did not sign: %s", err)
	}
	if err := valid(cert, validFrom, days); err != nil {
		fx.fault(tables.Service, "has a certificate with other dates: %s", err)
	}
	return info.Cert, nil
}

// valid compares a certificate's dates with what was asked for.
func valid(cert *x509.Certificate, from string, days int) error {
	start, err := identity.ParseTime(from)
	if err != nil {
		return err
	}
	start = start.Truncate(time.Second)
	end := start.Add(time.Duration(days)*24*time.Hour - time.Second)
	if !cert.NotBefore.Equal(start) || !cert.NotAfter.Equal(end) {
		return fmt.Errorf("from %s to %s, not from %s to %s", cert.NotBefore, cert.NotAfter, start, end)
	}
	return nil
}
