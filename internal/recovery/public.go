package recovery

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"synod"
	"synod/internal/audit"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/merkle"
)

// claimsMax bounds the runs of signatures that are being verified.
const claimsMax = 8

// ErrNothing says that no signature in the ledger can be believed.
var ErrNothing = errors.New("the ledger holds no signature that can be believed")

// ErrCommitted says that a recovery would have to cut off entries that were
// committed.
var ErrCommitted = errors.New("committed entries cannot be believed")

// Begin is the state that the ledger is read after: that of a snapshot that was
// loaded, or the zero value.
type Begin struct {
	TxID       synod.TxID
	Tree       *merkle.Tree // over all up to TxID; nil without a snapshot
	ViewStarts []synod.SeqNo
}

// Outcome is how far the ledger can be believed.
type Outcome struct {
	Last       synod.TxID    // the last signature that the service's key vouches for, with all before it verified
	Tree       *merkle.Tree  // over all up to it
	ViewStarts []synod.SeqNo // of the views 1, 2, … up to it
	Signatures []synod.SeqNo // up to it, as far as they were read

	Read    synod.SeqNo // the last entry that could be read
	Present synod.SeqNo // the last entry that the ledger claims to hold
	Reason  string      // why entries after Last are not taken; "" if there are none
}

// Public reads the public part of the log after begin into the store, whose tip
// begin's transaction is, up to the last signature that verifies. seen is told
// how far it has come. The error is ErrNothing, ErrCommitted, a *ledger.IOError or
// ctx's; otherwise the first entry that cannot be read or believed ends the
// ledger.
func Public(ctx context.Context, log *ledger.Log, store *kv.Store, begin Begin, seen func(synod.TxID)) (*Outcome, error) {
	p := &public{ctx: ctx, log: log, store: store, seen: seen, out: &Outcome{Last: begin.TxID, ViewStarts: begin.ViewStarts, Read: begin.TxID.SeqNo, Present: log.Last()}}
	p.verifier, p.view = audit.NewVerifier(), synod.View(len(begin.ViewStarts))
	if begin.Tree != nil {
		tx := store.Begin()
		var err error
		p.verifier, err = audit.NewVerifierAfter(begin.TxID, begin.Tree, tx)
		tx.Release()
		if err != nil {
			return nil, err
		}
		p.verifier.Hold(begin.TxID.SeqNo)
	}
	p.start()
	err := p.entries()
	if endErr := p.end(); err == nil {
		err = endErr
	}
	if err != nil {
		return nil, err
	}
	return p.cut()
}

// public is one run of Public.
type public struct {
	ctx      context.Context
	log      *ledger.Log
	store    *kv.Store
	verifier *audit.Verifier
	seen     func(synod.TxID)
	out      *Outcome
	view     synod.View   // of the newest entry
	opened   []synod.TxID // the first entry of each view that has one

	claims  chan *claim
	workers sync.WaitGroup
	waiting []*claim       // in ledger order
	checks  []*audit.Check // of the signatures since the last claim

	signatures []synod.SeqNo // not vouched for by one after them
}

// claim is a run of signatures of which the newest that can be believed is
// looked for. That one covers all before it, whose roots have been compared with
// the tree: verifying them too would cost most of a recovery's time.
type claim struct {
	checks []*audit.Check
	done   chan verdict // one place
}

// verdict is what became of a claim.
type verdict struct {
	good int   // the signature to be believed, -1 for none
	bad  error // the newest one of all does not verify
}

func (c *claim) judge() verdict {
	v := verdict{good: -1}
	for i, check := range slices.Backward(c.checks) {
		err := check.Run()
		if err != nil && v.bad == nil {
			v.bad = err
		}
		if err == nil && check.Vouched() {
			v.good = i
			return v
		}
	}
	return v
}

func (p *public) start() {
	p.claims = make(chan *claim, claimsMax)
	for range runtime.GOMAXPROCS(0) {
		p.workers.Go(func() {
			for c := range p.claims {
				c.done <- c.judge()
			}
		})
	}
}

// entries reads until the ledger ends, or something in it cannot be believed:
// then the reason is in the outcome.
func (p *public) entries() error {
	next := p.out.Read + 1
	if first := p.log.First(); p.log.Last() >= next && first > next {
		return fmt.Errorf("%w: the ledger lacks the entries %d to %d: bring the files that hold them, or a snapshot of entry %d or later",
			ErrCommitted, next, first-1, first-1)
	}
	if next > p.out.Present {
		return nil
	}
	err := ahead(p.ctx, p.log, next, p.out.Present, decode, func(entries []*audit.Decoded) error {
		for _, e := range entries {
			if err := p.entry(e); err != nil {
				return err
			}
		}
		if err := p.claim(); err != nil {
			return err
		}
		p.seen(p.out.Last)
		return nil
	})
	var disk *ledger.IOError
	if errors.As(err, &disk) || p.ctx.Err() != nil {
		return err
	}
	if err != nil {
		p.out.Reason = err.Error()
	}
	return nil
}

// decode runs on several goroutines.
func decode(b []byte) (*audit.Decoded, error) {
	e, err := ledger.ParseEntry(b)
	if err != nil {
		return nil, err
	}
	return audit.Decode(e), nil
}

func (p *public) entry(e *audit.Decoded) error {
	check, err := p.verifier.AddDecoded(e)
	if err != nil {
		return err
	}
	id := e.TxID()
	if err := p.store.Commit(&kv.WriteSet{Maps: e.Maps}, id); err != nil {
		return err
	}
	p.out.Read = id.SeqNo
	if id.View > p.view {
		p.view, p.opened = id.View, append(p.opened, id)
	}
	if check != nil {
		p.checks = append(p.checks, check)
	}
	return nil
}

// claim has the signatures looked at that have come since the last time, and
// takes the verdicts on those before.
func (p *public) claim() error {
	if len(p.checks) > 0 {
		c := &claim{checks: p.checks, done: make(chan verdict, 1)}
		p.waiting, p.checks = append(p.waiting, c), nil
		p.claims <- c
	}
	for len(p.waiting) > 0 {
		select {
		case v := <-p.waiting[0].done:
			if err := p.believe(v); err != nil {
				return err
			}
			continue
		default:
		}
		if len(p.waiting) < claimsMax {
			return nil
		}
		if err := p.believe(<-p.waiting[0].done); err != nil {
			return err
		}
	}
	return nil
}

// believe takes the verdict on the oldest claim that waits. A signature that the
// service's key does not vouch for is believed with the next for which it does:
// members know their service by that key, and the ledger must not end in what
// others have added.
func (p *public) believe(v verdict) error {
	checks := p.waiting[0].checks
	p.waiting = p.waiting[1:]
	for i, check := range checks {
		p.signatures = append(p.signatures, check.TxID.SeqNo)
		if i == v.good {
			p.trust(check.TxID)
		}
	}
	if v.bad != nil {
		p.waiting, p.checks = nil, nil // none after it counts
	}
	return v.bad
}

// trust takes all up to a signature for good.
func (p *public) trust(id synod.TxID) {
	p.out.Last = id
	p.out.Signatures = append(p.out.Signatures, p.signatures...)
	p.signatures = p.signatures[:0]
	p.verifier.Hold(id.SeqNo)
	p.store.Compact(id.SeqNo)
}

// end waits for the signatures.
func (p *public) end() error {
	if err := p.claim(); err != nil {
		p.out.Reason = err.Error()
	}
	for len(p.waiting) > 0 {
		if err := p.believe(<-p.waiting[0].done); err != nil {
			p.out.Reason = err.Error()
		}
	}
	close(p.claims)
	p.workers.Wait()
	return p.ctx.Err()
}

// cut takes what no signature covers out of store and tree.
func (p *public) cut() (*Outcome, error) {
	out := p.out
	switch {
	case out.Last.IsZero() && out.Reason != "":
		return nil, fmt.Errorf("%w: %s", ErrNothing, out.Reason)
	case out.Last.IsZero():
		return nil, ErrNothing
	case out.Last.SeqNo < p.log.Committed():
		return nil, fmt.Errorf("%w: the ledger is good up to %s, but its files call the entries up to %d committed: %s; "+
			"take the files that hold these entries from another node or a backup, or, to go on without them, move them elsewhere",
			ErrCommitted, out.Last, p.log.Committed(), out.Reason)
	}
	p.seen(out.Last)
	if out.Last.SeqNo < out.Present && out.Reason == "" {
		out.Reason = "no signature covers them that the service's key vouches for"
	}
	p.store.Rollback(out.Last)
	var err error
	if out.Tree, err = p.verifier.Back(out.Last.SeqNo); err != nil {
		return nil, err
	}
	for _, first := range p.opened {
		for first.SeqNo <= out.Last.SeqNo && synod.View(len(out.ViewStarts)) < first.View {
			out.ViewStarts = append(out.ViewStarts, first.SeqNo)
		}
	}
	return out, nil
}
