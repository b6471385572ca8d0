package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"synod"
	"synod/internal/consensus"
	"synod/internal/kv"
	"synod/internal/merkle"
	"synod/internal/recovery"
	"synod/internal/secrets"
	"synod/internal/snapshot"
	"synod/internal/tables"
)

// privateRecovery is the reading of the private ledger, while it is under way.
type privateRecovery struct {
	*recovery.Private
	target synod.SeqNo // the entry that made the past ledger secrets known
}

// hide makes this node one that knows the public part of the service alone, as
// all do while the service is recovered. Before it takes part in consensus.
func (n *Node) hide() {
	n.hidden.Store(true)
	n.machine.Hide()
}

// onPastSecrets takes the ledger secrets of the past that a recovery found, once
// they are committed. The private ledger can be read then. It runs on the
// replica goroutine.
func (n *Node) onPastSecrets(id synod.TxID, w kv.MapWrites) {
	if !n.hidden.Load() || *n.state.Load() != statePartOfPublicNetwork {
		return
	}
	for _, row := range w.Writes {
		var broadcast tables.LedgerSecretsForNodes
		if err := json.Unmarshal(row.Value, &broadcast); err != nil {
			n.fail("recovered ledger secrets", id, err)
			return
		}
		var past []secrets.Entry
		for _, s := range broadcast[n.id.node] {
			raw, err := secrets.DecryptWith(n.id.encryptionKey, s.EncryptedSecret)
			if err != nil || len(raw) != secrets.Size || s.Version == nil {
				n.fail("recovered ledger secrets", id, errors.New("one cannot be decrypted"))
				return
			}
			e := secrets.Entry{From: synod.SeqNo(*s.Version), Secret: secrets.SecretFrom([secrets.Size]byte(raw))}
			if s.PreviousSecretStoredVersion != nil {
				e.StoredAt = synod.SeqNo(*s.PreviousSecretStoredVersion)
			}
			past = append(past, e)
		}
		if len(past) > 0 {
			n.secrets.Add(past...) // at once: readers of the past walk back through them
			n.setState(stateReadingPrivateLedger)
			n.toRead <- id.SeqNo // has a place: this happens once
		}
	}
}

// keepRecovery reads the private ledger once the secrets for it are known, and
// gives the ledger's files their names once the service is open.
func (n *Node) keepRecovery(ctx context.Context) error {
	ended := n.ended
	for {
		select {
		case <-ctx.Done():
			return nil
		case target := <-n.toRead:
			if err := n.readPrivate(ctx, target); err != nil && ctx.Err() == nil {
				return fmt.Errorf("recover the private ledger: %w", err)
			}
		case <-ended:
			if err := n.ledger.EndRecovery(); err != nil {
				return fmt.Errorf("end the recovery: %w", err)
			}
			ended = nil
			if !n.unsettled.Swap(false) {
				continue
			}
			n.reseal()
			if err := n.replica.Do(ctx, n.present); err != nil && !errors.Is(err, consensus.ErrStopped) && ctx.Err() == nil {
				return err
			}
		}
	}
}

// readEvery is how often a node that has read all of its ledger looks for what
// has been committed meanwhile.
const readEvery = 2 * time.Millisecond

// readPrivate reads the ledger again, now with its private part, up to what is
// committed, and puts the private maps into the store.
func (n *Node) readPrivate(ctx context.Context, target synod.SeqNo) error {
	n.info(ctx, "Beginning private recovery", slog.Uint64("seqno", uint64(target)))
	p, err := n.beginPrivate(target)
	if err != nil {
		return err
	}
	n.private.Store(p)
	tick := time.NewTicker(readEvery)
	defer tick.Stop()
	for {
		// What is committed need not be on this node's disk yet.
		if err := p.Run(ctx, min(n.store.Compacted().SeqNo, n.ledger.Last())); err != nil {
			return err
		}
		done := false
		if err := n.replica.Do(ctx, func() { done, err = n.reveal(p) }); err != nil {
			return err
		}
		if err != nil {
			return err
		}
		if done {
			n.private.Store(nil)
			n.info(ctx, "Private recovery complete", slog.Uint64("seqno", uint64(p.At())))
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// beginPrivate starts where the public part started: with the snapshot, or with
// nothing.
func (n *Node) beginPrivate(target synod.SeqNo) (*privateRecovery, error) {
	f := n.beginning
	if f == nil {
		p := recovery.NewPrivate(n.ledger, n.secrets, kv.NewBase(), merkle.New(), 0)
		return &privateRecovery{p, target}, nil
	}
	store := kv.New()
	loaded, err := snapshot.Load(f, f.Size, n.trust(f), n.secretsOf(f), store)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", f.Path, err)
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	n.beginning = nil
	p := recovery.NewPrivate(n.ledger, n.secrets, kv.BaseOf(store), loaded.Tree.Release(), loaded.TxID.SeqNo)
	return &privateRecovery{p, target}, nil
}

// secretsOf are the ledger secrets for a snapshot. One of a service before this one
// may be recorded by an entry that this one has dropped and written anew.
func (n *Node) secretsOf(f *snapshot.File) *secrets.Chain {
	origin := synod.SeqNo(n.origin.Load())
	if f.Name.SeqNo >= origin {
		return n.secrets
	}
	past := secrets.NewChain()
	for _, e := range n.secrets.All() {
		if e.From < origin {
			past.Add(e)
		}
	}
	return past
}

// reveal puts the private maps into the store, if they are those of what is
// committed. It runs on the replica goroutine.
func (n *Node) reveal(p *privateRecovery) (bool, error) {
	at := p.At()
	if n.store.Compacted().SeqNo != at {
		return false, nil
	}
	root, err := n.tree.RootAt(at)
	if err != nil {
		return false, err
	}
	base, err := p.Base(root)
	if err != nil {
		return false, err
	}
	if !n.machine.Reveal(base, at) {
		return false, nil
	}
	n.hidden.Store(false)
	n.setState(statePartOfNetwork)
	n.present()
	n.nudge()
	n.reseal()
	return true, nil
}

// openRecovered opens the recovered service, once this node leads and has its
// private part: shares of the new ledger secret, the secrets of the past behind
// it, and the endorsement of the previous identity
// (CCF: src/node/node_state.h, recover_private_ledger_end).
func (n *Node) openRecovered() error {
	if n.hidden.Load() || n.serviceOpen.Load() {
		return nil
	}
	return n.write(func(tx *kv.Tx) error {
		info, ok, err := tables.GetJSON[tables.ServiceInfo](tx, tables.Service, tables.UnitKey())
		if err != nil || !ok || info.Status != tables.ServiceWaitingForRecoveryShares {
			return err
		}
		tx.Clear(tables.SubmittedShares)
		return n.markOpen(tx, info)
	})
}

// keepOpening opens a recovered service if it is this node's turn.
func (n *Node) keepOpening(ctx context.Context) {
	err := n.openRecovered()
	if err == nil || errors.Is(err, consensus.ErrNotPrimary) || errors.Is(err, consensus.ErrStopped) {
		return
	}
	n.log.LogAttrs(ctx, slog.LevelWarn, "the recovered service cannot be opened", slog.String("err", err.Error()))
}
