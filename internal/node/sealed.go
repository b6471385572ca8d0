package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"synod"
	"synod/internal/attest"
	"synod/internal/consensus"
	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/recovery"
	"synod/internal/sealing"
	"synod/internal/secrets"
	"synod/internal/tables"
)

// sealed is what a node keeps on its disk of the service's secrets.
type sealed struct {
	dir  *sealing.Dir // nil if the configuration names none; keepSealed's
	last atomic.Pointer[sealedState]
}

// sealedState is what was sealed last.
type sealedState struct {
	policyAt, latest synod.SeqNo
	cert             string
	secret           *secrets.Secret // the latest
	committed        synod.TxID
	source           string // what the platform's key is
	err              error  // why it could not be; all else but policyAt is then unset
}

// settled says that the latest secret was committed by then. A sealed service names
// the commit that it knows of, and no ledger may end before that.
func (s *sealedState) settled() bool { return s.err != nil || s.latest <= s.committed.SeqNo+1 }

// sealingKey is what seals on this machine, for this node's code.
func (n *Node) sealingKey(tcb string) (attest.SealingKey, error) { return attest.Seal(n.driver, tcb) }

// reseal makes keepSealed look.
func (n *Node) reseal() {
	select {
	case n.toSeal <- struct{}{}:
	default:
	}
}

func (n *Node) onSealedResume(synod.TxID, kv.MapWrites) { n.reseal() }

// sealEvery is how often a node that could not seal, or remove what it has sealed,
// tries again.
const sealEvery = time.Second

// settleEvery is how often a node looks that has sealed a ledger secret before the
// entry that makes it is committed.
const settleEvery = 100 * time.Millisecond

// keepSealed keeps what is sealed as members want it and as new as the ledger's
// secrets. Nothing is touched before the service is open: what this node came back
// from may be needed again.
func (n *Node) keepSealed(ctx context.Context) error {
	path := n.cfg.OutputFiles.SealedLedgerSecretLocation
	if path == "" {
		return nil
	}
	n.sealed.dir = sealing.NewDir(path, nil, n.sealingKey)
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.toSeal:
		case <-again:
		}
		again = nil
		if err := n.sealNow(ctx); err != nil {
			n.log.LogAttrs(ctx, slog.LevelWarn, "the service's secrets on this node's disk are not as members want them, will retry",
				slog.String("directory", path), slog.String("err", err.Error()))
			again = time.After(sealEvery)
		} else if last := n.sealed.last.Load(); last != nil && !last.settled() {
			again = time.After(settleEvery)
		}
	}
}

func (n *Node) sealNow(ctx context.Context) error {
	if !n.serviceOpen.Load() || n.hidden.Load() || n.unsettled.Load() {
		return nil
	}
	tx, err := n.store.BeginAt(n.store.Compacted().SeqNo)
	if err != nil {
		return err
	}
	defer tx.Release()
	allowed, err := sealing.Allowed(tx)
	if err != nil {
		return err
	}
	if allowed == 0 {
		return n.unsealNow(ctx)
	}
	all := n.secrets.All()
	next := &sealedState{
		policyAt: allowed, latest: all[len(all)-1].From, secret: all[len(all)-1].Secret, cert: n.service.cert(), committed: n.replica.Committed(),
	}
	if last := n.sealed.last.Load(); last != nil && last.err == nil && last.policyAt == next.policyAt && last.latest == next.latest &&
		last.secret == next.secret && last.cert == next.cert && last.settled() == next.settled() {
		return nil
	}
	next.source, err = n.sealed.dir.Write(&sealing.Service{
		Key: n.service.key, Certificate: next.cert, Secrets: all, Committed: next.committed, PolicyAt: next.policyAt,
	})
	if err != nil {
		n.sealed.last.Store(&sealedState{policyAt: allowed, err: err})
		return err
	}
	n.sealed.last.Store(next)
	n.info(ctx, "The service's key and ledger secrets are sealed on this node's disk, as members allow",
		slog.String("directory", n.sealed.dir.Path()), slog.String("sealing_key", next.source), slog.Uint64("ledger_secret_seqno", uint64(next.latest)))
	return nil
}

// unsealNow removes what was sealed.
func (n *Node) unsealNow(ctx context.Context) error {
	if err := n.sealed.dir.Remove(); err != nil {
		return err
	}
	if n.sealed.last.Swap(nil) != nil {
		n.info(ctx, "What this node had sealed is removed: members no longer allow it", slog.String("directory", n.sealed.dir.Path()))
	}
	return nil
}

// unsealService takes the identity of the service that is to resume from this
// node's disk.
func (n *Node) unsealService() error {
	dir := n.previouslySealed()
	s, err := dir.Read()
	if err != nil {
		return &Error{ExitValidation, fmt.Errorf("sealed resume: %w", err)}
	}
	if previous, err := identity.ParseCertPEM([]byte(n.recovering.previous)); err != nil || !s.Key.PublicKey.Equal(previous.PublicKey) {
		return &Error{ExitValidation, fmt.Errorf("sealed resume: what is sealed in %s is another service's than that of command.recover.previous_service_identity_file", dir.Path())}
	}
	n.recovering.resumed = s
	n.service = &serviceState{key: s.Key}
	return n.service.set(s.Certificate)
}

func (n *Node) previouslySealed() *sealing.Dir {
	return sealing.NewDir(n.cfg.Command.Recover.PreviousSealedSecretLocation, nil, n.sealingKey)
}

// checkResume says whether the service may resume after the ledger as it was read,
// before anything is changed. Its certificate may have been renewed since it was
// sealed.
func (n *Node) checkResume(last synod.TxID) error {
	s := n.recovering.resumed
	if s == nil {
		return nil
	}
	tx := n.store.Begin()
	defer tx.Release()
	if _, err := s.Fits(tx, last); err != nil {
		return fmt.Errorf("sealed resume: %w", err)
	}
	info, _, err := tables.GetJSON[tables.ServiceInfo](tx, tables.Service, tables.UnitKey())
	if err != nil {
		return err
	}
	if err := n.service.set(info.Cert); err != nil {
		return err
	}
	return n.writeCertificates()
}

// pastSecrets are the ledger secrets of the service before, from what was sealed; nil
// and the reason if they are not known.
func (n *Node) pastSecrets(tx *kv.Tx) (*secrets.Chain, error) {
	if n.recovering == nil || n.cfg.Command.Recover.PreviousSealedSecretLocation == "" {
		return nil, nil
	}
	last := n.recovering.outcome.Last
	if s := n.recovering.resumed; s != nil {
		from, err := sealing.LatestSecret(tx)
		if err != nil {
			return nil, err
		}
		chain := secrets.NewChain()
		for _, e := range s.Secrets {
			if e.From <= from { // one that came later was never used
				chain.Add(e)
			}
		}
		_, latest := chain.Latest()
		stored, err := recovery.Secrets(latest, tx, n.ledger)
		if err != nil {
			return nil, err
		}
		for _, e := range stored.All() {
			chain.Add(e)
		}
		return chain, nil
	}
	if allowed, err := sealing.Allowed(tx); err != nil || allowed == 0 {
		return nil, errors.Join(err, sealing.ErrNotAllowed)
	}
	dir := n.previouslySealed()
	latest, err := dir.ReadSecret(last.SeqNo)
	if err != nil {
		return nil, err
	}
	from, err := sealing.LatestSecret(tx)
	if err != nil {
		return nil, err
	}
	if latest.From != from {
		return nil, fmt.Errorf("the newest ledger secret that can be opened in %s is that since %d, the ledger's last is that since %d", dir.Path(), latest.From, from)
	}
	return recovery.Secrets(latest.Secret, tx, n.ledger)
}

// awaitSecrets is the second half of a recovery: the service waits for members'
// shares, unless the ledger secrets are known from what was sealed
// (CCF: src/node/node_state.h, transition_service_to_open).
func (n *Node) awaitSecrets(tx *kv.Tx, info tables.ServiceInfo) error {
	tx.Clear(tables.SubmittedShares)
	info.Status = tables.ServiceWaitingForRecoveryShares
	kind := tables.RecoveryByShares
	chain, err := n.pastSecrets(tx)
	if err != nil {
		n.log.LogAttrs(context.Background(), slog.LevelWarn, "Sealed ledger secrets cannot be used, members' shares are needed", slog.String("err", err.Error()))
	}
	if chain != nil {
		kind = tables.RecoveryLocalUnsealing
		if err := n.broadcast(tx, chain.All()); err != nil {
			return err
		}
	}
	if err := tables.PutJSON(tx, tables.LastRecoveryType, tables.UnitKey(), kind); err != nil {
		return err
	}
	return tables.PutJSON(tx, tables.Service, tables.UnitKey(), info)
}

// resuming says how many nodes a service that resumes waits for, of how many, and
// until when; false if this node does not resume it, or not any more.
func (n *Node) resuming() (missing, of int, until time.Time, ok bool) {
	begun := n.resumed.Load()
	if begun == nil || n.serviceOpen.Load() || !n.hidden.Load() {
		return 0, 0, time.Time{}, false
	}
	return max(begun.nodes-len(n.roster.trusted()), 0), begun.nodes, begun.at.Add(n.cfg.Command.Recover.SealedResumeWait), true
}

// resumeBegin is when a service began to resume, and how many nodes it had.
type resumeBegin struct {
	at    time.Time
	nodes int
}

// keepResuming goes on with a service that resumes: members have agreed beforehand.
// While it is Recovering, nodes that may join are trusted at once.
func (n *Node) keepResuming(ctx context.Context) {
	missing, _, until, ok := n.resuming()
	if !ok || missing > 0 && time.Now().Before(until) {
		return
	}
	err := n.write(func(tx *kv.Tx) error {
		info, ok, err := tables.GetJSON[tables.ServiceInfo](tx, tables.Service, tables.UnitKey())
		if err != nil || !ok || info.Status != tables.ServiceRecovering {
			return err
		}
		return n.awaitSecrets(tx, info)
	})
	if err != nil && !errors.Is(err, consensus.ErrNotPrimary) && !errors.Is(err, consensus.ErrStopped) {
		n.log.LogAttrs(ctx, slog.LevelWarn, "the service cannot resume", slog.String("err", err.Error()))
	}
}
