package historical

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"synod"
	"synod/app"
	"synod/internal/ledger"
)

const (
	// feedsMax bounds the feeds of a node: each reads what is committed for
	// itself.
	feedsMax = 256
	// callerFeedsMax bounds those of one caller, and strangerFeedsMax those of all
	// whom nothing tells apart.
	callerFeedsMax   = 32
	strangerFeedsMax = 128
	// behindMax bounds the feeds that are far behind: each takes a core.
	behindMax = 8
	// callerBehindMax and strangerBehindMax are the parts of it.
	callerBehindMax   = 2
	strangerBehindMax = 4
	// behindBy is how many transactions are far.
	behindBy = 1 << 12
	// aliveEvery is how often a feed without changes says how far it is.
	aliveEvery = 10 * time.Second
)

// feeds counts those that are open.
type feeds struct {
	mu      sync.Mutex
	all     feedCount             // guarded by mu
	callers map[string]*feedCount // guarded by mu; of those who have one
}

type feedCount struct{ open, behind int }

// admits says whether a caller may have another feed. mu is held.
func (f *feeds) admits(caller string, behind bool) bool {
	open, far := callerFeedsMax, callerBehindMax
	if caller == "" {
		open, far = strangerFeedsMax, strangerBehindMax
	}
	own := feedCount{}
	if c := f.callers[caller]; c != nil {
		own = *c
	}
	return f.all.open < feedsMax && own.open < open && (!behind || f.all.behind < behindMax && own.behind < far)
}

// enter counts a feed if it may be.
func (f *feeds) enter(caller string, behind bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.admits(caller, behind) {
		return false
	}
	f.add(caller, 1, behind)
	return true
}

// add counts a feed, or one less. mu is held.
func (f *feeds) add(caller string, n int, behind bool) {
	if f.callers == nil {
		f.callers = map[string]*feedCount{}
	}
	own := f.callers[caller]
	if own == nil {
		own = &feedCount{}
		f.callers[caller] = own
	}
	f.all.open, own.open = f.all.open+n, own.open+n
	if behind {
		f.all.behind, own.behind = f.all.behind+n, own.behind+n
	}
	if own.open == 0 {
		delete(f.callers, caller)
	}
}

// leave ends one.
func (f *feeds) leave(caller string, behind bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.add(caller, -1, behind)
}

// caughtUp counts one as no longer far behind.
func (f *feeds) caughtUp(caller string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all.behind--
	f.callers[caller].behind--
}

func (h *History) farBehind(seqno synod.SeqNo) bool {
	return seqno+behindBy < h.cfg.Committed().SeqNo
}

// Admits says whether there may be one more feed. See app.History.
func (h *History) Admits(q app.FeedQuery) error {
	h.feeds.mu.Lock()
	defer h.feeds.mu.Unlock()
	if !h.feeds.admits(q.Caller, h.farBehind(q.After)) {
		return app.ErrTooManyFeeds
	}
	return nil
}

// Changes tells of committed transactions as they come. See app.History.
func (h *History) Changes(ctx context.Context, q app.FeedQuery, tell func(*app.State) error, alive func(upTo synod.TxID) error) error {
	behind := h.farBehind(q.After)
	if !h.feeds.enter(q.Caller, behind) {
		return app.ErrTooManyFeeds
	}
	defer func() { h.feeds.leave(q.Caller, behind) }()
	f := feed{h: h, next: q.After + 1, maps: q.Maps, tell: tell, fetch: h.fetchRun}
	if q.MapsOnly && !slices.ContainsFunc(q.Maps, func(m string) bool { return !isPublic(m) }) {
		f.fetch = h.fetchPublic
	}
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
			if behind && !h.farBehind(f.next) {
				behind = false
				h.feeds.caughtUp(q.Caller)
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

func isPublic(mapName string) bool { return strings.HasPrefix(mapName, "public:") }

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

	fetch func(from, to synod.SeqNo, pass func(*state) error) (int, error)
}

// read reads some of the transactions up to last, and tells of those that wrote
// to the maps.
func (f *feed) read(ctx context.Context, last synod.SeqNo) error {
	f.told = false
	n, err := f.fetch(f.next, last, func(s *state) error {
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
