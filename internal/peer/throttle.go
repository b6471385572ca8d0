package peer

import (
	"sync"
	"time"
)

// logInterval is how often a line of one kind is logged at most.
const logInterval = 10 * time.Second

// throttle lets one line through each logInterval.
type throttle struct {
	mu     sync.Mutex
	next   time.Time
	silent uint64
}

// allow reports whether to log now, and how many lines were not logged before.
func (t *throttle) allow(now time.Time) (silent uint64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Before(t.next) {
		t.silent++
		return 0, false
	}
	silent, t.silent = t.silent, 0
	t.next = now.Add(logInterval)
	return silent, true
}
