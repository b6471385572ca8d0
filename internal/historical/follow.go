package historical

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"synod"
	"synod/internal/kv"
	"synod/internal/secrets"
)

// Follower is told what transactions wrote to one map, in order and once each,
// from the first of the service on: what is past is read from the ledger, what
// comes is told as it is committed. It may be used from several goroutines.
type Follower struct {
	h       *History
	mapName string
	apply   func(synod.TxID, kv.MapWrites)
	unhook  func()

	mu     sync.Mutex
	live   bool        // guarded by mu; told by commit, no longer from the ledger
	passed synod.SeqNo // guarded by mu; the newest that commit did not tell of, or may not have
	upTo   synod.SeqNo // guarded by mu; told everything up to here; not used once live
	err    error       // guarded by mu; why it does not go on just now
	ended  bool        // guarded by mu
	told   synod.SeqNo // guarded by mu; up to here by commit, before that went over a hole
}

// Follow begins to tell a follower of a map. apply runs on the goroutine that
// reads the ledger, and later on the one that commits.
func (h *History) Follow(mapName string, apply func(synod.TxID, kv.MapWrites)) *Follower {
	f := &Follower{h: h, mapName: mapName, apply: apply}
	h.mu.Lock()
	h.all = append(h.all, f)
	h.mu.Unlock()
	f.unhook = h.cfg.Store.Follow(mapName, f.committed)
	f.mu.Lock()
	// Commit does not tell of what was ordered before it knew of the follower.
	f.passed = max(f.passed, h.cfg.Store.Tip().SeqNo)
	f.mu.Unlock()
	h.catchUpLater(f)
	return f
}

// catchUpLater has the ledger read for followers.
func (h *History) catchUpLater(list ...*Follower) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.followers = append(h.followers, list...)
	select {
	case h.scan <- struct{}{}:
	default:
	}
}

// Skip says that commit goes over the transactions after one and up to another,
// which the ledger of this node does not hold. Followers that commit told of
// everything have a hole to wait for: an operator may put the chunks into place. It
// comes before the hooks of what is committed next.
func (h *History) Skip(after, upTo synod.SeqNo) {
	h.mu.Lock()
	all := slices.Clone(h.all)
	h.mu.Unlock()
	var behind []*Follower
	for _, f := range all {
		f.mu.Lock()
		f.passed = max(f.passed, upTo)
		if f.live && !f.ended {
			f.live, f.upTo, f.told = false, after, after
			behind = append(behind, f)
		}
		f.mu.Unlock()
	}
	if len(behind) > 0 {
		h.catchUpLater(behind...)
	}
}

// committed is told by commit.
func (f *Follower) committed(id synod.TxID, w kv.MapWrites) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.ended:
	case f.live:
		f.apply(id, w)
	default:
		f.passed = max(f.passed, id.SeqNo)
	}
}

// UpTo is the last transaction up to which the follower has been told
// everything. The error says why it does not go on just now, if it does not.
func (f *Follower) UpTo() (synod.SeqNo, error) {
	committed := f.h.cfg.Committed().SeqNo // before looking: commit tells before it is seen
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.live {
		return committed, nil
	}
	return f.upTo, f.err
}

// Stop ends it: when it returns, nothing is told any more.
func (f *Follower) Stop() {
	f.unhook()
	f.h.mu.Lock()
	f.h.all = slices.DeleteFunc(f.h.all, func(other *Follower) bool { return other == f })
	f.h.mu.Unlock()
	f.mu.Lock()
	f.ended = true
	f.mu.Unlock()
}

func (f *Follower) public() bool { return strings.HasPrefix(f.mapName, "public:") }

// tell passes on what a scanner found.
func (f *Follower) tell(s scanned) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range s.maps {
		if m.Name == f.mapName && !f.ended && s.id.SeqNo > f.told {
			f.apply(s.id, m)
		}
	}
}

// reached notes how far the scanner is, and goes over to commit if nothing is
// missing in between. It says whether the scanner is done with it. While the
// private maps are hidden, commit does not tell what is written to them.
func (f *Follower) reached(upTo synod.SeqNo, caughtUp, hidden bool, err error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.upTo, f.err = max(upTo, f.told), err
	f.live = caughtUp && upTo >= f.passed && (!hidden || f.public())
	return f.live || f.ended
}

const (
	// scanRetry is when a scan that failed is tried again: an operator may have
	// put the missing chunk into place.
	scanRetry = time.Second
	// scanPause is how long a scan waits that has read all there is and misses
	// what was ordered meanwhile.
	scanPause = 5 * time.Millisecond
)

// follow reads the ledger for followers that have not caught up, until ctx
// ends. Those that come while it reads wait for the next round.
func (h *History) follow(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.scan:
		}
		h.mu.Lock()
		behind := h.followers
		h.followers = nil
		h.mu.Unlock()
		if len(behind) > 0 {
			h.catchUp(ctx, behind)
		}
	}
}

// catchUp reads the ledger for some followers until commit tells them of the
// rest.
func (h *History) catchUp(ctx context.Context, behind []*Follower) {
	want := func(mapName string) bool {
		for _, f := range behind {
			if f.mapName == mapName || mapName == "" && !f.public() {
				return true
			}
		}
		return false
	}
	s := h.newScanner(0)
	said := ""
	for len(behind) > 0 {
		hidden := h.cfg.Hidden() // before looking at what is committed
		more, err := s.advance(ctx, want, func(t scanned) {
			for _, f := range behind {
				f.tell(t)
			}
		})
		if ctx.Err() != nil {
			return
		}
		left := behind[:0:0]
		for _, f := range behind {
			if !f.reached(s.upTo, !more && err == nil, hidden, err) {
				left = append(left, f)
			}
		}
		behind = left
		switch {
		case err != nil:
			waits := hidden && errors.Is(err, secrets.ErrNoSecret) // for members' shares
			if text := err.Error(); text != said && !waits {
				said = text
				level := slog.LevelWarn
				if hidden && errors.Is(err, secrets.ErrNoSecret) {
					level = slog.LevelInfo // a recovery will bring it
				}
				h.cfg.Logger.LogAttrs(ctx, level, "the ledger cannot be read for an index", slog.String("err", text))
			}
			if errors.Is(err, ErrNotBelieved) {
				s = h.newScanner(s.upTo) // what was read before may have been wrong too
			}
			pause(ctx, scanRetry)
		case !more:
			pause(ctx, scanPause)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
