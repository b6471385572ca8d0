package historical

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"synod"
	"synod/app"
	"synod/internal/ledger"
)

// request is a set of transactions that somebody asked for under a handle.
type request struct {
	handle  uint64
	seqnos  []synod.SeqNo
	expires time.Time     // guarded by History.mu
	place   *list.Element // guarded by History.mu; in History.recent, nil once dropped

	holds bool // guarded by History.mu; its states count

	done   chan struct{} // closed when the next two are set
	states []*app.State
	err    error
}

// shared is a state with the number of requests that hold it.
type shared struct {
	state *state
	refs  int
}

// ErrTooLarge says that a request holds more than all may together.
var ErrTooLarge = errors.New("the transactions asked for take more memory than historical_cache_soft_limit allows: ask for fewer at a time")

// seqnosMax is how many transactions one request may name: as many of the
// smallest as all requests may hold together, so that what cannot be answered is
// refused before it is read.
func (h *History) seqnosMax() int { return int(h.cfg.SoftLimit / stateOverhead) }

// StateRange returns the transactions from..to. See app.History.
func (h *History) StateRange(handle uint64, from, to synod.SeqNo, expiry time.Duration) ([]*app.State, error) {
	switch {
	case to < from:
		return nil, fmt.Errorf("Invalid range for historical query: end %d is before start %d", to, from) //nolint:staticcheck // CCF's text, shown to scripts
	case to-from >= synod.SeqNo(h.seqnosMax()):
		return nil, ErrTooLarge
	}
	seqnos := make([]synod.SeqNo, 0, to-from+1)
	for s := from; s <= to; s++ {
		seqnos = append(seqnos, s)
	}
	return h.States(handle, seqnos, expiry)
}

// States returns transactions by number. See app.History.
func (h *History) States(handle uint64, seqnos []synod.SeqNo, expiry time.Duration) ([]*app.State, error) {
	if err := h.check(seqnos); err != nil {
		return nil, err
	}
	r, err := h.request(handle, seqnos, expiry)
	if err != nil {
		return nil, err
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-r.done:
		if errors.Is(r.err, ledger.ErrNotFound) {
			return nil, notHeld(r.err)
		}
		return r.states, r.err
	case <-timer.C:
		return nil, app.ErrNotYet
	}
}

func (h *History) check(seqnos []synod.SeqNo) error {
	switch {
	case len(seqnos) == 0:
		return errors.New("Invalid range for historical query: Cannot request empty range") //nolint:staticcheck // CCF's text, shown to scripts
	case len(seqnos) > h.seqnosMax():
		return ErrTooLarge
	case seqnos[0] == 0:
		return errors.New("there is no transaction 0")
	case !slices.IsSorted(seqnos):
		return errors.New("the transactions of a historical query must be in ascending order")
	}
	if last := seqnos[len(seqnos)-1]; last > h.cfg.Committed().SeqNo {
		return fmt.Errorf("only committed transactions can be queried, and %d is not", last)
	}
	return nil
}

// request finds the request of a handle, or puts one into the queue.
func (h *History) request(handle uint64, seqnos []synod.SeqNo, expiry time.Duration) (*request, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	expires := h.cfg.Now().Add(expiry)
	if r := h.requests[handle]; r != nil && slices.Equal(r.seqnos, seqnos) {
		h.recent.MoveToFront(r.place)
		r.expires = expires
		select {
		case <-r.done:
			h.counts.hits++
		default:
		}
		return r, nil
	}
	r := &request{handle: handle, seqnos: slices.Clone(seqnos), expires: expires, done: make(chan struct{})}
	select {
	case h.queue <- func(ctx context.Context) { h.serve(ctx, r) }:
	default:
		return nil, app.ErrNotYet // as many wait as may
	}
	h.counts.misses++
	if old := h.requests[handle]; old != nil {
		h.drop(old)
	}
	r.place = h.recent.PushFront(r)
	h.requests[handle] = r
	return r, nil
}

// Drop forgets a handle. See app.History.
func (h *History) Drop(handle uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.requests[handle]
	if r == nil {
		return false
	}
	h.drop(r)
	return true
}

// drop forgets a request and what only it holds. mu is held.
func (h *History) drop(r *request) {
	h.recent.Remove(r.place)
	r.place = nil
	delete(h.requests, r.handle)
	for _, seqno := range r.seqnos {
		if !r.holds {
			break
		}
		if s := h.states[seqno]; s.refs == 1 {
			delete(h.states, seqno)
			h.held -= s.state.size
		} else {
			s.refs--
		}
	}
}

// sweep drops what has expired.
func (h *History) sweep() {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.cfg.Now()
	for e := h.recent.Front(); e != nil; {
		r := e.Value.(*request)
		e = e.Next()
		if now.After(r.expires) {
			h.drop(r)
		}
	}
}

// work does one thing after the other that somebody waits for.
func (h *History) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case job := <-h.queue:
			job(ctx)
		}
	}
}

// serve fetches what a request lacks and completes it.
func (h *History) serve(ctx context.Context, r *request) {
	have, lacking := h.have(r)
	var taken int64
	err := h.fetch(ctx, lacking, func(s *state) error {
		switch {
		case taken+s.size > h.cfg.SoftLimit:
			return ErrTooLarge
		case !h.take(r, s.size):
			return app.ErrNotYet // what others are reading takes it all
		}
		taken += s.size
		have[s.id.SeqNo] = s
		return nil
	})
	if len(lacking) > 0 {
		h.lacks(ctx, lacking[0], err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held -= taken // what is kept of it is counted with the request
	if err != nil {
		h.fail(r, err)
		return
	}
	h.complete(r, have)
}

// take counts bytes that are held for a request, if there is room.
func (h *History) take(r *request, size int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held += size
	if h.room(r, nil) {
		return true
	}
	h.held -= size
	return false
}

// room drops what was used least recently, but for a request and a timeline, until
// what is held fits: requests first, then timelines with their checkpoints. mu is
// held.
func (h *History) room(but *request, timeline *timeline) bool {
	for e := h.recent.Back(); e != nil && h.held > h.cfg.SoftLimit; {
		r := e.Value.(*request)
		e = e.Prev()
		if r != but && r.holds {
			h.drop(r)
		}
	}
	for h.held > h.cfg.SoftLimit && h.forgetTimeline(timeline) {
	}
	if h.held > h.cfg.SoftLimit && timeline != nil {
		h.dropCheckpoints(timeline.key)
	}
	return h.held <= h.cfg.SoftLimit
}

// lacksEvery is how often the log says that the ledger lacks an entry, at most.
const lacksEvery = time.Second

// lacks says, now and then and in CCF's words, that the ledger of this node lacks
// what somebody asks for.
func (h *History) lacks(ctx context.Context, seqno synod.SeqNo, err error) {
	if !errors.Is(err, ledger.ErrNotFound) {
		return
	}
	h.mu.Lock()
	now := h.cfg.Now()
	quiet := now.Before(h.saidLacks.Add(lacksEvery))
	if !quiet {
		h.saidLacks = now
	}
	h.mu.Unlock()
	if !quiet {
		h.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, fmt.Sprintf("Cannot find ledger file for seqno %d", seqno))
	}
}

// have are the states of a request that others hold already, and the numbers
// of those that nobody does.
func (h *History) have(r *request) (map[synod.SeqNo]*state, []synod.SeqNo) {
	h.mu.Lock()
	defer h.mu.Unlock()
	have := make(map[synod.SeqNo]*state, len(r.seqnos))
	if r.place == nil {
		return have, nil // dropped meanwhile
	}
	var lacking []synod.SeqNo
	for i, seqno := range r.seqnos {
		if i > 0 && seqno == r.seqnos[i-1] {
			continue
		}
		if s := h.states[seqno]; s != nil {
			have[seqno] = s.state
		} else {
			lacking = append(lacking, seqno)
		}
	}
	return have, lacking
}

// fail completes a request with an error and forgets it, so that the next try
// is a new one. mu is held.
func (h *History) fail(r *request, err error) {
	r.err = err
	if r.place != nil {
		h.drop(r)
	}
	close(r.done)
}

// complete hands a request its states, and makes room for them. mu is held.
func (h *History) complete(r *request, have map[synod.SeqNo]*state) {
	defer close(r.done)
	if r.place == nil { // dropped, or replaced
		r.err = app.ErrNotYet
		return
	}
	r.holds = true
	r.states = make([]*app.State, len(r.seqnos))
	for i, seqno := range r.seqnos {
		s := h.states[seqno]
		if s == nil {
			s = &shared{state: have[seqno]}
			h.states[seqno] = s
			h.held += s.state.size
		}
		s.refs++
		r.states[i] = s.state.shown
	}
	if !h.room(r, nil) {
		own := int64(0)
		for _, s := range have {
			own += s.size
		}
		if r.err = app.ErrNotYet; own > h.cfg.SoftLimit {
			r.err = ErrTooLarge
		}
		r.states = nil
		h.drop(r)
	}
}
