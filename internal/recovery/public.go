package recovery

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"synod"
	"synod/internal/audit"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/merkle"
)

// readMax is how many bytes of the ledger are read at once.
const readMax = 4 << 20

// checksMax bounds the signatures that are being verified.
const checksMax = 64

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

	jobs    chan *pending
	workers sync.WaitGroup
	waiting []*pending // in ledger order

	signatures []synod.SeqNo // verified, and not vouched for by one after them
}

// pending is a signature that is being verified.
type pending struct {
	check   *audit.Check
	vouched bool       // by the service's key; set before done
	done    chan error // one place
}

func (p *public) start() {
	p.jobs = make(chan *pending, checksMax)
	for range runtime.GOMAXPROCS(0) {
		p.workers.Go(func() {
			for job := range p.jobs {
				err := job.check.Run()
				job.vouched = err == nil && job.check.Vouched()
				job.done <- err
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
	for next <= p.out.Present && p.out.Reason == "" {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		raw, err := p.log.Read(next, p.out.Present, readMax)
		var disk *ledger.IOError
		switch {
		case errors.As(err, &disk):
			return err
		case err != nil:
			p.out.Reason = err.Error()
		}
		for i := 0; i < len(raw) && p.out.Reason == ""; i++ {
			if err := p.entry(raw[i]); err != nil {
				p.out.Reason = err.Error()
			}
			next++
		}
		p.seen(p.out.Last)
	}
	return nil
}

func (p *public) entry(b []byte) error {
	e, err := ledger.ParseEntry(b)
	if err != nil {
		return err
	}
	check, maps, err := p.verifier.AddDecoded(e)
	if err != nil {
		return err
	}
	if err := p.store.Commit(&kv.WriteSet{Maps: maps}, e.TxID); err != nil {
		return err
	}
	p.out.Read = e.TxID.SeqNo
	if e.TxID.View > p.view {
		p.view, p.opened = e.TxID.View, append(p.opened, e.TxID)
	}
	if check == nil {
		return nil
	}
	job := &pending{check: check, done: make(chan error, 1)}
	p.waiting = append(p.waiting, job)
	p.jobs <- job
	for len(p.waiting) > 0 {
		select {
		case err := <-p.waiting[0].done:
			if err := p.believe(err); err != nil {
				return err
			}
			continue
		default:
		}
		if len(p.waiting) < checksMax {
			return nil
		}
		if err := p.believe(<-p.waiting[0].done); err != nil {
			return err
		}
	}
	return nil
}

// believe takes the verdict on the oldest signature that waits. One that the
// service's key does not vouch for is believed with the next for which it does:
// members know their service by that key, and the ledger must not end in what
// others have added.
func (p *public) believe(verdict error) error {
	id, vouched := p.waiting[0].check.TxID, p.waiting[0].vouched
	p.waiting = p.waiting[1:]
	if verdict != nil {
		p.waiting = nil // none after it counts
		return verdict
	}
	p.signatures = append(p.signatures, id.SeqNo)
	if !vouched {
		return nil
	}
	p.out.Last = id
	p.out.Signatures = append(p.out.Signatures, p.signatures...)
	p.signatures = p.signatures[:0]
	p.verifier.Hold(id.SeqNo)
	p.store.Compact(id.SeqNo)
	return nil
}

// end waits for the signatures.
func (p *public) end() error {
	for len(p.waiting) > 0 {
		if err := p.believe(<-p.waiting[0].done); err != nil {
			p.out.Reason = err.Error()
		}
	}
	close(p.jobs)
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
