package historical

import (
	"errors"
	"fmt"
	"testing"

	"synod"
	"synod/app"
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
	for _, seqno := range []synod.SeqNo{60, 1, 23, p.last.SeqNo, 45, 126, 2, 150} {
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
