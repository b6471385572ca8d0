package historical

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"synod"
	"synod/app"
	"synod/internal/kv"
)

// states asks until the states are there.
func (p *past) states(t testing.TB, handle uint64, from, to synod.SeqNo) []*app.State {
	t.Helper()
	for {
		s, err := p.StateRange(handle, from, to, time.Minute)
		if errors.Is(err, app.ErrNotYet) {
			continue
		}
		if err != nil {
			t.Fatalf("%d to %d: %v", from, to, err)
		}
		return s
	}
}

func TestRequestsShareAndGo(t *testing.T) {
	p := ccfPast(t)
	now := time.Now()
	var mu sync.Mutex
	p.cfg.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	a, b := p.states(t, 1, 10, 20), p.states(t, 2, 15, 25)
	if a[5] != b[0] {
		t.Error("two requests have a transaction twice")
	}
	if u := p.Usage(); u.Requests != 2 || u.States != 16 {
		t.Errorf("%+v", u)
	}
	if !p.Drop(1) || p.Drop(1) || p.Drop(3) {
		t.Error("dropping says the wrong thing")
	}
	if u := p.Usage(); u.Requests != 1 || u.States != 11 {
		t.Errorf("after the first is dropped: %+v", u)
	}
	p.states(t, 2, 30, 31) // in the place of the older request
	if u := p.Usage(); u.Requests != 1 || u.States != 2 {
		t.Errorf("after the handle is used again: %+v", u)
	}
	mu.Lock()
	now = now.Add(2 * time.Minute)
	mu.Unlock()
	p.sweep()
	if u := p.Usage(); u.Requests != 0 || u.States != 0 || u.Bytes != 0 {
		t.Errorf("after expiry: %+v", u)
	}
}

func TestSoftLimit(t *testing.T) {
	p := ccfPast(t)
	p.states(t, 1, 62, 71)
	p.cfg.SoftLimit = p.Usage().Bytes * 5 / 2
	for handle := uint64(2); handle < 6; handle++ {
		from := synod.SeqNo(62 + 10*(handle-1))
		p.states(t, handle, from, from+9)
		if u := p.Usage(); u.Bytes > u.Limit || u.Requests > 3 {
			t.Errorf("%+v", u)
		}
	}
	if p.Drop(1) || !p.Drop(5) {
		t.Error("what was used least recently is not what went")
	}
	for range 2 {
		if _, err := p.StateRange(9, 1, p.last.SeqNo, time.Minute); !errors.Is(err, ErrTooLarge) && !errors.Is(err, app.ErrNotYet) {
			t.Errorf("more than the limit: %v", err)
		}
	}
	read := p.Usage().Misses
	p.cfg.SoftLimit = 10 * stateOverhead
	if _, err := p.StateRange(10, 1, 11, time.Minute); !errors.Is(err, ErrTooLarge) || p.Usage().Misses != read {
		t.Errorf("more transactions than can fit: %v", err)
	}
}

func TestRefusedRequests(t *testing.T) {
	p := ccfPast(t)
	for text, ask := range map[string]func() error{
		"Invalid range for historical query: end 1 is before start 2":    func() error { _, err := p.StateRange(1, 2, 1, 0); return err },
		"Invalid range for historical query: Cannot request empty range": func() error { _, err := p.States(1, nil, 0); return err },
		"there is no transaction 0":                                      func() error { _, err := p.StateRange(1, 0, 1, 0); return err },
		"only committed transactions can be queried, and 1000 is not":    func() error { _, err := p.StateRange(1, 1, 1000, 0); return err },
		"the transactions of a historical query must be in ascending order": func() error {
			_, err := p.States(1, []synod.SeqNo{2, 1}, 0)
			return err
		},
		ErrTooLarge.Error(): func() error { _, err := p.StateRange(1, 1, 1<<40, 0); return err },
	} {
		if err := ask(); err == nil || err.Error() != text {
			t.Errorf("%v, want %s", err, text)
		}
	}
	for id, want := range map[string]string{
		"2.127": "TransactionInvalid: Only committed transactions can be queried. Transaction 2.127 is Invalid",
		"6.999": "TransactionPendingOrUnknown: Only committed transactions can be queried. Transaction 6.999 is Unknown",
	} {
		if _, err := p.State(txID(t, id)); err == nil || err.Error() != want {
			t.Errorf("%s: %v", id, err)
		}
	}
	delete(p.entries, 23)
	var wire *synod.Error
	const lacking = "Historical transaction 2.23 is not currently available. The ledger of this node does not hold it: ask another node"
	var said bytes.Buffer
	p.cfg.Logger = slog.New(slog.NewTextHandler(&said, nil))
	for range 2 {
		if _, err := p.State(txID(t, "2.23")); !errors.Is(err, app.ErrNotYet) || !strings.HasPrefix(err.Error(), lacking) {
			t.Errorf("an entry that is not there: %v", err)
		}
	}
	if n := strings.Count(said.String(), "Cannot find ledger file for seqno 23"); n != 1 {
		t.Errorf("said %d times: %s", n, &said)
	}
	p.entries[26] = bytes.Clone(p.entries[24])
	if _, err := p.State(txID(t, "2.26")); !errors.As(err, &wire) || wire.Status != 500 || !errors.Is(err, wire) {
		t.Errorf("another entry in its place: %v", err)
	}
}

// TestFollow reads four lives' worth of ledger for an index, in order and once
// each, and goes on with what is committed.
func TestFollow(t *testing.T) {
	p := ccfPast(t)
	var mu sync.Mutex
	told := map[string][]synod.SeqNo{}
	var followers []*Follower
	for _, m := range []string{"records", "public:records", "public:ccf.gov.service.info"} {
		followers = append(followers, p.Follow(m, func(id synod.TxID, w kv.MapWrites) {
			mu.Lock()
			defer mu.Unlock()
			if seen := told[m]; len(seen) > 0 && seen[len(seen)-1] >= id.SeqNo {
				t.Errorf("%s: %s after %d", m, id, seen[len(seen)-1])
			}
			told[m] = append(told[m], id.SeqNo)
		}))
	}
	for _, f := range followers {
		for {
			upTo, err := f.UpTo()
			if err != nil {
				t.Fatal(err)
			}
			if upTo == p.last.SeqNo {
				break
			}
			runtime.Gosched()
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(told["records"]) != 12+40+1+5+5 || len(told["public:records"]) != 6+1+1 {
		t.Errorf("%d private and %d public records", len(told["records"]), len(told["public:records"]))
	}
	if got := fmt.Sprint(told["public:ccf.gov.service.info"]); len(told["public:ccf.gov.service.info"]) != 8 {
		t.Errorf("the service's record was written by %s", got)
	}
}

// TestFollowStopped tells a follower nothing once it is stopped, also by whoever was
// about to.
func TestFollowStopped(t *testing.T) {
	p := ccfPast(t)
	first, goOn := make(chan struct{}), make(chan struct{})
	var stopped atomic.Bool
	n := 0
	f := p.Follow("records", func(id synod.TxID, _ kv.MapWrites) {
		if n++; n == 1 {
			close(first)
			<-goOn
		}
		if stopped.Load() {
			t.Errorf("told of %s after it was stopped", id)
		}
	})
	<-first
	end := make(chan struct{})
	go func() {
		defer close(end)
		f.Stop()
		stopped.Store(true)
	}()
	close(goOn)
	<-end
	other := p.Follow("records", func(synod.TxID, kv.MapWrites) {})
	for upTo := synod.SeqNo(0); upTo != p.last.SeqNo; runtime.Gosched() {
		upTo, _ = other.UpTo()
	}
}

// TestFollowHidden goes on reading the ledger for private maps while commit does
// not tell of them.
func TestFollowHidden(t *testing.T) {
	p := ccfPast(t)
	var hidden atomic.Bool
	hidden.Store(true)
	p.cfg.Hidden = hidden.Load
	live := func(f *Follower) bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.live
	}
	until := func(what string, done func() bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); !done(); runtime.Gosched() {
			if time.Now().After(end) {
				t.Fatal(what)
			}
		}
	}
	apply := func(synod.TxID, kv.MapWrites) {}
	private, public := p.Follow("records", apply), p.Follow("public:records", apply)
	until("the public map is not told by commit", func() bool { return live(public) })
	until("the private map is not read", func() bool { upTo, _ := private.UpTo(); return upTo == p.last.SeqNo })
	if live(private) {
		t.Error("hidden writes would be missed")
	}
	hidden.Store(false)
	until("the private map is not told by commit", func() bool { return live(private) })
}

// TestFollowChangedLedger does not index what it cannot believe, says why, and
// goes on when the ledger is whole again.
func TestFollowChangedLedger(t *testing.T) {
	p := ccfPast(t)
	clean := p.entries[23]
	s := p.newScanner(0)
	p.entries[23] = bytes.Clone(clean)
	p.entries[23][len(clean)-1] ^= 1
	n := 0
	scan := func() (err error) {
		for more := true; more && err == nil; {
			more, err = s.advance(t.Context(), func(m string) bool { return m == "public:records" }, func(scanned) { n++ })
		}
		return err
	}
	if err := scan(); !errors.Is(err, ErrNotBelieved) {
		t.Fatalf("scanned: %v", err)
	}
	if s.upTo >= 23 {
		t.Errorf("believed up to %d", s.upTo)
	}
	p.entries[23] = clean
	s = p.newScanner(s.upTo)
	if err := scan(); err != nil || n != 8 || s.upTo != p.last.SeqNo {
		t.Errorf("%d records up to %d: %v", n, s.upTo, err)
	}
}
