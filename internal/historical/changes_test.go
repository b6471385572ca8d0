package historical

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"synod"
	"synod/app"
)

// TestChanges follows CCF's ledger from its start, and from the middle.
func TestChanges(t *testing.T) {
	p := ccfPast(t)
	only := false
	follow := func(after synod.SeqNo, n int, maps ...string) (ids []string) {
		t.Helper()
		enough := errors.New("enough")
		err := p.Changes(t.Context(), app.FeedQuery{After: after, Maps: maps, MapsOnly: only}, func(s *app.State) error {
			ids = append(ids, s.ID().String())
			// Of the third life the fixture lacks the endorsement.
			if proof, err := s.Proof(); s.ID().View < 6 && (err != nil || len(proof.Receipt) == 0) {
				t.Errorf("%s: proof %v", s.ID(), err)
			}
			if s.Len("records") > 0 && only && !slices.Contains(maps, "records") {
				t.Errorf("%s shows a private map", s.ID())
			}
			if len(ids) == n {
				return enough
			}
			return nil
		}, nil)
		if !errors.Is(err, enough) {
			t.Fatal(err)
		}
		return ids
	}
	for _, only = range []bool{false, true} {
		if got := fmt.Sprint(follow(0, 8, "public:records")); got != "[2.39 2.40 2.42 2.43 2.44 2.45 4.133 6.154]" {
			t.Error(got)
		}
		if got := fmt.Sprint(follow(44, 2, "public:records", "none")); got != "[2.45 4.133]" {
			t.Error(got)
		}
		if got := len(follow(0, 50, "records", "public:records")); got != 50 {
			t.Error(got)
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Changes(ctx, app.FeedQuery{After: p.last.SeqNo, Maps: []string{"records"}}, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("without anything to come: %v", err)
	}
	// A changed entry is not told of, nor what comes after it.
	bad := bytes.Clone(p.entries[42])
	bad[len(bad)-1] ^= 1
	p.entries[42] = bad
	err := p.Changes(t.Context(), app.FeedQuery{Maps: []string{"public:records"}, MapsOnly: true}, func(s *app.State) error {
		t.Errorf("told of %s", s.ID())
		return nil
	}, nil)
	if !errors.Is(err, ErrNotBelieved) {
		t.Errorf("a changed entry: %v", err)
	}
}

// TestFeedsAreBounded fills what a node and its callers may have.
func TestFeedsAreBounded(t *testing.T) {
	p := ccfPast(t)
	enter := func(caller string, behind bool, want int) (n int) {
		t.Helper()
		for p.feeds.enter(caller, behind) {
			n++
		}
		if n != want {
			t.Errorf("%q has %d feeds, want %d", caller, n, want)
		}
		return n
	}
	leave := func(caller string, behind bool, n int) {
		for range n {
			p.feeds.leave(caller, behind)
		}
	}
	enter("", true, strangerBehindMax)
	enter("alice", true, callerBehindMax)
	enter("bob", true, callerBehindMax)
	enter("carol", true, 0)
	p.feeds.caughtUp("alice")
	enter("alice", false, callerFeedsMax-callerBehindMax)
	enter("carol", true, 1)
	enter("", false, strangerFeedsMax-strangerBehindMax)
	if u := p.Usage(); u.Feeds != strangerFeedsMax+callerFeedsMax+callerBehindMax+1 || u.FeedsBehind != behindMax {
		t.Errorf("%+v", u)
	}
	leave("alice", true, 1)
	leave("alice", false, callerFeedsMax-1)
	leave("bob", true, callerBehindMax)
	leave("carol", true, 1)
	leave("", true, strangerBehindMax)
	leave("", false, strangerFeedsMax-strangerBehindMax)
	if len(p.feeds.callers) != 0 || p.feeds.all != (feedCount{}) {
		t.Errorf("%v of %v are left", p.feeds.callers, p.feeds.all)
	}
	n := 0
	for i := 0; i < 20; i++ {
		for p.feeds.enter(fmt.Sprint(i), false) {
			n++
		}
	}
	err := p.Changes(t.Context(), app.FeedQuery{Caller: "x"}, nil, nil)
	if n != feedsMax || !errors.Is(err, app.ErrTooManyFeeds) || !errors.Is(p.Admits(app.FeedQuery{}), app.ErrTooManyFeeds) {
		t.Errorf("%d feeds, and one more: %v", n, err)
	}
}

func TestResumable(t *testing.T) {
	p := ccfPast(t)
	delete(p.entries, 50) // pruned
	for id, code := range map[string]string{
		"2.45": "", "6.157": "", "2.49": "ResourceNotFound", "2.127": "TransactionInvalid", "6.158": "TransactionPendingOrUnknown", "9.9": "TransactionInvalid",
	} {
		err := p.Resumable(txID(t, id))
		var wire *synod.Error
		switch {
		case code == "" && err == nil:
		case !errors.As(err, &wire) || wire.Code != code || wire.Status != 404:
			t.Errorf("after %s: %v, want %q", id, err, code)
		}
	}
	if err := p.Resumable(synod.TxID{}); err != nil {
		t.Errorf("from the start: %v", err)
	}
	delete(p.entries, 1)
	if err := p.Resumable(synod.TxID{}); err == nil {
		t.Error("from a start that is gone")
	}
	err := p.Changes(t.Context(), app.FeedQuery{After: 48, Maps: []string{"records"}}, func(*app.State) error { return nil }, nil)
	if wire := (*synod.Error)(nil); !errors.As(err, &wire) || wire.Code != synod.CodeResourceNotFound {
		t.Errorf("over a hole: %v", err)
	}
}
