package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"synod"
)

// inbound is a connection that a peer dialled: its messages and calls come in,
// our answers go out.
type inbound struct {
	links  *Links
	id     synod.NodeID
	w      *wire
	ctx    context.Context // of the connection: its end closes it
	cancel context.CancelCauseFunc

	turn    chan struct{} // holds one: who has it may write
	writers atomic.Int32  // how many wait for it or have it; the last one flushes
	tasks   sync.WaitGroup

	mu      sync.Mutex
	serving map[uint64]context.CancelFunc
	bytes   int // of the requests that are being served
}

func newInbound(ctx context.Context, l *Links, id synod.NodeID, w *wire) *inbound {
	in := &inbound{links: l, id: id, w: w, turn: make(chan struct{}, 1), serving: map[uint64]context.CancelFunc{}}
	in.ctx, in.cancel = context.WithCancelCause(ctx)
	return in
}

// run serves the peer until the connection breaks.
func (in *inbound) run() {
	defer context.AfterFunc(in.ctx, func() { _ = in.w.raw.Close() })()
	in.tasks.Go(in.keepAlive)
	in.leave(in.read())
	in.tasks.Wait()
}

// leave ends the connection and takes it out of the list.
func (in *inbound) leave(err error) {
	in.cancel(err)
	in.links.mu.Lock()
	defer in.links.mu.Unlock()
	if in.links.inbound[in.id] == in {
		delete(in.links.inbound, in.id)
	}
}

func (in *inbound) calls() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.serving)
}

// keepAlive lets the peer know that this node lives while there is nothing to
// answer.
func (in *inbound) keepAlive() {
	tick := time.NewTicker(keepAliveInterval)
	defer tick.Stop()
	for in.ctx.Err() == nil {
		select {
		case <-tick.C:
			in.write(kindKeepAlive, nil, nil)
		case <-in.ctx.Done():
		}
	}
}

// read takes messages and calls until the connection breaks.
func (in *inbound) read() error {
	for {
		kind, n, err := readHeader(in.w.r)
		if err != nil {
			return err
		}
		switch kind {
		case kindMessage:
			var m []byte
			if m, err = in.links.content(in.ctx, in.w.r, n); err == nil {
				in.links.config.Message(in.id, m)
			}
		case kindRequest:
			err = in.readRequest(n)
		case kindCancel:
			err = in.readCancel()
		case kindHello, kindRefusal, kindAnswer, kindFailure:
			err = fmt.Errorf("%w: type %d from the side that dialled", errFrame, kind)
		default:
			_, err = in.w.r.Discard(n)
		}
		if err != nil {
			return err
		}
	}
}

// readRequest reads a request and has it served, or says that there are too many.
func (in *inbound) readRequest(n int) error {
	number, err := readNumber(in.w.r)
	if err != nil {
		return err
	}
	n -= numberSize
	ctx, err := in.begin(number, n)
	if errors.Is(err, ErrBusy) {
		in.fail(number, reasonBusy, "this node serves as many as it can")
		_, err := in.w.r.Discard(n)
		return err
	}
	if err != nil {
		return err
	}
	request, err := in.links.content(in.ctx, in.w.r, n)
	if err != nil {
		return err
	}
	in.tasks.Go(func() {
		defer in.finish(number, n)
		in.serve(ctx, number, request)
	})
	return nil
}

// begin takes a place for a call, in number and in bytes.
func (in *inbound) begin(number uint64, n int) (context.Context, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.serving[number] != nil:
		return nil, fmt.Errorf("%w: call %d is being served already", errFrame, number)
	case len(in.serving) >= servedMax || in.bytes > 0 && in.bytes+n > callBytesMax:
		return nil, ErrBusy
	}
	ctx, cancel := context.WithCancel(in.ctx)
	in.serving[number] = cancel
	in.bytes += n
	return ctx, nil
}

// finish gives the place of a call back.
func (in *inbound) finish(number uint64, n int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.serving[number]()
	delete(in.serving, number)
	in.bytes -= n
}

func (in *inbound) readCancel() error {
	number, err := readNumber(in.w.r)
	if err != nil {
		return err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if cancel := in.serving[number]; cancel != nil {
		cancel()
	}
	return nil
}

// serve has a request answered, unless its caller gives it up.
func (in *inbound) serve(ctx context.Context, number uint64, request []byte) {
	answer, err := in.links.config.Call(ctx, in.id, request)
	if err == nil && len(answer) > MessageMax {
		err = fmt.Errorf("an answer of %d bytes, at most %d", len(answer), MessageMax)
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		in.fail(number, reasonFailed, err.Error())
	default:
		in.write(kindAnswer, binary.LittleEndian.AppendUint64(nil, number), answer)
	}
}

func (in *inbound) fail(number uint64, reason byte, text string) {
	in.write(kindFailure, append(binary.LittleEndian.AppendUint64(nil, number), reason), []byte(clip(text)))
}

// write writes a frame when it is its turn. It flushes unless another waits,
// which will: answers that are ready at the same time share a record.
func (in *inbound) write(k kind, head, body []byte) {
	in.writers.Add(1)
	select {
	case in.turn <- struct{}{}:
	case <-in.ctx.Done():
		in.writers.Add(-1)
		return
	}
	err := in.w.frame(k, head, body)
	if in.writers.Add(-1) == 0 && err == nil {
		err = in.w.w.Flush()
	}
	<-in.turn
	if err != nil {
		in.cancel(err)
	}
}
