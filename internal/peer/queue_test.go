package peer

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// TestQueue compares the queue with a plain slice under random use.
func TestQueue(t *testing.T) {
	seed := uint64(time.Now().UnixNano()) //nolint:gosec // a seed
	rng := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test's
	var q queue
	var model [][]byte
	size := func() (n int) {
		for _, m := range model {
			n += len(m)
		}
		return n
	}
	big := make([]byte, queueBytesMax/3)
	for i := range 50_000 {
		switch rng.IntN(20) {
		case 0:
			got := q.take(nil)
			for _, m := range got {
				if string(m) != string(model[0]) {
					t.Fatalf("seed %d, step %d: out of order", seed, i)
				}
				model = model[1:]
			}
			if len(got) == 0 && len(model) > 0 {
				t.Fatalf("seed %d, step %d: nothing taken", seed, i)
			}
		default:
			m := fmt.Append(nil, i)
			if rng.IntN(1000) == 0 {
				m = big
			}
			evict := rng.IntN(2) == 0
			dropped, ok := q.push(m, time.Time{}, evict)
			if ok {
				model = append(model[dropped:], m)
			} else if evict || dropped != 1 {
				t.Fatalf("seed %d, step %d: refused", seed, i)
			}
		}
		if q.len() != len(model) || q.bytes != size() || q.len() > queueMax || q.bytes > queueBytesMax {
			t.Fatalf("seed %d, step %d: %d messages of %d bytes, want %d of %d", seed, i, q.len(), q.bytes, len(model), size())
		}
	}
	if cap(q.items) > 4*queueMax {
		t.Errorf("room for %d items", cap(q.items))
	}
}

func TestQueueBounds(t *testing.T) {
	var q queue
	now := time.Now()
	if _, ok := q.push(make([]byte, MessageMax), now, false); !ok {
		t.Error("an empty queue refuses the largest message")
	}
	if dropped, ok := q.push([]byte{1}, now, false); ok || dropped != 1 {
		t.Error("a full queue takes another")
	}
	if dropped, ok := q.push([]byte{1}, now, true); !ok || dropped != 1 || q.bytes != 1 {
		t.Error("the oldest did not go")
	}
	q.push([]byte{2}, now.Add(time.Second), false)
	if n := q.expire(now.Add(time.Second)); n != 1 || q.len() != 1 {
		t.Errorf("%d expired, %d left", n, q.len())
	}
}

func TestThrottle(t *testing.T) {
	var th throttle
	now := time.Now()
	for i, c := range []struct {
		after  time.Duration
		silent uint64
		ok     bool
	}{{0, 0, true}, {1, 0, false}, {logInterval - 1, 0, false}, {logInterval, 2, true}, {2 * logInterval, 0, true}} {
		if silent, ok := th.allow(now.Add(c.after)); silent != c.silent || ok != c.ok {
			t.Errorf("%d: %d, %v", i, silent, ok)
		}
	}
}
