package consensus

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"synod"
	"synod/internal/evidence"
	"synod/internal/ledger"
	"synod/internal/merkle"
)

// commit moves the service's commit to a signature that raft has committed:
// hooks run, what is below can no longer be undone, and the waiters get their
// verdict and, if they asked, what a receipt is made of.
//
// all are the signatures that raft has committed since, sig the newest.
func (r *Replica) commit(sig *evidence.Signature, all []pendingSignature) {
	r.prove(sig)
	if r.leading && r.cfg.Snapshot != nil {
		for _, seqno := range r.cfg.Machine.SnapshotsDue(sig.TxID.SeqNo) {
			r.cfg.Snapshot(seqno)
		}
	}
	if chunkEnded := r.cfg.Machine.Commit(sig.TxID.SeqNo); chunkEnded {
		r.disk <- diskOp{committed: sig.TxID.SeqNo}
	}
	for _, s := range all {
		r.signed.add(s.TxID.SeqNo)
	}
	r.commitTo(sig.TxID)
	// One that an earlier leader made, or this one before, took what an election does.
	if s := all[len(all)-1]; r.leading && s.TxID.View == r.view && s.TxID.SeqNo > r.opened {
		r.signer.tookRound(r.cfg.Now().Sub(s.began))
	}
}

// movement tells whoever asks that commit has moved. Unlike a waiter, who asks
// hastens nothing.
type movement struct {
	mu sync.Mutex
	ch chan struct{} // guarded by mu; nil if nobody asks
}

func (m *movement) tell() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ch != nil {
		close(m.ch)
		m.ch = nil
	}
}

// CommitMoved returns a channel that is closed when the service's commit moves
// after the call.
func (r *Replica) CommitMoved() <-chan struct{} {
	m := &r.moved
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ch == nil {
		m.ch = make(chan struct{})
	}
	return m.ch
}

// signedIndex knows where the committed signatures are, 8 bytes each, so that a
// receipt needs no search of the ledger.
type signedIndex struct {
	mu     sync.RWMutex
	seqnos []synod.SeqNo // guarded by mu, ascending
	holes  []hole        // guarded by mu, ascending: signatures there were not seen
}

// hole is what lies between two transactions.
type hole struct{ after, upTo synod.SeqNo }

// skip notes that nothing was seen from after one transaction up to another.
func (x *signedIndex) skip(after, upTo synod.SeqNo) {
	x.mu.Lock()
	x.holes = append(x.holes, hole{after, upTo})
	x.mu.Unlock()
}

func (x *signedIndex) add(seqno synod.SeqNo) {
	x.mu.Lock()
	x.seqnos = append(x.seqnos, seqno)
	x.mu.Unlock()
}

// SignatureAfter returns the first committed signature above seqno. It is false
// if there is none, and for a seqno in what this replica has not seen: before
// its log begins, and between the end of one that was given up and the snapshot that
// it went on after.
func (r *Replica) SignatureAfter(seqno synod.SeqNo) (synod.SeqNo, bool) {
	r.signed.mu.RLock()
	defer r.signed.mu.RUnlock()
	for _, h := range r.signed.holes {
		if seqno >= h.after && seqno < h.upTo {
			return 0, false
		}
	}
	i, exact := slices.BinarySearch(r.signed.seqnos, seqno)
	if exact {
		i++
	}
	if i == len(r.signed.seqnos) {
		return 0, false
	}
	return r.signed.seqnos[i], true
}

// prove gives the waiters who want a receipt their paths, while the tree still
// has the leaves.
func (r *Replica) prove(sig *evidence.Signature) {
	for _, w := range r.waiters.wantingProof(sig.TxID.SeqNo) {
		proof := &Proof{Signature: sig}
		if w.id.SeqNo < sig.TxID.SeqNo {
			path, err := r.cfg.Machine.Tree.Path(w.id.SeqNo, sig.TxID.SeqNo-1)
			if err != nil {
				continue // the waiter reads the ledger instead
			}
			proof.Path = path
		}
		w.proof = proof
	}
}

// Proof is what a receipt needs besides the entry: the signature that covers
// it and the path to its root.
type Proof struct {
	Signature *evidence.Signature
	Path      merkle.Path
}

// counters are for metrics and benches.
type counters struct {
	signatures atomic.Int64
	signing    atomic.Int64 // nanoseconds
}

// Signatures says how many signatures this replica has made as leader since
// it started, and what they cost in all.
func (r *Replica) Signatures() (count int64, cost time.Duration) {
	return r.counters.signatures.Load(), time.Duration(r.counters.signing.Load())
}

// Queues are how full the replica's bounded queues are, now.
type Queues struct {
	Submissions, SubmissionsMax int // transactions that wait to be ordered
	Disk, DiskMax               int // appends and renames that wait for the storage goroutine
	Waiters                     int // requests that wait for commit
}

// Queues returns how full the queues are.
func (r *Replica) Queues() Queues {
	return Queues{
		Submissions: len(r.submissions), SubmissionsMax: queueMax,
		Disk: len(r.disk), DiskMax: cap(r.disk), Waiters: int(r.waiters.count.Load()),
	}
}

// Committed is the last transaction that the service has committed, zero if
// none: a signature.
func (r *Replica) Committed() synod.TxID { return *r.committed.Load() }

// Ordered is the newest entry that this node has ordered.
func (r *Replica) Ordered() synod.SeqNo { return synod.SeqNo(r.ordered.Load()) }

// Uncommitted is how many entries are ordered and not committed.
func (r *Replica) Uncommitted() int {
	return int(r.ordered.Load() - uint64(r.committed.Load().SeqNo))
}

// Role is what this replica knows of who leads.
func (r *Replica) Role() Role { return *r.role.Load() }

// ViewOf returns the view of an entry that this node holds, ordered entries
// that are not on disk yet included.
func (r *Replica) ViewOf(seqno synod.SeqNo) (synod.View, bool) {
	if view, ok := r.store.viewOf(seqno); ok {
		return view, true
	}
	// Entries between disk and order are this leader's own.
	if role := r.Role(); role.Leading && seqno != 0 && seqno <= r.Ordered() {
		return role.View, true
	}
	return 0, false
}

// Status is the status of a transaction as this node knows it.
func (r *Replica) Status(id synod.TxID) synod.TxStatus {
	// The commit is read first: an entry cannot become unknown after it.
	committed := r.Committed()
	view, _ := r.ViewOf(id.SeqNo)
	return synod.StatusOf(id, view, committed)
}

// ViewHistory lists the first transaction of every view from since on. Views
// without a transaction of their own show the first seqno of the next that
// has one (CCF: src/consensus/aft/impl/state.h).
func (r *Replica) ViewHistory(since synod.View) []synod.TxID {
	r.store.mu.RLock()
	views := append([]viewStart(nil), r.store.views...)
	r.store.mu.RUnlock()
	var history []synod.TxID
	view := synod.View(1)
	for _, v := range views {
		for ; view <= v.view; view++ {
			if view >= since {
				history = append(history, synod.TxID{View: view, SeqNo: v.first})
			}
		}
	}
	return history
}

// Entry returns the bytes of the entry at seqno, from memory or the ledger.
func (r *Replica) Entry(seqno synod.SeqNo) ([]byte, error) { return r.store.entry(seqno) }

// Entries returns the bytes of the entries from..to, fewer if they are more
// than maxBytes, but at least one. They must be committed.
func (r *Replica) Entries(from, to synod.SeqNo, maxBytes int) ([][]byte, error) {
	if from == to {
		b, err := r.store.entry(from)
		return [][]byte{b}, err
	}
	entries, err := r.cfg.Log.Read(from, to, maxBytes)
	if errors.Is(err, ledger.ErrNotFound) {
		// A leader's disk may lag behind what a majority has committed.
		if data := r.store.inFlight(from); data != nil {
			return [][]byte{data}, nil
		}
	}
	return entries, err
}
