package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// errWorn ends a connection that has carried as much as its keys may encrypt.
var errWorn = errors.New("the connection is replaced: it has carried enough under its keys")

// converse writes what waits for the peer and reads what it answers, until the
// connection breaks or ctx ends. It returns the first reason.
func (k *link) converse(ctx context.Context, w *wire) error {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		cancel(k.read(ctx, w))
	}()
	cancel(k.write(ctx, w))
	_ = w.raw.Close()
	<-done
	return context.Cause(ctx)
}

// batch is what the writer has taken and not yet written.
type batch struct {
	messages [][]byte
	requests []*call
	cancels  []uint64
}

func (b *batch) empty() bool { return len(b.messages)+len(b.requests)+len(b.cancels) == 0 }

// take moves what waits into an empty batch, requests unless they are held back.
// It returns how many calls are sent and unanswered.
func (k *link) take(b *batch, hold bool) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	b.messages = k.messages.take(b.messages)
	b.cancels, k.cancels = append(b.cancels, k.cancels...), k.cancels[:0]
	if !hold {
		k.takeRequests(b)
	}
	return len(k.calls)
}

// write writes until the connection breaks. Frames go into a buffer that is
// flushed when it is full or nothing waits: a burst of small messages is one
// record and one system call.
func (k *link) write(ctx context.Context, w *wire) error {
	alive := time.NewTicker(keepAliveInterval)
	defer alive.Stop()
	var b batch
	for {
		worn := w.worn()
		hold := worn > k.links.wearMax
		unanswered := k.take(&b, hold)
		if err := b.write(w); err != nil {
			return err
		}
		switch {
		case hold && (unanswered == 0 || worn > 2*k.links.wearMax):
			return errors.Join(errWorn, w.w.Flush())
		case !b.empty():
			b.reset()
			continue
		}
		if err := w.w.Flush(); err != nil {
			return err
		}
		select {
		case <-k.wake:
		case <-alive.C:
			if err := w.frame(kindKeepAlive, nil, nil); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (b *batch) write(w *wire) error {
	for _, m := range b.messages {
		if err := w.frame(kindMessage, nil, m); err != nil {
			return err
		}
	}
	for _, c := range b.requests {
		if err := w.frame(kindRequest, binary.LittleEndian.AppendUint64(nil, c.number), c.request); err != nil {
			return err
		}
	}
	for _, number := range b.cancels {
		if err := w.frame(kindCancel, binary.LittleEndian.AppendUint64(nil, number), nil); err != nil {
			return err
		}
	}
	return nil
}

// reset empties the batch and lets go of what was in it.
func (b *batch) reset() {
	clear(b.messages)
	clear(b.requests)
	b.messages, b.requests, b.cancels = b.messages[:0], b.requests[:0], b.cancels[:0]
}

// read takes the answers of the peer until the connection breaks.
func (k *link) read(ctx context.Context, w *wire) error {
	for {
		kind, n, err := readHeader(w.r)
		if err != nil {
			return err
		}
		switch kind {
		case kindAnswer:
			err = k.readAnswer(ctx, w, n)
		case kindFailure:
			err = k.readFailure(w, n)
		case kindRefusal:
			var words string
			if words, err = w.text(n); err == nil {
				err = refusedError(words)
			}
		case kindHello, kindMessage, kindRequest:
			err = fmt.Errorf("%w: type %d from the side that was dialled", errFrame, kind)
		default:
			_, err = w.r.Discard(n)
		}
		if err != nil {
			return err
		}
	}
}

func (k *link) readAnswer(ctx context.Context, w *wire, n int) error {
	number, err := readNumber(w.r)
	if err != nil {
		return err
	}
	n -= numberSize
	if !k.waiting(number) { // given up meanwhile
		_, err := w.r.Discard(n)
		return err
	}
	answer, err := k.links.content(ctx, w.r, n)
	if err != nil {
		return err
	}
	k.answered(number, answer, nil)
	return nil
}

func (k *link) readFailure(w *wire, n int) error {
	number, err := readNumber(w.r)
	if err != nil {
		return err
	}
	reason, err := w.r.ReadByte()
	if err != nil {
		return err
	}
	words, err := w.text(n - numberSize - 1)
	if err != nil {
		return err
	}
	failure := fmt.Errorf("%w: %s", ErrFailed, words)
	if reason == reasonBusy {
		failure = fmt.Errorf("%w: %s", ErrBusy, words)
	}
	k.answered(number, nil, failure)
	return nil
}
