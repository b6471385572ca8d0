package historical

import (
	"context"
	"errors"
	"time"

	"synod"
	"synod/app"
	"synod/internal/ledger"
)

const (
	// feedsMax bounds the feeds of a node: each reads what is committed for
	// itself.
	feedsMax = 256
	// aliveEvery is how often a feed without changes says how far it is.
	aliveEvery = 10 * time.Second
)

// Changes tells of committed transactions as they come. See app.History.
func (h *History) Changes(ctx context.Context, after synod.SeqNo, maps []string, tell func(*app.State) error, alive func(upTo synod.TxID) error) error {
	if h.feeds.Add(1) > feedsMax {
		h.feeds.Add(-1)
		return app.ErrTooManyFeeds
	}
	defer h.feeds.Add(-1)
	f := feed{h: h, next: after + 1, maps: maps, tell: tell}
	due := time.NewTimer(aliveEvery)
	defer due.Stop()
	for {
		moved := h.cfg.Moved() // before looking
		for f.next <= h.cfg.Committed().SeqNo {
			if err := f.read(ctx, h.cfg.Committed().SeqNo); err != nil {
				return err
			}
			if f.told {
				due.Reset(aliveEvery)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		case <-due.C:
			due.Reset(aliveEvery)
			if err := alive(h.upTo(f.next - 1)); err != nil {
				return err
			}
		}
	}
}

// upTo is the transaction of a number, which is committed.
func (h *History) upTo(seqno synod.SeqNo) synod.TxID {
	view, _ := h.cfg.ViewOf(seqno)
	return synod.TxID{View: view, SeqNo: seqno}
}

// feed is one reader of what is committed. It holds what it reads at once and
// nothing else: a client that is slow is told later.
type feed struct {
	h    *History
	next synod.SeqNo // to be read
	maps []string
	tell func(*app.State) error
	told bool // by the last read
}

// read reads some of the transactions up to last, and tells of those that wrote
// to the maps.
func (f *feed) read(ctx context.Context, last synod.SeqNo) error {
	f.told = false
	n, err := f.h.fetchRun(f.next, last, func(s *state) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		f.next = s.id.SeqNo + 1
		for _, name := range f.maps {
			if m := s.find(name); len(m.Writes)+len(m.Removes) > 0 {
				f.told = true
				return f.tell(s.shown)
			}
		}
		return nil
	})
	if errors.Is(err, ledger.ErrNotFound) && n == 0 {
		return missing(f.h.upTo(f.next))
	}
	return err
}

// missing refuses to tell on from a transaction that the node's directories lack.
func missing(id synod.TxID) error {
	return synod.Errorf(404, synod.CodeResourceNotFound,
		"A feed cannot go on with transaction %s: the ledger of this node does not hold it. Ask another node, or put the chunk with it into one of the node's ledger.read_only_directories.", id)
}

// Resumable checks that a feed can go on after a transaction, or begin with the
// first if it is zero: that it is committed, and that the ledger still holds
// what followed. See app.History.
func (h *History) Resumable(id synod.TxID) error {
	if id.IsZero() {
		return h.holds(1)
	}
	switch status := h.cfg.Status(id); status {
	case synod.TxCommitted:
		return h.holds(id.SeqNo + 1)
	case synod.TxInvalid:
		return synod.Errorf(404, synod.CodeTransactionInvalid,
			"A feed cannot resume after transaction %s: it was never committed. Resume after one that was.", id)
	default:
		return synod.Errorf(404, synod.CodeTransactionPendingOrUnknown,
			"A feed cannot resume after transaction %s: it is not committed on this node, which is at %s.", id, h.cfg.Committed())
	}
}

// holds returns nil if the ledger holds an entry, or if that is still to come.
func (h *History) holds(seqno synod.SeqNo) error {
	if seqno > h.cfg.Committed().SeqNo {
		return nil
	}
	if _, err := h.cfg.Entries(seqno, seqno, 1); errors.Is(err, ledger.ErrNotFound) {
		return missing(h.upTo(seqno))
	}
	return nil
}
