package arm

import (
	"sync"
	"time"
)

// callersMax bounds the callers whose rate is remembered; beyond it the
// memory begins anew.
const callersMax = 10_000

// throttle is a bucket of writes for each caller.
type throttle struct {
	max int
	now func() time.Time

	mu      sync.Mutex
	buckets map[string]bucket // guarded by mu
}

type bucket struct {
	left float64
	at   time.Time
}

// take takes one from a caller's bucket. It returns how many are left, and how
// long to wait if there was none.
func (t *throttle) take(caller string) (left int, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	b, ok := t.buckets[caller]
	if !ok {
		if len(t.buckets) >= callersMax || t.buckets == nil {
			t.buckets = map[string]bucket{}
		}
		b = bucket{float64(t.max), now}
	}
	b.left = min(float64(t.max), b.left+writesPerSecond*max(0, now.Sub(b.at).Seconds()))
	b.at = now
	if b.left < 1 {
		wait = max(time.Second/writesPerSecond, time.Duration((1-b.left)/writesPerSecond*float64(time.Second)))
	} else {
		b.left--
	}
	t.buckets[caller] = b
	return int(b.left), wait
}
