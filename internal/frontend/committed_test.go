package frontend_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"synod/app"
	"synod/app/apptest"
)

// TestLinearizableOnARealNode: with consensus, store and compaction as they
// are, linearizable reads beside writes see what was committed before them.
func TestLinearizableOnARealNode(t *testing.T) {
	const table, key, writes = "public:counter", "n", 60
	a := app.New("counter")
	a.Post("/set", func(c *app.Context) error {
		c.Tx().Put(table, []byte(key), c.Request.Body)
		return nil
	})
	a.Get("/get", func(c *app.Context) error {
		v, _ := c.Tx().Get(table, []byte(key))
		c.Text(string(v))
		return nil
	}).ReadOnly()
	s := apptest.New(t, a)

	var committed atomic.Int64
	var done atomic.Bool
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			c := s.Anybody().With("x-synod-consistency", "linearizable")
			var last int64
			for !done.Load() {
				least := max(committed.Load(), last)
				answer := c.Get("/get")
				if answer.Status() != 200 {
					t.Errorf("status %d: %s", answer.Status(), answer.Body())
					return
				}
				last, _ = strconv.ParseInt("0"+answer.Body(), 10, 64)
				if last < least {
					t.Errorf("read %d after %d was committed", last, least)
				}
			}
		})
	}
	w := s.Anybody().With("x-synod-wait", "committed")
	for n := range int64(writes) {
		w.Post("/set", strconv.FormatInt(n, 10)).Expect(204).ExpectHeader("x-synod-status", "Committed")
		committed.Store(n)
	}
	done.Store(true)
	readers.Wait()

	own := s.Anybody()
	own.Post("/set", "999").Expect(204)
	own.With("x-synod-consistency", "linearizable").Get("/get").ExpectBody("999")
}
