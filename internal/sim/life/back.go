package life

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"synod"
	"synod/internal/evidence"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/merkle"
	"synod/internal/recovery"
	"synod/internal/sealing"
	"synod/internal/secrets"
	"synod/internal/snapshot"
	"synod/internal/tables"
	"synod/receipt"
)

func nowFunc() time.Time { return now }

// comeBack recovers the service from the node's disk: from what is sealed, if it is
// and members allow that, else by shares, which are always at hand here.
func (w *world) comeBack() (*service, error) {
	s, err := w.newService()
	if err != nil {
		return nil, err
	}
	begin, f, err := s.newestSnapshot()
	if err != nil {
		return nil, err
	}
	if f != nil {
		defer f.Close()
	}
	if s.log, err = w.openLog(begin.TxID.SeqNo); err != nil {
		return nil, w.refused("open the ledger", err)
	}
	out, err := recovery.Public(context.Background(), s.log, s.store, begin, func(synod.TxID) {})
	if err != nil {
		return nil, w.refused("read the ledger", err)
	}
	if err := w.check(s.log, out); err != nil {
		return nil, err
	}
	latest, resumed, err := s.past(out)
	if err != nil {
		return nil, err
	}
	if err := s.log.Truncate(out.Last.SeqNo); err != nil {
		return nil, err
	}
	if err := s.found(out, resumed); err != nil {
		return nil, err
	}
	if err := s.reveal(f, latest); err != nil {
		return nil, err
	}
	return s, s.reopen()
}

// refused says that the node did not come back, which it may only do when it has
// been killed once more.
func (w *world) refused(what string, err error) error {
	if w.disk.Crashed() {
		return err
	}
	return broken("%s: %v", what, err)
}

// newestSnapshot loads the newest snapshot that a service of this ledger has made.
func (s *service) newestSnapshot() (recovery.Begin, *snapshot.File, error) {
	var trust snapshot.Trust
	f, refused, err := s.snaps.Newest(func(f *snapshot.File) error {
		err := snapshot.ErrNotFound
		for _, cert := range s.w.certs {
			trust = snapshot.Trust{Service: []byte(cert), Name: f.Name}
			if _, err = snapshot.Verify(f, f.Size, trust); !errors.Is(err, receipt.ErrWrongService) {
				break
			}
		}
		return err
	})
	if s.w.disk.Crashed() {
		return recovery.Begin{}, nil, errors.Join(err, errors.New("killed"))
	}
	if len(refused) > 0 {
		return recovery.Begin{}, nil, broken("a snapshot with its final name is no snapshot: %v", refused)
	}
	switch {
	case errors.Is(err, snapshot.ErrNotFound):
		if s.w.snapshot > 0 {
			return recovery.Begin{}, nil, broken("the snapshot at %d", s.w.snapshot)
		}
		return recovery.Begin{}, nil, nil
	case err != nil:
		return recovery.Begin{}, nil, err
	}
	if f.Name.SeqNo < s.w.snapshot {
		return recovery.Begin{}, nil, errors.Join(broken("the snapshot at %d: the newest is that at %d", s.w.snapshot, f.Name.SeqNo), f.Close())
	}
	loaded, err := snapshot.Load(f, f.Size, trust, nil, s.store)
	if err != nil {
		return recovery.Begin{}, nil, errors.Join(s.w.refused("load a snapshot", err), f.Close())
	}
	s.w.result.Snapshots++
	return recovery.Begin{TxID: loaded.TxID, Tree: loaded.Tree.Release(), ViewStarts: loaded.ViewStarts}, f, nil
}

// check compares what can be believed with what was promised.
func (w *world) check(log *ledger.Log, out *recovery.Outcome) error {
	if log.First() > 1 {
		return broken("the ledger begins at %d", log.First())
	}
	got, err := log.Read(1, out.Last.SeqNo, 0)
	if err != nil {
		return w.refused("read the ledger", err)
	}
	switch {
	case len(got) < w.promised:
		return broken("%d entries can be believed, %d were promised: %s", len(got), w.promised, out.Reason)
	case holds(got, w.written):
		w.written = w.written[:len(got):len(got)]
	case w.before != nil && holds(got, w.before):
		w.written = w.before[:len(got):len(got)]
	default:
		return broken("%d entries can be believed that are not those that were written", len(got))
	}
	w.before, w.promised = nil, len(got)
	w.cfg.Trace("back at %s, %d entries", out.Last, len(got))
	return nil
}

// past is the ledger secret that the service used last: from what is sealed, or
// from members' shares. resumed is what was sealed, nil by shares.
func (s *service) past(out *recovery.Outcome) (latest *secrets.Secret, resumed *sealing.Service, err error) {
	tx := s.store.Begin()
	defer tx.Release()
	from, err := sealing.LatestSecret(tx)
	if err != nil {
		return nil, nil, broken("%v", err)
	}
	allowed, err := sealing.Allowed(tx)
	if err != nil {
		return nil, nil, err
	}
	if allowed != 0 && s.w.rng.IntN(3) > 0 {
		sealed, err := s.w.sealedDir().Read()
		if err == nil {
			latest, err = sealed.Fits(tx, out.Last)
		}
		if s.w.disk.Crashed() {
			return nil, nil, errors.Join(err, errors.New("killed"))
		}
		switch promised := s.w.sealed; {
		case err == nil:
			s.w.result.Resumed++
			return latest, sealed, nil
		case promised == nil && strings.Contains(err.Error(), "there is no sealed service"),
			promised == nil && strings.Contains(err.Error(), "another service's"), // that of the one before
			(promised == nil || promised.latest < from) && strings.Contains(err.Error(), "what is sealed is older than the ledger"):
			s.w.result.Refused++ // it says why, and shares are at hand
		default:
			return nil, nil, broken("what was sealed: %v", err)
		}
	}
	i := slices.IndexFunc(s.w.secrets, func(e secrets.Entry) bool { return e.From == from })
	if i < 0 {
		return nil, nil, broken("no secret is known for %d", from)
	}
	s.w.result.Recovered++
	return s.w.secrets[i].Secret, nil, nil
}

// found makes the first transaction of the recovered service.
func (s *service) found(out *recovery.Outcome, resumed *sealing.Service) error {
	w := s.w
	key, cert := keys[1+w.rng.IntN(3)], ""
	if resumed != nil {
		key, cert = resumed.Key, resumed.Certificate
	}
	if err := s.become(key, keys[4+w.rng.IntN(4)], cert); err != nil {
		return err
	}
	if resumed == nil {
		w.certs = append(w.certs, s.cert)
		w.sealed = nil
	}
	origin := out.Last.SeqNo + 1
	w.before = slices.Clone(w.written)
	s.chain.Set(origin, secretOf(w.rng.Uint64()))
	s.machine.Hide()
	s.machine.After(origin)
	s.machine.Begin(out.Last.SeqNo)
	s.tree.Adopt(evidence.TreeOf(out.Tree, out.Last.SeqNo))
	s.view = out.Last.View + 2
	s.starts = viewsTo(out.ViewStarts, s.view, origin)
	s.log.BeginRecovery(out.Last.SeqNo)
	if _, err := s.order([32]byte{}, kv.FlagChunkBefore, func(tx *kv.Tx) error {
		old, _, err := tables.GetJSON[tables.ServiceInfo](tx, tables.Service, tables.UnitKey())
		if err != nil {
			return err
		}
		if err := tables.PutJSON(tx, tables.PreviousServiceIdentity, tables.UnitKey(), old.Cert); err != nil {
			return err
		}
		if err := tables.PutJSON(tx, tables.Recovery, tables.UnitKey(), tables.RecoveryReport{After: out.Last, DroppedTo: max(out.Present, out.Last.SeqNo), Resumed: resumed != nil}); err != nil {
			return err
		}
		return s.create(tx, tables.ServiceInfo{Cert: s.cert, Status: tables.ServiceRecovering, CurrentServiceCreateTxID: &synod.TxID{View: s.view, SeqNo: origin}})
	}); err != nil {
		return err
	}
	_, err := s.commit()
	return err
}

// reveal reads the private ledger.
func (s *service) reveal(f *snapshot.File, latest *secrets.Secret) error {
	tx := s.store.Begin()
	past, err := recovery.Secrets(latest, tx, s.log)
	tx.Release()
	if err != nil {
		return s.w.refused("the ledger secrets", err)
	}
	origin := s.chain.All()[0].From
	for _, e := range past.All() {
		if e.From < origin {
			s.chain.Add(e)
		}
	}
	s.w.secrets = s.chain.All()
	base, tree, after := kv.NewBase(), merkle.New(), synod.SeqNo(0)
	if f != nil {
		store := kv.New()
		loaded, err := snapshot.Load(f, f.Size, snapshot.Trust{Service: s.voucher(f), Name: f.Name}, past, store)
		if err != nil {
			return s.w.refused("load the private part of a snapshot", err)
		}
		base, tree, after = kv.BaseOf(store), loaded.Tree.Release(), loaded.TxID.SeqNo
	}
	at := s.store.Compacted().SeqNo
	p := recovery.NewPrivate(s.log, s.chain, base, tree, after)
	if err := p.Run(context.Background(), at); err != nil {
		return s.w.refused("read the private ledger", err)
	}
	root, err := s.tree.RootAt(at)
	if err != nil {
		return err
	}
	whole, err := p.Base(root)
	if err != nil {
		return broken("%v", err)
	}
	if !s.machine.Reveal(whole, at) {
		return broken("the private maps are of another entry than %d", at)
	}
	return nil
}

// voucher is the certificate of the service whose snapshot a file is.
func (s *service) voucher(f *snapshot.File) []byte {
	for _, cert := range s.w.certs {
		if _, err := snapshot.Verify(f, f.Size, snapshot.Trust{Service: []byte(cert), Name: f.Name}); err == nil {
			return []byte(cert)
		}
	}
	return nil
}

// reopen opens the recovered service: it takes writes once its files have their
// names.
func (s *service) reopen() error {
	await := func(tx *kv.Tx) error {
		info, _, err := tables.GetJSON[tables.ServiceInfo](tx, tables.Service, tables.UnitKey())
		if err != nil {
			return err
		}
		info.Status = tables.ServiceWaitingForRecoveryShares
		return tables.PutJSON(tx, tables.Service, tables.UnitKey(), info)
	}
	for _, step := range []func(*kv.Tx) error{await, s.markOpen} {
		if _, err := s.order([32]byte{}, 0, step); err != nil {
			return err
		}
		if _, err := s.commit(); err != nil {
			return err
		}
	}
	if s.w.cfg.Bug == OpenBeforeRename {
		s.open = true
		if err := s.write(); err != nil {
			return err
		}
		if _, err := s.commit(); err != nil {
			return err
		}
	}
	if err := s.log.EndRecovery(); err != nil {
		return err
	}
	s.open = true
	s.w.promise()
	s.w.before = nil
	s.w.cfg.Trace("open again with %d entries", len(s.w.written))
	return s.seal()
}
