package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"synod"
	"synod/internal/cose"
	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/secrets"
	"synod/internal/tables"
)

// issueFirstShares gives recovery members their shares of the ledger secret
// when the service opens, and starts the chain of ledger secrets.
func (n *Node) issueFirstShares(tx *kv.Tx) error {
	from, secret := n.secrets.Latest()
	if err := n.putShares(tx, secret, nil); err != nil {
		return err
	}
	return tables.PutJSON(tx, tables.HistoricalLedgerSecret, tables.UnitKey(),
		tables.EncryptedPastSecret{NextVersion: new(uint64(from))})
}

// refreshShares issues new shares of the same secret: membership or threshold
// have changed.
func (n *Node) refreshShares(tx *kv.Tx) error {
	_, secret := n.secrets.Latest()
	return n.putShares(tx, secret, n.storedVersion(tx))
}

// storedVersion is where the newest link of the chain of secrets is written.
func (n *Node) storedVersion(tx *kv.Tx) *uint64 {
	if v, ok := tx.VersionOfPreviousWrite(tables.HistoricalLedgerSecret, tables.UnitKey()); ok {
		return new(uint64(v))
	}
	return nil
}

// putShares wraps a ledger secret and splits the wrapping key between the
// active recovery members (CCF: src/node/share_manager.h). Owners get the
// whole key; participants, in order of their IDs, one share each.
func (n *Node) putShares(tx *kv.Tx, secret *secrets.Secret, stored *uint64) error {
	conf, ok, err := tables.GetJSON[tables.ServiceConfig](tx, tables.ServiceConfiguration, tables.UnitKey())
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("the service has no configuration")
	}
	participants, owners, err := recoveryMembers(tx)
	if err != nil {
		return err
	}
	count, threshold := len(participants), int(conf.RecoveryThreshold)
	switch {
	case count == 0 && len(owners) == 0:
		return errors.New("There should be at least one active recovery member to issue recovery shares.") //nolint:staticcheck // CCF's style of text, shown to members
	case threshold < 1:
		return errors.New("Recovery threshold should be set to at least one.") //nolint:staticcheck // as above
	case count == 0:
		count = 1 // the one share goes to nobody
		if threshold != 1 {
			return errors.New("Recovery threshold should be one when there are only recovery owners.") //nolint:staticcheck // as above
		}
	case threshold > count:
		return fmt.Errorf("Recovery threshold %d is greater than the number of active recovery participants %d.", threshold, count) //nolint:staticcheck // as above
	}
	wrapping, err := secrets.NewWrappingKey(threshold, count)
	if err != nil {
		return err
	}
	row := tables.RecoveryShares{
		WrappedLatestLedgerSecret: wrapping.Wrap(secret), EncryptedShares: map[synod.MemberID]tables.Bytes{},
		PreviousSecretStoredVersion: stored,
	}
	for i, id := range participants {
		if err := encryptShare(tx, row.EncryptedShares, id, wrapping.Shares[i]); err != nil {
			return err
		}
	}
	for _, id := range owners {
		if err := encryptShare(tx, row.EncryptedShares, id, wrapping.Full); err != nil {
			return err
		}
	}
	return tables.PutJSON(tx, tables.Shares, tables.UnitKey(), row)
}

func encryptShare(tx *kv.Tx, to map[synod.MemberID]tables.Bytes, id synod.MemberID, share secrets.Share) error {
	pem, ok := tx.Get(tables.MemberEncryptionKeys, []byte(id))
	if !ok {
		return fmt.Errorf("recovery member %s has no encryption key", id)
	}
	sealed, err := secrets.EncryptToMember(pem, share.Bytes())
	if err != nil {
		return fmt.Errorf("encrypt the share of %s: %w", id, err)
	}
	to[id] = sealed
	return nil
}

// recoveryMembers lists the active members that hold shares, each sorted.
func recoveryMembers(tx *kv.Tx) (participants, owners []synod.MemberID, err error) {
	err = tables.EachJSON(tx, tables.Members, func(id string, m tables.MemberInfo) bool {
		if m.Status != tables.MemberActive || !tx.Has(tables.MemberEncryptionKeys, []byte(id)) {
			return true
		}
		switch m.RecoveryRole {
		case tables.RecoveryOwner:
			owners = append(owners, synod.MemberID(id))
		case "", tables.RecoveryParticipant:
			participants = append(participants, synod.MemberID(id))
		}
		return true
	})
	return participants, owners, err
}

// rekey makes a new ledger secret, valid from the entry after this one: shares
// of it, the old one encrypted with it, and itself encrypted to every node.
func (n *Node) rekey(tx *kv.Tx) error {
	info, ok, err := tables.GetJSON[tables.ServiceInfo](tx, tables.Service, tables.UnitKey())
	if err != nil {
		return err
	}
	if !ok || info.Status != tables.ServiceOpen {
		return errors.New("Cannot rekey ledger while the service is not open") //nolint:staticcheck // as above
	}
	next, err := secrets.NewSecret()
	if err != nil {
		return err
	}
	from, old := n.secrets.Latest()
	stored := n.storedVersion(tx)
	sealed, err := next.Wrap(old)
	if err != nil {
		return err
	}
	if err := n.putShares(tx, next, nil); err != nil {
		return err
	}
	if err := tables.PutJSON(tx, tables.HistoricalLedgerSecret, tables.UnitKey(), tables.EncryptedPastSecret{
		PreviousLedgerSecret: &tables.PreviousSecret{EncryptedData: sealed, PreviousSecretStoredVersion: stored, Version: from},
	}); err != nil {
		return err
	}
	broadcast := tables.LedgerSecretsForNodes{}
	var failed error
	err = tables.EachJSON(tx, tables.Nodes, func(id string, node tables.NodeInfo) bool {
		if node.Status != tables.NodeTrusted && (node.Status != tables.NodeRetired || node.RetiredCommitted) {
			return true
		}
		raw := next.Bytes()
		var wrapped []byte
		if wrapped, failed = secrets.EncryptToMember([]byte(node.EncryptionPubKey), raw[:]); failed != nil {
			return false
		}
		broadcast[synod.NodeID(id)] = []tables.EncryptedLedgerSecret{{EncryptedSecret: wrapped}}
		return true
	})
	if err := errors.Join(err, failed); err != nil {
		return fmt.Errorf("encrypt the ledger secret to the nodes: %w", err)
	}
	return tables.PutJSON(tx, tables.EncryptedLedgerSecrets, tables.UnitKey(), broadcast)
}

// onNewLedgerSecret takes a rekey's secret into use for the entries after it.
func (n *Node) onNewLedgerSecret(id synod.TxID, w kv.MapWrites) error {
	for _, row := range w.Writes {
		var broadcast tables.LedgerSecretsForNodes
		if err := json.Unmarshal(row.Value, &broadcast); err != nil {
			return fmt.Errorf("new ledger secret: %w", err)
		}
		for _, s := range broadcast[n.id.node] {
			if s.Version != nil {
				continue // a recovery's, which acts on commit
			}
			raw, err := secrets.DecryptWith(n.id.encryptionKey, s.EncryptedSecret)
			if err != nil || len(raw) != 32 {
				// Going on with the old secret would make entries that no
				// other node can read.
				return fmt.Errorf("cannot decrypt the ledger secret made at %s", id)
			}
			n.secrets.Set(id.SeqNo+1, secrets.SecretFrom([32]byte(raw)))
		}
	}
	return nil
}

// endorseSelf starts the chain of service identities: the service's key,
// endorsed by itself (CCF: src/service/internal_tables_access.h).
func (n *Node) endorseSelf(tx *kv.Tx, info tables.ServiceInfo) error {
	if tx.Has(tables.ServiceEndorsement, tables.UnitKey()) {
		return nil
	}
	der, err := identity.PublicKeyDER(&n.service.key.PublicKey)
	if err != nil {
		return err
	}
	endorsement, err := cose.SignEndorsement(n.service.key, cose.Endorsement{
		IssuedAt: time.Now().Unix(), EpochStart: *info.CurrentServiceCreateTxID, EndorsedKey: der,
	})
	if err != nil {
		return fmt.Errorf("endorse the service's identity: %w", err)
	}
	return tables.PutJSON(tx, tables.ServiceEndorsement, tables.UnitKey(), tables.COSEEndorsement{
		Endorsement: endorsement, EndorsingKey: der, EndorsementEpochBegin: *info.CurrentServiceCreateTxID,
	})
}
