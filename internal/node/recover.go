package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"synod"
	"synod/internal/config"
	"synod/internal/consensus"
	"synod/internal/cose"
	"synod/internal/evidence"
	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/machine"
	"synod/internal/recovery"
	"synod/internal/sealing"
	"synod/internal/secrets"
	"synod/internal/snapshot"
	"synod/internal/tables"
	"synod/receipt"
)

// recovering is what a node knows of the service that it recovers.
type recovering struct {
	previous    string // PEM of the service's certificate
	subject     []byte // of that certificate, DER
	serviceData json.RawMessage
	outcome     *recovery.Outcome // of the public part; nil before it is read
	resumed     *sealing.Service  // what the service goes on from; nil if members recover it
	before      int               // nodes that the service had
}

// noOrigin is what origin is while the service's first transaction is unknown.
const noOrigin = math.MaxUint64

// readPrevious reads what a Recover configuration names.
func readPrevious(cfg *config.Config) (*recovering, error) {
	if cfg.Command.Recover.PreviousServiceIdentityFile == "" {
		return nil, errors.New("Recovery requires a previous service identity certificate") //nolint:staticcheck // CCF's text
	}
	pem, err := cfg.Command.Recover.ReadPreviousIdentity()
	if err != nil {
		return nil, err
	}
	cert, err := identity.ParseCertPEM(pem)
	if err != nil {
		return nil, fmt.Errorf("command.recover.previous_service_identity_file: %w", err)
	}
	r := &recovering{previous: identity.CertPEM(cert.Raw), subject: cert.RawSubject}
	if r.serviceData, err = cfg.ReadServiceData(); err != nil {
		return nil, err
	}
	_, err = cfg.ReadNodeData()
	return r, err
}

// chooseRecoverySnapshot finds the newest snapshot to recover from, if there is
// one. That of another service than the one to recover is fatal: either the
// identity that was given is wrong, or the files.
func (n *Node) chooseRecoverySnapshot(ctx context.Context) error {
	n.voucher = n.recovering.previous
	var foreign error
	f, refused, err := n.snapshots.Newest(func(f *snapshot.File) error {
		_, err := snapshot.Verify(f, f.Size, n.trust(f))
		if errors.Is(err, receipt.ErrWrongService) && foreign == nil {
			// The first words are CCF's (CCF: src/node/snapshot_serdes.h).
			foreign = fmt.Errorf("Previous service identity does not endorse the node identity that signed the snapshot %s: "+ //nolint:staticcheck // shown to operators
				"give the identity of the service that wrote it in command.recover.previous_service_identity_file, or remove the snapshot to recover from the ledger alone", f.Path)
		}
		return err
	})
	n.logRefused(ctx, refused)
	switch {
	case foreign != nil:
		if err == nil {
			err = f.Close()
		}
		return &Error{ExitValidation, errors.Join(foreign, ignoreNotFound(err))}
	case errors.Is(err, snapshot.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	n.beginning, n.startup.SeqNo = f, f.Name.SeqNo
	n.info(ctx, "Recovering from snapshot", slog.String("file", f.Path), slog.Uint64("seqno", uint64(f.Name.SeqNo)))
	return nil
}

func ignoreNotFound(err error) error {
	if errors.Is(err, snapshot.ErrNotFound) {
		return nil
	}
	return err
}

// recoverPublic reads the public ledger as far as it can be believed, cuts off
// the rest, and makes this node the first of the recovered service
// (CCF: src/node/node_state.h, recover_public_ledger_end).
func (n *Node) recoverPublic(ctx context.Context) error {
	begin := recovery.Begin{}
	if f := n.beginning; f != nil {
		loaded, err := snapshot.Load(f, f.Size, n.trust(f), nil, n.store)
		if err != nil {
			return fmt.Errorf("load %s: %w", f.Path, err)
		}
		begin = recovery.Begin{TxID: loaded.TxID, Tree: loaded.Tree.Release(), ViewStarts: loaded.ViewStarts}
	}
	n.info(ctx, "Starting to read public ledger", slog.Uint64("after", uint64(begin.TxID.SeqNo)))
	out, err := recovery.Public(ctx, n.ledger, n.store, begin, func(synod.TxID) {})
	if err != nil {
		return fmt.Errorf("recover the public ledger: %w", err)
	}
	if err := n.checkResume(out.Last); err != nil {
		return &Error{ExitValidation, err}
	}
	if err := n.ledger.Truncate(out.Last.SeqNo); err != nil {
		return fmt.Errorf("cut the ledger after %s: %w", out.Last, err)
	}
	n.recovering.outcome = out
	n.reportCut(ctx, out)
	if err := n.takeSignaturesAs(); err != nil {
		return err
	}
	return n.found(out)
}

// reportCut says what a recovery drops.
func (n *Node) reportCut(ctx context.Context, out *recovery.Outcome) {
	n.info(ctx, fmt.Sprintf("End of public ledger recovery - Truncating ledger to last signed TxID: %s", out.Last))
	if out.Reason != "" {
		n.log.LogAttrs(ctx, slog.LevelWarn, "Entries of the ledger are dropped by the recovery",
			slog.Uint64("from", uint64(out.Last.SeqNo+1)), slog.Uint64("to", uint64(out.Present)),
			slog.Uint64("readable_to", uint64(out.Read)), slog.String("reason", out.Reason))
	}
}

// takeSignaturesAs keeps issuer and subject of the service's signatures, as the
// last of the ledger has them.
func (n *Node) takeSignaturesAs() error {
	tx := n.store.Begin()
	defer tx.Release()
	envelope, ok, err := tables.GetJSON[tables.Bytes](tx, tables.COSESignatures, tables.UnitKey())
	if err != nil {
		return err
	}
	n.host.Issuer, n.host.Subject = "", ""
	if !ok {
		return nil // a ledger of before they were introduced
	}
	sig, _, err := cose.ParseLedgerSignature(envelope)
	if err != nil {
		return fmt.Errorf("the last service signature of the ledger: %w", err)
	}
	n.host.Issuer, n.host.Subject = sig.Issuer, sig.Subject
	return nil
}

// found makes this node the only replica of a service that goes on after the
// ledger, two views later and with a ledger secret of its own.
func (n *Node) found(out *recovery.Outcome) error {
	secret, err := secrets.NewSecret()
	if err != nil {
		return err
	}
	origin := out.Last.SeqNo + 1
	n.secrets.Set(origin, secret)
	n.tree.Adopt(evidence.TreeOf(out.Tree, out.Last.SeqNo))
	n.machine.After(origin)
	n.machine.Begin(out.Last.SeqNo)
	n.beginRecovery(out.Last.SeqNo)
	n.origin.Store(uint64(origin))
	name, err := consensus.RaftID(n.id.node)
	if err != nil {
		return err
	}
	if err := n.replica.Join(&consensus.Start{
		After: out.Last, First: n.firstHeld(out.Last.SeqNo), ViewStarts: out.ViewStarts, Signatures: out.Signatures,
		Origin: origin, Configuration: consensus.Founding(name),
	}); err != nil {
		return err
	}
	n.setState(statePartOfPublicNetwork)
	return nil
}

// beginRecovery says that the ledger's files from here on count only once the
// service is open.
func (n *Node) beginRecovery(after synod.SeqNo) {
	n.unsettled.Store(true)
	n.ledger.BeginRecovery(after)
}

// firstHeld is the oldest entry that the ledger holds without a hole up to last,
// 0 if it lacks last.
func (n *Node) firstHeld(last synod.SeqNo) synod.SeqNo {
	if first := n.ledger.First(); first <= last {
		return first
	}
	return 0
}

// createRecovered makes the first transaction of a recovered service: a new
// identity beside the previous one, and this node as the only one that is not
// retired (CCF: src/service/internal_tables_access.h, create_service).
func (n *Node) createRecovered() (*machine.Prepared, error) {
	tx := n.store.Begin()
	for _, write := range []func(*kv.Tx) error{n.succeedService, n.retireAll, n.createNode} {
		if err := write(tx); err != nil {
			tx.Release()
			return nil, fmt.Errorf("create the recovered service: %w", err)
		}
	}
	claims, err := n.genesisClaims(tx)
	if err != nil {
		tx.Release()
		return nil, err
	}
	if n.recovering.resumed != nil {
		n.resumed.Store(&resumeBegin{time.Now(), n.recovering.before})
	}
	tx.SetFlag(kv.FlagChunkBefore)
	return machine.Prepare(tx, claims), nil
}

func (n *Node) succeedService(tx *kv.Tx) error {
	old, ok, err := tables.GetJSON[tables.ServiceInfo](tx, tables.Service, tables.UnitKey())
	switch {
	case err != nil:
		return err
	case !ok:
		return errors.New("the ledger has no service")
	case old.CurrentServiceCreateTxID == nil:
		return errors.New("the ledger does not say where its service begins: it is of a version of CCF that is too old")
	}
	if !samePEM([]byte(old.Cert), []byte(n.recovering.previous)) {
		n.log.LogAttrs(context.Background(), slog.LevelWarn, "The certificate in command.recover.previous_service_identity_file is not that of the ledger's last service: it will not open")
	}
	last, ok, err := tables.GetJSON[tables.SignatureRecord](tx, tables.Signatures, tables.UnitKey())
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("the ledger has no signature")
	}
	count := uint64(1)
	if old.RecoveryCount != nil {
		count += *old.RecoveryCount
	}
	out := n.recovering.outcome
	at := out.Last
	if n.recovering.resumed != nil && n.recovering.serviceData == nil {
		n.recovering.serviceData = old.ServiceData
	}
	for _, row := range []struct {
		table string
		value any
	}{
		{tables.PreviousServiceIdentity, old.Cert},
		{tables.PreviousServiceRoot, last.Root},
		{tables.Recovery, tables.RecoveryReport{After: at, DroppedTo: max(out.Present, at.SeqNo), ReadableTo: max(out.Read, at.SeqNo), Resumed: n.recovering.resumed != nil}},
		{tables.Service, tables.ServiceInfo{
			Cert: n.service.cert(), CurrentServiceCreateTxID: &synod.TxID{View: at.View + 2, SeqNo: at.SeqNo + 1},
			PreviousServiceIdentityVersion: new(uint64(old.CurrentServiceCreateTxID.SeqNo)),
			RecoveryCount:                  &count, ServiceData: n.recovering.serviceData, Status: tables.ServiceRecovering,
		}},
	} {
		if err := tables.PutJSON(tx, row.table, tables.UnitKey(), row.value); err != nil {
			return err
		}
	}
	return nil
}

// retireAll retires the nodes of the services before, completely: they have no
// part in this one's consensus. The rows may be of older forms; what they say
// else stays.
func (n *Node) retireAll(tx *kv.Tx) error {
	retired := map[string][]byte{}
	n.recovering.before = 0
	err := tables.EachJSON(tx, tables.Nodes, func(id string, row map[string]json.RawMessage) bool {
		if string(row["status"]) == `"`+string(tables.NodeRetired)+`"` && string(row["retired_committed"]) == "true" {
			return true
		}
		if string(row["status"]) == `"`+string(tables.NodeTrusted)+`"` {
			n.recovering.before++
		}
		row["status"] = json.RawMessage(`"` + tables.NodeRetired + `"`)
		row["retired_committed"] = json.RawMessage("true")
		if b, err := tables.Marshal(row); err == nil {
			retired[id] = b
		}
		return true
	})
	if err != nil {
		return err
	}
	for _, id := range sortedKeys(retired) {
		tx.Put(tables.Nodes, []byte(id), retired[id])
	}
	tx.Clear(tables.NodeStarts)
	if first := n.firstHeld(n.recovering.outcome.Last.SeqNo); first != 1 {
		if first == 0 {
			first = n.recovering.outcome.Last.SeqNo + 1
		}
		return tables.PutJSON(tx, tables.NodeStarts, []byte(n.id.node), first-1)
	}
	return nil
}
