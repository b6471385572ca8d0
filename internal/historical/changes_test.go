package historical

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"synod"
	"synod/app"
)

// TestChanges follows CCF's ledger from its start, and from the middle.
func TestChanges(t *testing.T) {
	p := ccfPast(t)
	follow := func(after synod.SeqNo, n int, maps ...string) (ids []string) {
		t.Helper()
		enough := errors.New("enough")
		err := p.Changes(t.Context(), after, maps, func(s *app.State) error {
			ids = append(ids, s.ID().String())
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
	if got := fmt.Sprint(follow(0, 8, "public:records")); got != "[2.39 2.40 2.42 2.43 2.44 2.45 4.133 6.154]" {
		t.Error(got)
	}
	if got := fmt.Sprint(follow(44, 2, "public:records", "none")); got != "[2.45 4.133]" {
		t.Error(got)
	}
	if got := len(follow(0, 50, "records", "public:records")); got != 50 {
		t.Error(got)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Changes(ctx, p.last.SeqNo, []string{"records"}, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("without anything to come: %v", err)
	}
	p.feeds.Store(feedsMax)
	if err := p.Changes(ctx, 0, nil, nil, nil); !errors.Is(err, app.ErrTooManyFeeds) {
		t.Errorf("one feed too many: %v", err)
	}
	if got := p.Usage().Feeds; got != feedsMax {
		t.Errorf("%d feeds", got)
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
	err := p.Changes(t.Context(), 48, []string{"records"}, func(*app.State) error { return nil }, nil)
	if wire := (*synod.Error)(nil); !errors.As(err, &wire) || wire.Code != synod.CodeResourceNotFound {
		t.Errorf("over a hole: %v", err)
	}
}
