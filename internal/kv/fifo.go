package kv

// A fifo is a queue that can also be cut at its end. Pushing and popping cost
// O(1) amortised.
type fifo[T any] struct {
	items []T
	head  int
}

func (q *fifo[T]) len() int    { return len(q.items) - q.head }
func (q *fifo[T]) at(i int) *T { return &q.items[q.head+i] }
func (q *fifo[T]) push(v T)    { q.items = append(q.items, v) }

// pop drops the first n.
func (q *fifo[T]) pop(n int) {
	clear(q.items[q.head : q.head+n])
	q.head += n
	switch {
	case q.head == len(q.items):
		q.items, q.head = q.items[:0], 0
	case q.head > len(q.items)/2 && q.head > 64:
		k := copy(q.items, q.items[q.head:])
		clear(q.items[k:])
		q.items, q.head = q.items[:k], 0
	}
}

// cut drops the last n.
func (q *fifo[T]) cut(n int) {
	k := len(q.items) - n
	clear(q.items[k:])
	q.items = q.items[:k]
}
