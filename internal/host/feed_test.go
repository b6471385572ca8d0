package host_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"synod"
	"synod/app"
	"synod/app/apptest"
)

// feeds is an application with a feed of two maps, and one of what it chooses.
func feeds() *app.App {
	a := app.New("x")
	a.Get("/changes", app.ChangeFeed(app.Feed{Maps: []string{"public:a", "b"}})).Historical()
	names := app.MapOf[string, string]("public:a")
	a.Get("/names", app.ChangeFeed(app.Feed{Maps: []string{"public:a"}, Event: func(c *app.Context, s *app.State) (any, error) {
		name, ok, err := names.Get(s, "name")
		if !ok || err != nil {
			return nil, err
		}
		return map[string]string{"name": name}, nil
	}})).Historical()
	return a
}

func TestFeed(t *testing.T) {
	svc := apptest.New(t, feeds())
	put := func(m, key, value string) synod.TxID {
		return svc.Write(func(tx app.Tx) { tx.Put(m, []byte(key), []byte(value)) })
	}
	first := put("public:a", "k", "v")
	put("other", "k", "v")
	both := svc.Write(func(tx app.Tx) {
		tx.Put("b", []byte("k"), []byte("secret"))
		tx.Delete("public:a", []byte("k"))
	})
	svc.Proof(both) // committed
	want := []apptest.Event{
		{ID: first.String(), Data: fmt.Sprintf(`{"transaction_id":"%s","writes":[{"key":"aw==","map":"public:a","value":"dg=="}]}`, first)},
		{ID: both.String(), Data: fmt.Sprintf(`{"transaction_id":"%s","writes":[{"key":"aw==","map":"b","value":"c2VjcmV0"},{"deleted":true,"key":"aw==","map":"public:a"}]}`, both)},
	}
	nobody := svc.Anybody()
	answer := nobody.Get("/changes?since=start").Expect(200).ExpectHeader("content-type", "text/event-stream")
	if got := answer.Events(2); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := nobody.With("last-event-id", first.String()).Get("/changes").Events(1); got[0] != want[1] {
		t.Errorf("resumed with %v", got)
	}
	// What is committed while the feed is open.
	open := nobody.Get("/names")
	later := make(chan synod.TxID, 1)
	go func() {
		put("public:a", "k", "not told of")
		id := put("public:a", "name", "alice")
		later <- id
	}()
	if got := open.Events(1); got[0] != (apptest.Event{ID: (<-later).String(), Data: `{"name":"alice"}`}) {
		t.Errorf("told of %v", got)
	}

	for since, code := range map[string]string{"2.99999": "TransactionPendingOrUnknown", "1.1": "TransactionInvalid"} {
		nobody.Get("/changes?since="+since).ExpectError(404, code)
		nobody.With("last-event-id", since).Get("/changes").ExpectError(404, code)
	}
	nobody.Get("/changes?since=yesterday").ExpectError(400, "InvalidInput")
	nobody.Get("/changes?since=").ExpectError(400, "InvalidInput")
}

// TestFeedTooMany refuses a feed beyond those that strangers may have, before it
// begins.
func TestFeedTooMany(t *testing.T) {
	a := feeds()
	var past app.History
	a.Get("/past", func(c *app.Context) error { past = c.Node().History(); return nil }).ReadOnly()
	svc := apptest.New(t, a)
	nobody := svc.Anybody()
	nobody.Get("/past").Expect(204)
	ctx, cancel := context.WithCancel(t.Context())
	var open sync.WaitGroup
	for past.Admits(app.FeedQuery{}) == nil {
		entered := make(chan struct{}, 1)
		open.Go(func() {
			_ = past.Changes(ctx, app.FeedQuery{Maps: []string{"public:a"}}, func(*app.State) error {
				select {
				case entered <- struct{}{}:
				default:
				}
				return nil
			}, nil)
		})
		svc.Write(func(tx app.Tx) { tx.Put("public:a", []byte("k"), nil) })
		<-entered
	}
	nobody.Get("/changes").ExpectHeader("retry-after", "10").ExpectError(503, "TooManyFeeds")
	cancel()
	open.Wait()
	nobody.Get("/changes?since=start").Expect(200)
}
