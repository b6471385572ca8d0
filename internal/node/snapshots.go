package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"synod"
	"synod/internal/config"
	"synod/internal/consensus"
	"synod/internal/kv"
	"synod/internal/machine"
	"synod/internal/snapshot"
	"synod/receipt"
)

// snapshotsWaitingMax bounds the snapshots that are due and not yet written;
// more are skipped, as in CCF.
const snapshotsWaitingMax = 5

// snapshotJob is a state that a snapshot is due of. It holds a pin.
type snapshotJob struct {
	seqno synod.SeqNo
	tx    *kv.Tx
	leaf  [32]byte
}

func (n *Node) openSnapshots() error {
	var err error
	n.snapshots, err = snapshot.OpenDir(snapshot.Config{
		Main: n.cfg.Snapshots.Directory, ReadOnly: n.cfg.Snapshots.ReadOnlyDirectory, FS: n.disk(),
	})
	if err != nil {
		return &Error{ExitValidation, fmt.Errorf("open the snapshot directory: %w", err)}
	}
	return nil
}

// snapshotDue pins the state after a signature that is being committed. It
// runs on the replica goroutine.
func (n *Node) snapshotDue(seqno synod.SeqNo) {
	job := snapshotJob{seqno: seqno}
	var err error
	if job.leaf, err = n.tree.Leaf(seqno); err == nil {
		job.tx, err = n.store.BeginAt(seqno)
	}
	if err != nil {
		n.fail("no snapshot", synod.TxID{SeqNo: seqno}, err)
		return
	}
	select {
	case n.toSnapshot <- job:
	default:
		job.tx.Release()
		n.log.LogAttrs(context.Background(), slog.LevelWarn, "skipped a snapshot: too many wait", slog.Uint64("seqno", uint64(seqno)))
	}
}

// keepSnapshots writes the snapshots that are due, one after the other, and
// removes those that the configuration does not want kept.
func (n *Node) keepSnapshots(ctx context.Context) error {
	look := time.NewTicker(n.cfg.FilesCleanup.Interval)
	defer look.Stop()
	for {
		n.collectSnapshots(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		case job := <-n.toSnapshot:
			name, err := n.takeSnapshot(ctx, job)
			job.tx.Release()
			switch {
			case err == nil:
				n.info(ctx, "Snapshot written", slog.String("file", name))
			case ctx.Err() == nil:
				n.log.LogAttrs(ctx, slog.LevelWarn, "no snapshot", slog.Uint64("seqno", uint64(job.seqno)), slog.String("err", err.Error()))
			}
		}
	}
}

// collectSnapshots removes old snapshots.
func (n *Node) collectSnapshots(ctx context.Context) {
	removed, err := n.snapshots.Collect(int(n.cfg.FilesCleanup.SnapshotsMax))
	for _, path := range removed {
		n.info(ctx, "Removed an old snapshot", slog.String("file", path))
	}
	if err != nil {
		n.log.LogAttrs(ctx, slog.LevelWarn, "old snapshots not removed", slog.String("err", err.Error()))
	}
}

// takeSnapshot writes the state, has its digest ordered as a transaction of its
// own, and completes the file with the receipt of that.
func (n *Node) takeSnapshot(ctx context.Context, job snapshotJob) (string, error) {
	var starts []synod.SeqNo
	for _, v := range n.replica.ViewHistory(1) {
		if v.SeqNo <= job.seqno {
			starts = append(starts, v.SeqNo)
		}
	}
	p, err := n.snapshots.Write(ctx, snapshot.State{Tx: job.tx, Leaf: job.leaf, ViewStarts: starts, Secrets: n.secrets})
	if err != nil {
		return "", err
	}
	name, err := n.completeSnapshot(ctx, p)
	return name, errors.Join(err, p.Discard())
}

func (n *Node) completeSnapshot(ctx context.Context, p *snapshot.Pending) (string, error) {
	id, err := n.recordSnapshot(p)
	if err != nil {
		return "", err
	}
	if err := p.Recorded(id.SeqNo); err != nil {
		return "", err
	}
	status, proof, err := n.replica.WaitCommitted(ctx, id, true)
	if err != nil {
		return "", err
	}
	if status != synod.TxCommitted {
		return "", fmt.Errorf("its evidence %s was rolled back", id)
	}
	receipt, err := n.host.Receipt(id, proof)
	if err != nil {
		return "", err
	}
	name, err := p.Complete(receipt)
	return name.String(), err
}

// recordSnapshot orders the evidence of a snapshot.
func (n *Node) recordSnapshot(p *snapshot.Pending) (synod.TxID, error) {
	ws, err := p.Record()
	if err != nil {
		return synod.TxID{}, err
	}
	tx := n.store.Begin()
	defer tx.Release()
	for _, m := range ws.Maps {
		for _, w := range m.Writes {
			tx.Put(m.Name, w.Key, w.Value)
		}
	}
	return n.replica.Submit(machine.Prepare(tx, p.Digest))
}

// chooseSnapshot finds the state that a node begins with that joins or recovers:
// one that it fetched, else the newest of its directories, else none.
func (n *Node) chooseSnapshot(ctx context.Context) error {
	switch n.cfg.Command.Type {
	case config.CommandJoin:
	case config.CommandRecover:
		return n.chooseRecoverySnapshot(ctx)
	default:
		return nil
	}
	if n.cfg.Command.Join.FetchRecentSnapshot {
		if err := n.fetchSnapshot(ctx); errors.Is(err, errNoSnapshot) {
			n.info(ctx, "The service has no snapshot to join from")
		} else if err != nil {
			n.log.LogAttrs(ctx, slog.LevelWarn, "no snapshot fetched", slog.String("err", err.Error()))
		}
	}
	f, refused, err := n.snapshots.Newest(func(f *snapshot.File) error {
		return n.vouched(ctx, func(service string) error {
			_, err := snapshot.Verify(f, f.Size, snapshot.Trust{Service: []byte(service), Name: f.Name})
			return err
		})
	})
	n.logRefused(ctx, refused)
	if errors.Is(err, snapshot.ErrNotFound) {
		return damaged(refused)
	}
	if err != nil {
		return err
	}
	n.beginning, n.startup.SeqNo = f, f.Name.SeqNo
	n.info(ctx, "Joining from snapshot", slog.String("file", f.Path), slog.Uint64("seqno", uint64(f.Name.SeqNo)))
	return nil
}

// damaged is the error for a node that was given a damaged snapshot to begin with
// and nothing better. It is not left to replay the whole ledger unasked
// (CCF: tests/e2e_operations.py, test_nulled_snapshot). A sound one of a service
// long gone is no reason to end.
func damaged(refused []snapshot.Refused) error {
	for _, r := range refused {
		if errors.Is(r.Err, snapshot.ErrEmpty) || errors.Is(r.Err, snapshot.ErrNotFound) || errors.Is(r.Err, receipt.ErrWrongService) {
			continue
		}
		return &Error{ExitValidation, fmt.Errorf("no snapshot can be used: %s: %w: replace the file, or remove it to read the ledger from its beginning", r.Path, r.Err)}
	}
	return nil
}

// logRefused says which snapshots are not used.
func (n *Node) logRefused(ctx context.Context, refused []snapshot.Refused) {
	for _, r := range refused {
		if errors.Is(r.Err, snapshot.ErrEmpty) {
			n.info(ctx, "Ignoring empty snapshot file "+r.Name.String()) // CCF's text
			continue
		}
		n.log.LogAttrs(ctx, slog.LevelWarn, "a snapshot is not used", slog.String("file", r.Path), slog.String("err", r.Err.Error()))
	}
}

// vouched tries with the service that this node joins and, if a snapshot is not
// of that, with the one that it recovers, of which it still uses snapshots.
func (n *Node) vouched(ctx context.Context, try func(service string) error) error {
	n.voucher = n.service.cert()
	err := try(n.voucher)
	if !errors.Is(err, receipt.ErrWrongService) {
		return err
	}
	previous, ok := n.previousIdentity(ctx)
	if !ok {
		return err
	}
	n.voucher = previous
	return try(previous)
}

// trust is what the chosen snapshot must agree with: the service whose node
// signed it.
func (n *Node) trust(f *snapshot.File) snapshot.Trust {
	return snapshot.Trust{Service: []byte(n.voucher), Name: f.Name}
}

// loadSnapshot puts the chosen snapshot into store and tree, with the secrets
// that the service gave, and says where consensus goes on from it. Of a service
// that is being recovered, only the public part can be loaded for now.
func (n *Node) loadSnapshot(start *joinStart) (*consensus.Start, error) {
	if n.beginning == nil {
		return &consensus.Start{Configuration: start.Configuration, Origin: start.Origin}, nil
	}
	f := n.beginning
	chain := n.secretsOf(f)
	if n.hidden.Load() {
		chain = nil
	}
	loaded, err := snapshot.Load(f, f.Size, n.trust(f), chain, n.store)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", f.Path, err)
	}
	if chain != nil {
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	n.tree.Adopt(loaded.Tree)
	n.machine.Begin(loaded.TxID.SeqNo)
	begin := &consensus.Start{After: loaded.TxID, ViewStarts: loaded.ViewStarts, Configuration: start.Configuration, Origin: start.Origin}
	switch ours := n.voucher == n.service.cert(); {
	case !ours && loaded.TxID.SeqNo >= start.Origin:
		return nil, fmt.Errorf("%w: %s is of the service before this one, which recovered it from an earlier state: remove the file", errJoinRefused, f.Path)
	case ours && loaded.TxID.SeqNo >= start.Origin:
		if begin.Configuration, err = loadedConfiguration(n.store, loaded.TxID); err != nil {
			return nil, err
		}
	}
	return begin, nil
}
