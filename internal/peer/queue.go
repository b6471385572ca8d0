package peer

import "time"

// What waits for one peer at most. A message is taken into an empty queue
// whatever its size.
const (
	queueMax      = 4096
	queueBytesMax = 64 << 20
	// staleMax is how old a message may be when a connection is made: raft has
	// long sent newer ones.
	staleMax = 2 * time.Second
	// batchMax is how many bytes the writer takes at once, beyond the first
	// message.
	batchMax = 256 << 10
)

type queued struct {
	m  []byte
	at time.Time
}

// queue holds messages in their order, bounded in number and bytes.
type queue struct {
	items []queued
	first int // items before it are taken
	bytes int
}

func (q *queue) len() int { return len(q.items) - q.first }

func (q *queue) fits(n int) bool {
	return q.len() == 0 || q.len() < queueMax && q.bytes+n <= queueBytesMax
}

// push appends a message. If there is no room it makes some by dropping the
// oldest messages, if it may, else it drops the new one. It returns how many were
// dropped, and whether the new one was taken.
func (q *queue) push(m []byte, now time.Time, evict bool) (dropped int, ok bool) {
	for !q.fits(len(m)) {
		if !evict {
			return 1, false
		}
		q.pop()
		dropped++
	}
	if len(q.items) == cap(q.items) && q.first > len(q.items)/2 {
		q.items = q.items[:copy(q.items, q.items[q.first:])]
		q.first = 0
	}
	q.items = append(q.items, queued{m, now})
	q.bytes += len(m)
	return dropped, true
}

func (q *queue) pop() []byte {
	m := q.items[q.first].m
	q.items[q.first] = queued{}
	q.first++
	q.bytes -= len(m)
	if q.first == len(q.items) {
		q.items, q.first = q.items[:0], 0
	}
	return m
}

// take appends the oldest messages to batch: one, and more up to batchMax bytes.
func (q *queue) take(batch [][]byte) [][]byte {
	for size := 0; q.len() > 0; {
		next := len(q.items[q.first].m)
		if size > 0 && size+next > batchMax {
			break
		}
		size += next + headerSize
		batch = append(batch, q.pop())
	}
	return batch
}

// expire drops the messages from before a time and returns how many.
func (q *queue) expire(before time.Time) int {
	dropped := 0
	for q.len() > 0 && q.items[q.first].at.Before(before) {
		q.pop()
		dropped++
	}
	return dropped
}
