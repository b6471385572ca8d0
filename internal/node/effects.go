package node

import (
	"bytes"
	"errors"
	"fmt"

	"synod"
	"synod/app"
	"synod/internal/identity"
	"synod/internal/js"
	"synod/internal/kv"
	"synod/internal/tables"
)

// effects are the node's side of what a constitution's apply may do; gov adds
// those for JWT signing keys. They act on the transaction alone, so that
// nothing happens unless it commits.
func (n *Node) effects(t app.Tx) *js.Effects {
	tx, ok := t.(*kv.Tx)
	if !ok {
		panic(fmt.Sprintf("node: effects on a %T", t))
	}
	return &js.Effects{
		TriggerLedgerRekey:           func() error { return n.rekey(tx) },
		TriggerRecoverySharesRefresh: func() error { return n.refreshShares(tx) },
		TriggerLedgerChunk:           func() error { tx.SetFlag(kv.FlagForceChunk); return nil },
		TriggerSnapshot:              func() error { tx.SetFlag(kv.FlagSnapshot); return nil },
		TransitionServiceToOpen:      func(previous, next []byte) error { return n.openService(tx, previous, next) },
		LatestLedgerSecretSeqno: func() (synod.SeqNo, error) {
			from, _ := n.secrets.Latest()
			return from, nil
		},
		GenerateEndorsedCertificate: n.endorse,
		GenerateNetworkCertificate:  n.renewService,
	}
}

// openService opens a new service: its status, its recovery shares, and its
// endorsement of itself, from which recoveries go on
// (CCF: src/node/node_state.h, transition_service_to_open).
func (n *Node) openService(tx *kv.Tx, previous, next []byte) error {
	info, ok, err := tables.GetJSON[tables.ServiceInfo](tx, tables.Service, tables.UnitKey())
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("Unable to open service: no service has been created.") //nolint:staticcheck // CCF's style of text, shown to members
	}
	switch info.Status {
	case tables.ServiceOpen, tables.ServiceWaitingForRecoveryShares:
		return nil
	case tables.ServiceOpening:
	default:
		return fmt.Errorf("Unable to open service: its status is %s.", info.Status) //nolint:staticcheck // as above
	}
	if previous != nil {
		return errors.New("Unable to open service: a previous service identity was given, but this service has none.") //nolint:staticcheck // as above
	}
	if !samePEM(next, []byte(info.Cert)) {
		return errors.New("Unable to open service: Next service identity does not match.") //nolint:staticcheck // as above
	}
	if err := n.issueFirstShares(tx); err != nil {
		return err
	}
	if err := n.endorseSelf(tx, info); err != nil {
		return err
	}
	info.Status = tables.ServiceOpen
	tx.SetFlag(kv.FlagSnapshot)
	return tables.PutJSON(tx, tables.Service, tables.UnitKey(), info)
}

// samePEM compares certificates by what they hold, not by their text.
func samePEM(a, b []byte) bool {
	ca, err := identity.ParseCertPEM(a)
	if err != nil {
		return false
	}
	cb, err := identity.ParseCertPEM(b)
	return err == nil && bytes.Equal(ca.Raw, cb.Raw)
}

// memberActive gives a newly active recovery member its share.
func (n *Node) memberActive(t app.Tx, id synod.MemberID) error {
	tx, ok := t.(*kv.Tx)
	if !ok {
		panic(fmt.Sprintf("node: member activation on a %T", t))
	}
	info, ok, err := tables.GetJSON[tables.ServiceInfo](tx, tables.Service, tables.UnitKey())
	if err != nil || !ok || info.Status != tables.ServiceOpen {
		return err
	}
	if !tx.Has(tables.MemberEncryptionKeys, []byte(id)) {
		return nil
	}
	return n.refreshShares(tx)
}
