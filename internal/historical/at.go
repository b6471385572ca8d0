package historical

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"synod"
	"synod/app"
	"synod/internal/kv"
	"synod/internal/ledger"
)

const (
	// timelinesMax bounds the sets of maps whose states are kept.
	timelinesMax = 4
	// timelineMaps bounds the maps of one set.
	timelineMaps = 16
	// timelineKept is how many transactions below the newest a timeline can
	// still show the state after, without being built anew.
	timelineKept = 1 << 16
	// compactEvery is how many entries are installed between two compactions.
	compactEvery = 1 << 12
)

// timeline is a store with some maps of the service, as they were after any of
// the transactions that it keeps. It is filled from the ledger by one worker at
// a time.
type timeline struct {
	h     *History
	maps  []string // ascending
	store *kv.Store

	building sync.Mutex // held by the worker that fills it
	scanner  *scanner
	size     int64 // about, of the values written since it was measured; the builder's
	failed   error // it cannot be gone on with; the builder's

	used int64 // guarded by History.mu; when, as a count of uses
}

// At reads the state of maps after a transaction. See app.History.
func (h *History) At(seqno synod.SeqNo, maps []string, read func(r app.Reader) error) error {
	if len(maps) == 0 || len(maps) > timelineMaps {
		return fmt.Errorf("name the maps to be read, 1 to %d", timelineMaps)
	}
	if committed := h.cfg.Committed().SeqNo; seqno == 0 || seqno > committed {
		return synod.Errorf(404, synod.CodeTransactionPendingOrUnknown, "Only the state after a committed transaction can be read, and %d is not one: the service is at %d", seqno, committed)
	}
	maps = slices.Compact(slices.Sorted(slices.Values(maps)))
	if err := h.available(h.upTo(seqno)); err != nil {
		return err
	}
	t := h.timeline(maps, seqno)
	if t.store.Tip().SeqNo < seqno {
		if err := h.build(t, seqno); err != nil {
			return err
		}
	}
	tx, err := t.store.BeginAt(seqno)
	if errors.Is(err, kv.ErrCompacted) {
		return app.ErrNotYet // it has moved on; the next try builds it anew
	}
	if err != nil {
		return err
	}
	defer tx.Release()
	return read(tx)
}

// timeline finds the one of a set of maps that can show the state after a
// transaction, or begins it, in the place of the one that was used least
// recently.
func (h *History) timeline(maps []string, seqno synod.SeqNo) *timeline {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := strings.Join(maps, "\x00")
	t := h.timelines[key]
	if t == nil || t.store.Compacted().SeqNo > seqno {
		if len(h.timelines) == timelinesMax && t == nil {
			h.forgetTimeline()
		}
		t = &timeline{h: h, maps: maps, store: kv.New(), scanner: h.newScanner(0)}
		if h.timelines == nil {
			h.timelines = map[string]*timeline{}
		}
		h.timelines[key] = t
	}
	h.uses++
	t.used = h.uses
	return t
}

func (h *History) forgetTimeline() {
	oldest := ""
	for key, t := range h.timelines {
		if oldest == "" || t.used < h.timelines[oldest].used {
			oldest = key
		}
	}
	delete(h.timelines, oldest)
}

// build has a worker fill a timeline up to a transaction, and waits a little for
// it.
func (h *History) build(t *timeline, seqno synod.SeqNo) error {
	done := make(chan error, 1)
	select {
	case h.queue <- func(ctx context.Context) { done <- t.advance(ctx, seqno) }:
	default:
		return app.ErrNotYet
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-done:
		if errors.Is(err, ledger.ErrNotFound) {
			return notHeld(err)
		}
		return err
	case <-timer.C:
		return app.ErrNotYet
	}
}

// advance fills the timeline up to a transaction. If another worker does so,
// there is nothing to do.
func (t *timeline) advance(ctx context.Context, seqno synod.SeqNo) error {
	if !t.building.TryLock() {
		return app.ErrNotYet
	}
	defer t.building.Unlock()
	for t.store.Tip().SeqNo < seqno {
		if t.failed != nil {
			return t.failed
		}
		more, err := t.scanner.advance(ctx, t.want, func(s scanned) { t.install(s, seqno) })
		if err != nil {
			if errors.Is(err, ErrNotBelieved) {
				t.forget()
			}
			return err
		}
		t.fill(t.scanner.upTo, seqno)
		if !more {
			return app.ErrNotYet // commit will come to it
		}
	}
	return nil
}

// forget drops the timeline, so that the next request builds it anew.
func (t *timeline) forget() {
	t.h.mu.Lock()
	defer t.h.mu.Unlock()
	delete(t.h.timelines, strings.Join(t.maps, "\x00"))
}

func (t *timeline) want(name string) bool {
	if name == "" {
		return slices.ContainsFunc(t.maps, func(m string) bool { return !strings.HasPrefix(m, "public:") })
	}
	_, found := slices.BinarySearch(t.maps, name)
	return found
}

// install puts what a transaction wrote into the store.
func (t *timeline) install(s scanned, target synod.SeqNo) {
	if t.failed != nil {
		return
	}
	t.fill(s.id.SeqNo-1, target)
	for _, m := range s.maps {
		for _, w := range m.Writes {
			t.size += int64(len(w.Key) + len(w.Value))
		}
	}
	t.commit(&kv.WriteSet{Maps: s.maps}, s.id, target)
}

// fill installs the transactions up to a number that wrote to none of the maps.
func (t *timeline) fill(upTo, target synod.SeqNo) {
	for seqno := t.store.Tip().SeqNo + 1; seqno <= upTo && t.failed == nil; seqno++ {
		t.commit(nil, t.h.upTo(seqno), target)
	}
}

func (t *timeline) commit(ws *kv.WriteSet, id synod.TxID, target synod.SeqNo) {
	if err := t.store.Commit(ws, id); err != nil {
		t.failed = err
		return
	}
	if id.SeqNo%compactEvery == 0 {
		// What somebody waits for stays.
		if floor := min(id.SeqNo-min(id.SeqNo, timelineKept), target); floor > t.store.Compacted().SeqNo {
			t.store.Compact(floor)
		}
		t.measure()
	}
}

// measure refuses to go on if the maps take more memory than all states may.
func (t *timeline) measure() {
	limit := t.h.cfg.SoftLimit
	if t.size <= limit {
		return
	}
	t.size = 0
	tx := t.store.Begin()
	defer tx.Release()
	for _, name := range t.maps {
		tx.EachKey(name, func(key, value []byte, _ synod.SeqNo) bool {
			t.size += int64(len(key) + len(value))
			return t.size <= limit
		})
	}
	if t.size > limit {
		t.failed = ErrTooLarge
	}
}
