package node

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"

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
		TransitionServiceToOpen: func(previous, next []byte) error {
			err := n.openService(tx, previous, next)
			if err != nil {
				// In CCF's words, which its suites look for; members get the same.
				n.log.LogAttrs(context.Background(), slog.LevelWarn, "Unable to open service: "+err.Error(), slog.String("tag", "gov"))
			}
			return err
		},
		SetSealedResume: func(allowed bool) error {
			return tables.PutJSON(tx, tables.SealedResume, tables.UnitKey(), tables.SealedResumePolicy{Allowed: allowed})
		},
		LatestLedgerSecretSeqno: func() (synod.SeqNo, error) {
			from, _ := n.secrets.Latest()
			return from, nil
		},
		GenerateEndorsedCertificate: n.endorse,
		GenerateNetworkCertificate:  n.renewService,
	}
}

// openService opens a new service: its status, its recovery shares, and its
// endorsement of itself, from which recoveries go on. A recovered one waits for
// recovery shares from now on
// (CCF: src/node/node_state.h, transition_service_to_open).
func (n *Node) openService(tx *kv.Tx, previous, next []byte) error {
	info, ok, err := tables.GetJSON[tables.ServiceInfo](tx, tables.Service, tables.UnitKey())
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("Service information cannot be found to transition service to open")
	}
	switch info.Status {
	case tables.ServiceOpen, tables.ServiceWaitingForRecoveryShares:
		return nil
	case tables.ServiceRecovering:
		err = checkPrevious(tx, previous)
	case tables.ServiceOpening:
		if previous != nil {
			err = fmt.Errorf("a previous service identity was given, but this service has none.")
		}
	default:
		err = fmt.Errorf("its status is %s.", info.Status)
	}
	if err != nil {
		return err
	}
	if !samePEM(next, []byte(info.Cert)) {
		return fmt.Errorf("Service identity mismatch: the next service identity in the transition_service_to_open proposal does not match the current service identity:\nNext:\n%s\nCurrent:\n%s",
			next, info.Cert)
	}
	if info.Status == tables.ServiceRecovering {
		return n.awaitSecrets(tx, info)
	}
	return n.markOpen(tx, info)
}

// markOpen opens the service: shares of its ledger secret for its members, the
// endorsement of the service before, and its row.
func (n *Node) markOpen(tx *kv.Tx, info tables.ServiceInfo) error {
	if err := n.issueShares(tx); err != nil {
		return err
	}
	if err := n.endorsePrevious(tx, info); err != nil {
		return err
	}
	info.Status = tables.ServiceOpen
	tx.SetFlag(kv.FlagSnapshot)
	return tables.PutJSON(tx, tables.Service, tables.UnitKey(), info)
}

// checkPrevious makes sure that members know which service they recover: not
// that of a forked ledger.
func checkPrevious(tx *kv.Tx, previous []byte) error {
	recorded, ok, err := tables.GetJSON[string](tx, tables.PreviousServiceIdentity, tables.UnitKey())
	switch {
	case err != nil:
		return err
	case !ok || previous == nil:
		return fmt.Errorf("Recovery with service certificates requires both, a previous service identity written to the KV during recovery genesis and a transition_service_to_open proposal that contains previous and next service certificates")
	case !samePEM(previous, []byte(recorded)):
		return fmt.Errorf("Previous service identity does not match.\nActual:\n%s\nIn proposal:\n%s", recorded, previous)
	}
	return nil
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
