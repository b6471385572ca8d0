package consensus

import (
	"context"
	"sync"
	"sync/atomic"

	"synod"
)

// waiters are the requests that wait for commit.
type waiters struct {
	count atomic.Int64

	mu      sync.Mutex
	bySeqNo map[synod.SeqNo][]*waiter // guarded by mu
	passed  synod.SeqNo               // guarded by mu: commit has told those up to here
	stopped bool                      // guarded by mu
	proofs  int                       // guarded by mu: waiters that want a proof
	signed  synod.SeqNo               // guarded by mu: the newest signature that is ordered

	unsigned atomic.Int64 // how many wait for what no signature covers yet; changed under mu
}

type waiter struct {
	id        synod.TxID
	wantProof bool
	proof     *Proof        // set by the replica goroutine before done closes
	done      chan struct{} // closed when commit reaches id.SeqNo or the replica stops
}

// start sets what is committed already.
func (w *waiters) start(seqno synod.SeqNo) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.passed = seqno
}

// covered notes the newest signature that is ordered.
func (w *waiters) covered(seqno synod.SeqNo) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.signed = seqno
	w.unsigned.Store(0)
}

// add registers a waiter; false if there is nothing to wait for.
func (w *waiters) add(x *waiter) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped || x.id.SeqNo <= w.passed {
		return false
	}
	w.bySeqNo[x.id.SeqNo] = append(w.bySeqNo[x.id.SeqNo], x)
	w.count.Add(1)
	if x.id.SeqNo > w.signed {
		w.unsigned.Add(1)
	}
	if x.wantProof {
		w.proofs++
	}
	return true
}

// remove takes back a waiter that has given up.
func (w *waiters) remove(x *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.bySeqNo[x.id.SeqNo]
	for i := range list {
		if list[i] == x {
			list[i] = list[len(list)-1]
			w.set(x.id.SeqNo, list[:len(list)-1])
			w.gone(x)
			return
		}
	}
}

func (w *waiters) set(seqno synod.SeqNo, list []*waiter) {
	if len(list) == 0 {
		delete(w.bySeqNo, seqno)
		return
	}
	w.bySeqNo[seqno] = list
}

func (w *waiters) gone(x *waiter) {
	w.count.Add(-1)
	if x.id.SeqNo > w.signed && w.unsigned.Load() > 0 {
		w.unsigned.Add(-1)
	}
	if x.wantProof {
		w.proofs--
	}
}

// wantingProof returns the waiters up to seqno that want a proof.
func (w *waiters) wantingProof(seqno synod.SeqNo) []*waiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.proofs == 0 {
		return nil
	}
	var list []*waiter
	for s, ws := range w.bySeqNo {
		for _, x := range ws {
			if s <= seqno && x.wantProof {
				list = append(list, x)
			}
		}
	}
	return list
}

// committed wakes the waiters up to seqno and says how many there were.
func (w *waiters) committed(seqno synod.SeqNo) (woken int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.passed = seqno
	for s, ws := range w.bySeqNo {
		if s <= seqno {
			woken += len(ws)
			w.wake(s, ws)
		}
	}
	return woken
}

// stop wakes everybody.
func (w *waiters) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	for s, ws := range w.bySeqNo {
		w.wake(s, ws)
	}
}

func (w *waiters) wake(seqno synod.SeqNo, list []*waiter) {
	for _, x := range list {
		close(x.done)
		w.gone(x)
	}
	delete(w.bySeqNo, seqno)
}

// WaitCommitted waits until the service's commit reaches the transaction, and
// says what became of it: TxCommitted or TxInvalid. The proof is that of a
// committed transaction if wantProof; it is nil if it was committed before the
// call, and then it must be read from the ledger. The error is ctx's, or
// ErrStopped.
func (r *Replica) WaitCommitted(ctx context.Context, id synod.TxID, wantProof bool) (synod.TxStatus, *Proof, error) {
	x := &waiter{id: id, wantProof: wantProof, done: make(chan struct{})}
	if r.waiters.add(x) {
		r.poke()
		select {
		case <-x.done:
		case <-ctx.Done():
			r.waiters.remove(x)
			return "", nil, ctx.Err()
		}
	}
	status := r.Status(id)
	if status != synod.TxCommitted && status != synod.TxInvalid {
		return "", nil, ErrStopped
	}
	return status, x.proof, nil
}

// Interest tells the replica that somebody asks after an uncommitted
// transaction, so that a signature does not wait for its delay.
func (r *Replica) Interest() { r.interest.Store(true); r.poke() }

// poke makes the replica goroutine look again.
func (r *Replica) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}
