package consensus

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"synod"
)

// waiters are the requests that wait for commit.
type waiters struct {
	count atomic.Int64

	mu      sync.Mutex
	list    []*waiter   // guarded by mu, by seqno
	passed  synod.SeqNo // guarded by mu: commit has told those up to here
	stopped bool        // guarded by mu
	proofs  int         // guarded by mu: waiters that want a proof
	signed  synod.SeqNo // guarded by mu: the newest signature that is ordered

	unsigned atomic.Int64 // how many wait for what no signature covers yet; changed under mu
}

type waiter struct {
	id        synod.TxID
	wantProof bool
	proof     *Proof        // set by the replica goroutine before done is told
	done      chan struct{} // has one place; told when commit reaches id.SeqNo or the replica stops
	gaveUp    bool          // guarded by waiters.mu: not to be added any more
}

func newWaiter() waiter { return waiter{done: make(chan struct{}, 1)} }

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

// uncovered notes that the signatures above seqno, the newest that stays, were taken
// back.
func (w *waiters) uncovered(seqno synod.SeqNo) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.signed = min(w.signed, seqno)
	w.unsigned.Store(int64(len(w.list) - w.place(w.signed+1)))
}

// place is where the waiters for a seqno begin or would.
func (w *waiters) place(seqno synod.SeqNo) int {
	i, _ := slices.BinarySearchFunc(w.list, seqno, func(x *waiter, s synod.SeqNo) int {
		if x.id.SeqNo < s {
			return -1
		}
		return 1
	})
	return i
}

// add registers a waiter for a transaction; false if there is nothing to wait
// for, or if it has given up.
func (w *waiters) add(x *waiter, id synod.TxID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped || x.gaveUp || id.SeqNo <= w.passed {
		return false
	}
	x.id = id
	w.list = slices.Insert(w.list, w.place(id.SeqNo+1), x)
	w.count.Add(1)
	if x.id.SeqNo > w.signed {
		w.unsigned.Add(1)
	}
	if x.wantProof {
		w.proofs++
	}
	return true
}

// remove takes back a waiter that gives up. It is false for one that waits no more
// or not yet; the latter is not added then.
func (w *waiters) remove(x *waiter) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	x.gaveUp = true
	for i := w.place(x.id.SeqNo); i < len(w.list) && w.list[i].id.SeqNo == x.id.SeqNo; i++ {
		if w.list[i] == x {
			w.list = slices.Delete(w.list, i, i+1)
			w.gone(x)
			return true
		}
	}
	return false
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
	for _, x := range w.list[:w.place(seqno+1)] {
		if x.wantProof {
			list = append(list, x)
		}
	}
	return list
}

// committed wakes the waiters up to seqno and says how many there were.
func (w *waiters) committed(seqno synod.SeqNo) (woken int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.passed = seqno
	n := w.place(seqno + 1)
	w.wake(n)
	return n
}

// stop wakes everybody.
func (w *waiters) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.wake(len(w.list))
}

// wake wakes the first n.
func (w *waiters) wake(n int) {
	for _, x := range w.list[:n] {
		w.gone(x)
		x.done <- struct{}{}
	}
	w.list = slices.Delete(w.list, 0, n)
}

// WaitCommitted waits until the service's commit reaches the transaction, and
// says what became of it: TxCommitted or TxInvalid. The proof is that of a
// committed transaction if wantProof; it is nil if it was committed before the
// call, and then it must be read from the ledger. The error is ctx's, or
// ErrStopped.
func (r *Replica) WaitCommitted(ctx context.Context, id synod.TxID, wantProof bool) (synod.TxStatus, *Proof, error) {
	x := newWaiter()
	x.wantProof = wantProof
	if r.waiters.add(&x, id) {
		r.poke()
		select {
		case <-x.done:
		case <-ctx.Done():
			r.waiters.remove(&x)
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
