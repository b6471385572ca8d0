package node

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"synod"
	"synod/app"
	"synod/internal/cose"
	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/recovery"
	"synod/internal/secrets"
	"synod/internal/tables"
)

// issueShares gives recovery members their shares of the ledger secret when the
// service opens, and adds to the chain of ledger secrets: its beginning, or after
// a recovery the secret before
// (CCF: src/node/share_manager.h, issue_recovery_shares).
func (n *Node) issueShares(tx *kv.Tx) error {
	all := n.secrets.All()
	latest := all[len(all)-1]
	link := tables.EncryptedPastSecret{NextVersion: new(uint64(latest.From))}
	if len(all) > 1 {
		before := all[len(all)-2]
		sealed, err := latest.Secret.Wrap(before.Secret)
		if err != nil {
			return err
		}
		link.PreviousLedgerSecret = &tables.PreviousSecret{
			EncryptedData: sealed, PreviousSecretStoredVersion: n.storedVersion(tx), Version: before.From,
		}
	}
	if err := n.putShares(tx, latest.Secret, nil); err != nil {
		return err
	}
	return tables.PutJSON(tx, tables.HistoricalLedgerSecret, tables.UnitKey(), link)
}

// refreshShares issues new shares of the same secret: membership or threshold
// have changed. While a service is recovered the shares are those of the secret
// that it needs to read its past, and they stay: unlike CCF, which lets them be
// overwritten.
func (n *Node) refreshShares(tx *kv.Tx) error {
	info, _, err := tables.GetJSON[tables.ServiceInfo](tx, tables.Service, tables.UnitKey())
	if err != nil {
		return err
	}
	if info.Status == tables.ServiceRecovering || info.Status == tables.ServiceWaitingForRecoveryShares {
		return fmt.Errorf("Cannot refresh recovery shares while the service is %s: they are needed to recover it", info.Status) //nolint:staticcheck // CCF's style of text, shown to members
	}
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
	return n.broadcast(tx, []secrets.Entry{{Secret: next}})
}

// broadcast encrypts ledger secrets to every node that is trusted, or retired
// and still counted. One that says not from where on it seals does so from the
// next entry on.
func (n *Node) broadcast(tx *kv.Tx, list []secrets.Entry) error {
	row := tables.LedgerSecretsForNodes{}
	var failed error
	err := tables.EachJSON(tx, tables.Nodes, func(id string, node tables.NodeInfo) bool {
		if node.Status != tables.NodeTrusted && (node.Status != tables.NodeRetired || node.RetiredCommitted) {
			return true
		}
		for _, e := range list {
			raw := e.Secret.Bytes()
			var s tables.EncryptedLedgerSecret
			if s.EncryptedSecret, failed = secrets.EncryptToMember([]byte(node.EncryptionPubKey), raw[:]); failed != nil {
				return false
			}
			if e.From != 0 {
				s.Version = new(uint64(e.From))
			}
			if e.StoredAt != 0 {
				s.PreviousSecretStoredVersion = new(uint64(e.StoredAt))
			}
			row[synod.NodeID(id)] = append(row[synod.NodeID(id)], s)
		}
		return true
	})
	if err := errors.Join(err, failed); err != nil {
		return fmt.Errorf("encrypt the ledger secret to the nodes: %w", err)
	}
	return tables.PutJSON(tx, tables.EncryptedLedgerSecrets, tables.UnitKey(), row)
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
			n.secrets.Add(secrets.Entry{From: id.SeqNo + 1, Secret: secrets.SecretFrom([32]byte(raw)), StoredAt: id.SeqNo})
			n.reseal() // as early as this: a machine may fail once the entry is committed
		}
	}
	return nil
}

// endorsePrevious lets the service's key vouch for the one before it, so that
// what that has signed can be believed; that of a first service vouches for
// itself (CCF: src/service/internal_tables_access.h, endorse_previous_identity).
func (n *Node) endorsePrevious(tx *kv.Tx, info tables.ServiceInfo) error {
	if info.CurrentServiceCreateTxID == nil {
		return errors.New("the service does not say where it begins")
	}
	der, err := identity.PublicKeyDER(&n.service.key.PublicKey)
	if err != nil {
		return err
	}
	begin := *info.CurrentServiceCreateTxID
	e := cose.Endorsement{IssuedAt: time.Now().Unix(), EpochStart: begin, EndorsedKey: der}
	row := tables.COSEEndorsement{EndorsingKey: der}
	last, ok, err := tables.GetJSON[tables.COSEEndorsement](tx, tables.ServiceEndorsement, tables.UnitKey())
	if err != nil {
		return err
	}
	if ok {
		if e.EpochRoot, err = lastRoot(tx); err != nil {
			return err
		}
		e.EndorsedKey, e.EpochStart = last.EndorsingKey, last.EndorsementEpochBegin
		if end := last.EndorsementEpochEnd; end != nil {
			e.EpochStart = synod.TxID{View: end.View + 2, SeqNo: end.SeqNo + 1}
		}
		e.EpochEnd = synod.TxID{View: begin.View - 2, SeqNo: begin.SeqNo - 1}
		row.EndorsementEpochEnd = &e.EpochEnd
		if at, ok := tx.VersionOfPreviousWrite(tables.ServiceEndorsement, tables.UnitKey()); ok {
			row.PreviousVersion = new(uint64(at))
		}
	}
	row.EndorsementEpochBegin = e.EpochStart
	if row.Endorsement, err = cose.SignEndorsement(n.service.key, e); err != nil {
		return fmt.Errorf("endorse the previous identity of the service: %w", err)
	}
	return tables.PutJSON(tx, tables.ServiceEndorsement, tables.UnitKey(), row)
}

// lastRoot is the root that the last signature of the previous service covers.
func lastRoot(tx *kv.Tx) ([]byte, error) {
	text, ok, err := tables.GetJSON[string](tx, tables.PreviousServiceRoot, tables.UnitKey())
	if err != nil {
		return nil, err
	}
	root, err := hex.DecodeString(text)
	if !ok || err != nil || len(root) != 32 {
		return nil, errors.New("the last signed root of the previous service is not recorded")
	}
	return root, nil
}

// submitShare keeps a recovery share that a member has sent, and says how many
// there are now and whether it is the whole key. It stays encrypted with the
// ledger secret, in the ledger too, so that every node can go on if this one dies.
func (n *Node) submitShare(t app.Tx, id synod.MemberID, raw []byte) (submitted int, full bool, err error) {
	share, err := secrets.ParseShare(raw)
	if err != nil {
		return 0, false, err
	}
	_, secret := n.secrets.Latest()
	sealed, err := secret.Encrypt(raw)
	if err != nil {
		return 0, false, err
	}
	if err := tables.PutJSON(t, tables.SubmittedShares, []byte(id), tables.Bytes(sealed)); err != nil {
		return 0, false, err
	}
	return t.Len(tables.SubmittedShares), share.IsFull(), nil
}

// recoverPrivate puts the submitted shares together, walks back through the
// secrets of the past and gives them to every node. Once that is committed, all
// of them read the private ledger
// (CCF: src/node/node_state.h, initiate_private_recovery).
func (n *Node) recoverPrivate(t app.Tx) error {
	tx, ok := t.(*kv.Tx)
	if !ok {
		panic(fmt.Sprintf("node: recovery on a %T", t))
	}
	latest, err := n.combineShares(tx)
	if err != nil {
		return err
	}
	chain, err := recovery.Secrets(latest, tx, n.ledger)
	if err != nil {
		return err
	}
	return n.broadcast(tx, chain.All())
}

// combineShares unwraps the ledger secret that the service to be recovered used
// last.
func (n *Node) combineShares(tx *kv.Tx) (*secrets.Secret, error) {
	conf, _, err := tables.GetJSON[tables.ServiceConfig](tx, tables.ServiceConfiguration, tables.UnitKey())
	if err != nil {
		return nil, err
	}
	row, ok, err := tables.GetJSON[tables.RecoveryShares](tx, tables.Shares, tables.UnitKey())
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errors.New("Failed to retrieve current recovery shares info") //nolint:staticcheck // CCF's text
	}
	_, secret := n.secrets.Latest()
	var shares []secrets.Share
	var failed error
	err = tables.EachJSON(tx, tables.SubmittedShares, func(_ string, sealed tables.Bytes) bool {
		var raw []byte
		if raw, failed = secret.Decrypt(sealed); failed != nil {
			return false
		}
		var share secrets.Share
		if share, failed = secrets.ParseShare(raw); failed != nil {
			return false
		}
		shares = append(shares, share)
		return true
	})
	if err := errors.Join(err, failed); err != nil {
		return nil, fmt.Errorf("submitted recovery shares: %w", err)
	}
	full, err := secrets.Combine(shares, int(conf.RecoveryThreshold))
	if err != nil {
		return nil, err
	}
	return secrets.UnwrapWith(full, row.WrappedLatestLedgerSecret)
}
