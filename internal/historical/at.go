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
	// tooLargeMax bounds the sets that are remembered to take too much.
	tooLargeMax = 64
)

// timeline is a store with some maps of the service, as they were after any of
// the transactions that it keeps. It is filled from the ledger by one worker at
// a time.
type timeline struct {
	h     *History
	key   string
	maps  []string // ascending
	store *kv.Store
	// beginsAt is the checkpoint that it begins with, 0 for the ledger's start.
	beginsAt synod.SeqNo

	// The builder's, who holds the first.
	building sync.Mutex
	begin    *checkpoint // that of beginsAt, until the first builder has taken it up
	scanner  *scanner
	failed   error // it cannot be gone on with
	// About what it takes, in bytes: of the newest values when they were last
	// measured, written in the period before, and written since.
	live, before, written int64

	used    int64 // guarded by History.mu; when, as a count of uses
	charged int64 // guarded by History.mu; what History.held counts of it
	dropped bool  // guarded by History.mu; another one is in its place
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
	t, err := h.timeline(maps, seqno)
	if err != nil {
		return err
	}
	if t.store.Tip().SeqNo < seqno {
		if err := h.build(t, seqno); err != nil {
			return err
		}
	}
	tx, err := t.store.BeginAt(seqno)
	if errors.Is(err, kv.ErrCompacted) || errors.Is(err, kv.ErrNotYet) {
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
// recently. It begins with the newest checkpoint before the transaction, also if
// there is a timeline that is further back.
func (h *History) timeline(maps []string, seqno synod.SeqNo) (*timeline, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := strings.Join(maps, "\x00")
	if from, known := h.tooLarge[key]; known && seqno >= from {
		return nil, errMapsTooLarge
	}
	t := h.timelines[key]
	saved := h.checkpoints[key].before(seqno)
	if t != nil && t.store.Compacted().SeqNo <= seqno && (saved == nil || saved.at.SeqNo <= max(t.store.Tip().SeqNo, t.beginsAt)) {
		h.uses++
		t.used = h.uses
		return t, nil
	}
	if t == nil && len(h.timelines) == timelinesMax {
		h.forgetTimeline(nil)
	}
	if t != nil {
		h.dropTimeline(t)
	}
	t = &timeline{h: h, key: key, maps: maps, store: kv.New(), begin: saved}
	if saved != nil {
		t.beginsAt = saved.at.SeqNo
	}
	if h.timelines == nil {
		h.timelines = map[string]*timeline{}
	}
	h.timelines[key] = t
	h.uses++
	t.used = h.uses
	return t, nil
}

// forgetTimeline drops the one that was used least recently, but for one, with its
// checkpoints, and says whether there was one. mu is held.
func (h *History) forgetTimeline(but *timeline) bool {
	var oldest *timeline
	for _, t := range h.timelines {
		if t != but && (oldest == nil || t.used < oldest.used) {
			oldest = t
		}
	}
	if oldest == nil {
		return false
	}
	h.dropTimeline(oldest)
	h.dropCheckpoints(oldest.key)
	return true
}

// dropTimeline forgets a timeline. mu is held.
func (h *History) dropTimeline(t *timeline) {
	if t.dropped {
		return
	}
	t.dropped = true
	h.held -= t.charged
	t.charged = 0
	if h.timelines[t.key] == t {
		delete(h.timelines, t.key)
	}
}

// charge counts what a timeline takes, and makes room for it. Without room it is
// dropped, as it is if another has taken its place.
func (h *History) charge(t *timeline, size int64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.dropped {
		return app.ErrNotYet
	}
	h.held += size - t.charged
	t.charged = size
	if h.room(nil, t) {
		return nil
	}
	h.dropTimeline(t)
	if size <= h.cfg.SoftLimit {
		return app.ErrNotYet // others take it that are being read
	}
	if h.tooLarge == nil || len(h.tooLarge) == tooLargeMax {
		h.tooLarge = map[string]synod.SeqNo{}
	}
	h.tooLarge[t.key] = t.store.Tip().SeqNo
	return errMapsTooLarge
}

// errMapsTooLarge says that of maps.
var errMapsTooLarge = fmt.Errorf("%w; here it is whole maps: name fewer of them", ErrTooLarge)

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
			return fmt.Errorf("%w: maps as they were are read from the first entry on, which the ledger of this node does not hold with all that follow. "+
				"Ask another node, or put the chunks into one of the node's ledger.read_only_directories (%w)", app.ErrNotYet, err)
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
	if t.scanner == nil {
		if err := t.start(); err != nil {
			t.forget()
			return err
		}
	}
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
		if t.failed == nil {
			t.save()
		}
		if t.failed == nil {
			t.failed = t.account(min(t.store.Tip().SeqNo, seqno))
		}
		if !more {
			return app.ErrNotYet // commit will come to it
		}
	}
	return t.failed
}

// forget drops the timeline, so that the next request builds it anew.
func (t *timeline) forget() {
	t.h.mu.Lock()
	defer t.h.mu.Unlock()
	t.h.dropTimeline(t)
}

func (t *timeline) want(name string) bool {
	if name == "" {
		return slices.ContainsFunc(t.maps, func(m string) bool { return !isPublic(m) })
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
			t.written += int64(len(w.Key)+len(w.Value)) + rowOverhead
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
	if id.SeqNo%timelineKept == 0 {
		t.measure()
	}
	if id.SeqNo%compactEvery == 0 {
		// What somebody waits for stays.
		if floor := min(id.SeqNo-min(id.SeqNo, timelineKept), target); floor > t.store.Compacted().SeqNo {
			t.store.Compact(floor)
		}
		t.failed = t.account(min(id.SeqNo, target))
	}
}

const (
	// rowOverhead is about what a key takes in memory besides its bytes.
	rowOverhead = 120
	// placeBytes is about what a transaction that is kept takes.
	placeBytes = 40
)

func (t *timeline) size() int64 {
	return t.live + t.before + t.written + placeBytes*int64(t.store.Tip().SeqNo-t.store.Compacted().SeqNo)
}

// account counts what the timeline takes by now. If that is too much it keeps no
// transaction below a floor.
func (t *timeline) account(floor synod.SeqNo) error {
	if t.size() > t.h.cfg.SoftLimit {
		t.store.Compact(max(floor, t.store.Compacted().SeqNo))
		t.measure()
		t.before = 0
	}
	return t.h.charge(t, t.size())
}

// measure looks at what the newest values take.
func (t *timeline) measure() {
	t.live, t.before, t.written = 0, t.written, 0
	tx := t.store.Begin()
	defer tx.Release()
	for _, name := range t.maps {
		tx.EachKey(name, func(key, value []byte, _ synod.SeqNo) bool {
			t.live += int64(len(key)+len(value)) + rowOverhead
			return true
		})
	}
}
