package historical

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"synod"
	"synod/app"
	"synod/internal/kv"
	"synod/internal/ledger"
)

// TestAt compares the state after every transaction of CCF's ledger, in an order
// that goes back and forth, with what replay makes of it.
func TestAt(t *testing.T) {
	p := ccfPast(t)
	want := map[synod.SeqNo]string{}
	now := map[string]string{}
	for _, s := range p.states(t, 1, 1, p.last.SeqNo) {
		for _, name := range []string{"records", "public:records"} {
			s.ForEach(name, func(k, v []byte) bool { now[name+" "+string(k)] = string(v); return true })
		}
		s.Deleted(func(name string, k []byte) bool { delete(now, name+" "+string(k)); return true })
		want[s.ID().SeqNo] = fmt.Sprint(now)
	}
	look := func(seqno synod.SeqNo) {
		t.Helper()
		got := map[string]string{}
		for {
			err := p.At(seqno, []string{"records", "public:records"}, func(r app.Reader) error {
				for _, name := range []string{"records", "public:records"} {
					r.ForEach(name, func(k, v []byte) bool { got[name+" "+string(k)] = string(v); return true })
				}
				return nil
			})
			if errors.Is(err, app.ErrNotYet) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		if fmt.Sprint(got) != want[seqno] {
			t.Errorf("after %d: %v, want %s", seqno, got, want[seqno])
		}
	}
	for _, seqno := range []synod.SeqNo{60, 1, 23, p.last.SeqNo, 45, 126, 2, 150} {
		look(seqno)
	}
	// One that is gone is built anew from a checkpoint, which are few.
	entries := p.cfg.Entries
	var first atomic.Uint64
	p.cfg.Entries = func(from, to synod.SeqNo, most int) ([][]byte, error) {
		first.CompareAndSwap(0, uint64(from))
		return entries(from, to, 4<<10)
	}
	p.checkpointEvery = 3
	forget := func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for p.forgetTimeline(nil) {
		}
		if p.held != p.statesHeld() {
			t.Errorf("%d bytes are counted, of states %d", p.held, p.statesHeld())
		}
		first.Store(0)
	}
	drop := func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, tl := range p.timelines {
			p.dropTimeline(tl)
		}
		first.Store(0)
	}
	forget()
	look(p.last.SeqNo)
	p.mu.Lock()
	var saved *checkpoints
	for _, saved = range p.checkpoints {
	}
	p.mu.Unlock()
	if n := len(saved.list); n < checkpointsMax/2 || n > checkpointsMax || saved.every < 6 {
		t.Fatalf("%d checkpoints, one each %d", n, saved.every)
	}
	for _, seqno := range []synod.SeqNo{p.last.SeqNo, 60, 1, 100, 23} {
		drop()
		look(seqno)
		want := synod.SeqNo(1)
		if c := saved.before(seqno); c != nil {
			want = c.at.SeqNo + 1
		}
		if got := synod.SeqNo(first.Load()); got != want && !(got == 0 && want == seqno+1) {
			t.Errorf("the state after %d is built from entry %d on, want %d", seqno, got, want)
		}
	}
	drop()
	look(23)
	look(p.last.SeqNo) // the checkpoint that is ahead
	forget()
	if err := p.At(1, nil, nil); err == nil {
		t.Error("no maps are read")
	}
	var wire *synod.Error
	if err := p.At(p.last.SeqNo+1, []string{"records"}, nil); !errors.As(err, &wire) || wire.Status != 404 {
		t.Errorf("after what is not committed: %v", err)
	}
	for i := range 6 {
		for {
			if err := p.At(1, []string{fmt.Sprint("map", i)}, func(app.Reader) error { return nil }); !errors.Is(err, app.ErrNotYet) {
				break
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.timelines) != timelinesMax {
		t.Errorf("%d sets of maps are kept", len(p.timelines))
	}
}

// statesHeld is what the requests hold. mu is held.
func (h *History) statesHeld() (sum int64) {
	for _, s := range h.states {
		sum += s.state.size
	}
	return sum
}

// TestAtIsBounded wants maps to be refused that take more than all may, and others
// to make room for one another and for requests.
func TestAtIsBounded(t *testing.T) {
	p := ccfPast(t)
	at := func(seqno synod.SeqNo, maps ...string) error {
		for {
			if err := p.At(seqno, maps, func(app.Reader) error { return nil }); !errors.Is(err, app.ErrNotYet) {
				return err
			}
		}
	}
	p.mu.Lock()
	p.cfg.SoftLimit = 64 << 10
	p.mu.Unlock()
	p.h(func() { p.charged(t) })
	if err := at(p.last.SeqNo, "records"); err != nil {
		t.Errorf("maps that fit: %v", err)
	}
	p.h(func() { p.charged(t) })
	big := &timeline{h: p.History, key: "big", maps: []string{"big"}, store: kv.New()}
	p.h(func() { p.timelines["big"] = big })
	if err := p.charge(big, p.cfg.SoftLimit-1); err != nil {
		t.Errorf("what fits alone: %v", err)
	}
	p.h(func() {
		if len(p.timelines) != 1 {
			t.Errorf("%d timelines are kept", len(p.timelines))
		}
		p.charged(t)
	})
	if err := p.charge(big, p.cfg.SoftLimit+1); !errors.Is(err, ErrTooLarge) {
		t.Errorf("what does not: %v", err)
	}
	if err := at(5, "big"); !errors.Is(err, ErrTooLarge) {
		t.Errorf("asked again: %v", err)
	}
	p.h(func() { p.charged(t) })
	if _, err := p.StateRange(1, 1, 3, time.Minute); !errors.Is(err, app.ErrNotYet) && !errors.Is(err, ErrTooLarge) && err != nil {
		t.Error(err)
	}
}

func (p *past) h(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
}

// charged compares what is counted with what there is. mu is held.
func (p *past) charged(t *testing.T) {
	t.Helper()
	sum := p.statesHeld()
	for _, tl := range p.timelines {
		sum += tl.charged
	}
	for _, c := range p.checkpoints {
		for _, c := range c.list {
			sum += c.size
		}
	}
	if sum != p.held || sum > p.cfg.SoftLimit {
		t.Errorf("%d bytes are counted, there are %d", p.held, sum)
	}
}

// TestAtWithoutTheStart says what is missing to those who ask a node that began
// with a snapshot.
func TestAtWithoutTheStart(t *testing.T) {
	p := ccfPast(t)
	var gone atomic.Bool
	gone.Store(true)
	entries := p.cfg.Entries
	p.cfg.Entries = func(from, to synod.SeqNo, most int) ([][]byte, error) {
		if gone.Load() && from == 1 {
			return nil, ledger.ErrNotFound
		}
		return entries(from, to, most)
	}
	at := func() error { return p.At(60, []string{"records"}, func(app.Reader) error { return nil }) }
	for {
		err := at()
		if !errors.Is(err, app.ErrNotYet) {
			t.Fatalf("without the first entry: %v", err)
		}
		if strings.Contains(err.Error(), "read_only_directories") {
			break
		}
	}
	gone.Store(false)
	for {
		err := at()
		if err == nil {
			break
		}
		if !errors.Is(err, app.ErrNotYet) {
			t.Fatal(err)
		}
	}
}
