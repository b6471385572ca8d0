package peer

import (
	"context"
	"fmt"
	"slices"
)

// Calls in flight with one peer.
const (
	callsMax = 1024
	// servedMax bounds the calls of one peer that are being served: what it may
	// have in flight, and those that it gave up and that have not noticed yet.
	servedMax = 2 * callsMax
	// callBytesMax bounds the requests that wait to be sent, or that are being
	// served. One is taken whatever its size.
	callBytesMax = 64 << 20
)

// call is a request and where its outcome goes.
type call struct {
	request []byte
	number  uint64       // from 1, set when it is sent
	result  chan outcome // holds one
}

type outcome struct {
	answer []byte
	err    error
}

// call sends a request and waits for its outcome.
func (k *link) call(ctx context.Context, request []byte) ([]byte, error) {
	c := &call{request: request, result: make(chan outcome, 1)}
	if err := k.enqueue(c); err != nil {
		return nil, err
	}
	select {
	case o := <-c.result:
		return o.answer, o.err
	case <-ctx.Done():
		return k.abandon(ctx, c)
	}
}

func (k *link) enqueue(c *call) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.state == linkDown || k.state == linkEnded:
		return fmt.Errorf("%w: %w", ErrUnreachable, k.err)
	case len(k.calls)+len(k.requests) >= callsMax || k.requestBytes > 0 && k.requestBytes+len(c.request) > callBytesMax:
		return fmt.Errorf("%w: to %s", ErrBusy, k.id)
	}
	k.requests = append(k.requests, c)
	k.requestBytes += len(c.request)
	notify(k.wake)
	return nil
}

// takeRequests moves calls into a batch: one, and more up to batchMax bytes. From
// here on they count as sent. The caller holds the lock.
func (k *link) takeRequests(b *batch) {
	n, size := 0, 0
	for n < len(k.requests) && (n == 0 || size+len(k.requests[n].request) <= batchMax) {
		c := k.requests[n]
		k.number++
		c.number = k.number
		k.calls[c.number] = c
		size += len(c.request)
		n++
	}
	b.requests = append(b.requests, k.requests[:n]...)
	k.requests = slices.Delete(k.requests, 0, n)
	k.requestBytes -= size
}

// abandon gives a call up because ctx ended. The peer is told, if it was sent.
func (k *link) abandon(ctx context.Context, c *call) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case o := <-c.result: // both at the same time
		return o.answer, o.err
	default:
	}
	if c.number == 0 {
		i := slices.Index(k.requests, c)
		k.requests = slices.Delete(k.requests, i, i+1)
		k.requestBytes -= len(c.request)
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, context.Cause(ctx))
	}
	delete(k.calls, c.number)
	if len(k.cancels) < callsMax {
		k.cancels = append(k.cancels, c.number)
		notify(k.wake)
	}
	return nil, fmt.Errorf("%w: %w", ErrUnanswered, context.Cause(ctx))
}

// waiting reports whether somebody waits for the answer to a call.
func (k *link) waiting(number uint64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.calls[number] != nil
}

// answered settles a call that was sent, unless it was given up.
func (k *link) answered(number uint64, answer []byte, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.calls[number]
	if c == nil {
		return
	}
	delete(k.calls, number)
	c.result <- outcome{answer, err}
	if len(k.calls) == 0 {
		notify(k.wake) // a worn connection waits for this
	}
}

// settle ends the calls that a connection took with it, and those that were not
// sent yet too if no other connection follows at once. The caller holds the lock.
func (k *link) settle(err error, unsent bool) {
	for number, c := range k.calls {
		delete(k.calls, number)
		c.result <- outcome{nil, fmt.Errorf("%w: %w", ErrUnanswered, err)}
	}
	k.cancels = k.cancels[:0]
	if !unsent {
		return
	}
	for _, c := range k.requests {
		c.result <- outcome{nil, fmt.Errorf("%w: %w", ErrUnreachable, err)}
	}
	k.requests, k.requestBytes = nil, 0
}
