package consensus

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	pb "go.etcd.io/raft/v3/raftpb"

	"synod"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/machine"
)

// Submission is one executed transaction on its way to be ordered.
type Submission struct {
	prepared *machine.Prepared
	answer   chan submitted // one place, so that the replica never waits
	id       synod.TxID     // while its batch is with raft
	waits    bool           // it is answered when it is committed, by way of waiter
	waiter   waiter
}

type submitted struct {
	id  synod.TxID
	err error
}

func (s *Submission) reply(id synod.TxID, err error) { s.answer <- submitted{id, err} }

var submissionPool = sync.Pool{New: func() any {
	return &Submission{answer: make(chan submitted, 1), waiter: newWaiter()}
}}

// Submit orders a prepared transaction and returns its place. It waits for
// nothing but the order: not for the disk, a signature or a peer. The errors
// are kv.ErrConflict (run the transaction again), machine.ErrTooLarge,
// ErrNotPrimary, ErrTooMuch, ErrFull, ErrDropped and ErrStopped; after any of them nothing was recorded. It does not end
// early with a context: once queued, only the replica knows the outcome.
func (r *Replica) Submit(p *machine.Prepared) (synod.TxID, error) {
	s, err := r.enqueue(p, false, false)
	if err != nil {
		return synod.TxID{}, err
	}
	select {
	case a := <-s.answer:
		s.recycle()
		return a.id, a.err
	case <-r.done:
		a := s.atTheEnd()
		return a.id, a.err
	}
}

// SubmitAndWait is Submit, and WaitCommitted for what was ordered: it costs less
// than one after the other, and lets the replica sign at once. The status is what
// became of the transaction, or what is known of it when ctx ends or the replica
// stops.
func (r *Replica) SubmitAndWait(ctx context.Context, p *machine.Prepared, wantProof bool) (synod.TxID, synod.TxStatus, *Proof, error) {
	s, err := r.enqueue(p, true, wantProof)
	if err != nil {
		return synod.TxID{}, "", nil, err
	}
	x, ended := &s.waiter, ctx.Done()
	for {
		select {
		case a := <-s.answer:
			s.recycle()
			return r.outcome(a)
		case <-x.done:
			return r.waited(s)
		case <-ended:
			if r.waiters.remove(x) {
				return r.waited(s)
			}
			ended = nil // it is not ordered yet, or committed after all
		case <-r.done:
			select {
			case <-x.done: // just before the end
				return r.waited(s)
			default:
				return r.outcome(s.atTheEnd())
			}
		}
	}
}

func (r *Replica) outcome(a submitted) (synod.TxID, synod.TxStatus, *Proof, error) {
	if a.err != nil {
		return synod.TxID{}, "", nil, a.err
	}
	return a.id, r.Status(a.id), nil, nil
}

// waited is the outcome of what has waited.
func (r *Replica) waited(s *Submission) (synod.TxID, synod.TxStatus, *Proof, error) {
	id, proof := s.waiter.id, s.waiter.proof
	s.recycle()
	return id, r.Status(id), proof, nil
}

// enqueue puts a transaction into the queue of those to be ordered.
func (r *Replica) enqueue(p *machine.Prepared, waits, wantProof bool) (*Submission, error) {
	if p.Size() == 0 {
		return nil, machine.ErrTooLarge
	}
	if !r.joined.Load() {
		return nil, ErrNotPrimary
	}
	s := submissionPool.Get().(*Submission)
	s.prepared, s.waits, s.waiter.wantProof = p, waits, wantProof
	select {
	case r.submissions <- s:
		return s, nil
	case <-r.done:
		return nil, ErrStopped
	}
}

// recycle gives back what is answered.
func (s *Submission) recycle() {
	s.prepared, s.id = nil, synod.TxID{}
	s.waiter = waiter{done: s.waiter.done}
	submissionPool.Put(s)
}

// atTheEnd is the answer when the replica has ended: it may have been put in its
// place just before.
func (s *Submission) atTheEnd() submitted {
	select {
	case a := <-s.answer:
		return a
	default:
		return submitted{err: ErrStopped}
	}
}

// answerOrdered answers a submission that raft has taken, or has it wait for commit.
func (r *Replica) answerOrdered(s *Submission) {
	if !s.waits || !r.waiters.add(&s.waiter, s.id) {
		s.reply(s.id, nil)
	}
}

// order gives the first and every other waiting submission its place: checks
// what it read, seals and hashes it, and hands the batch to raft. Answers go
// out once raft has taken it.
func (r *Replica) order(first *Submission) {
	r.batch = append(r.batch[:0], first)
drain:
	for len(r.batch) < batchMax {
		select {
		case s := <-r.submissions:
			r.batch = append(r.batch, s)
		default:
			break drain
		}
	}
	var refused error
	switch {
	case !r.leading || r.failed != nil:
		refused = ErrNotPrimary
	case r.full.Load():
		refused = ErrFull
	}
	if refused != nil {
		for _, s := range r.batch {
			s.reply(synod.TxID{}, refused)
		}
		return
	}

	before := r.last
	entries := make([]*pb.Entry, 0, len(r.batch))
	taken := r.batch[:0]
	for _, s := range r.batch {
		size := uint64(s.prepared.Size())
		if r.pending-r.settled+size > uncommittedBytesMax {
			s.reply(synod.TxID{}, ErrTooMuch)
			continue
		}
		id := synod.TxID{View: r.view, SeqNo: r.last + 1}
		entry, err := r.cfg.Machine.Order(s.prepared, id)
		if err != nil {
			s.reply(synod.TxID{}, err)
			continue
		}
		r.logged(id, s.prepared.WriteSet(), s.prepared.Size())
		s.id = id
		entries = append(entries, &pb.Entry{Data: entry})
		taken = append(taken, s)
	}
	if len(taken) == 0 {
		return
	}
	awaited := 0
	for _, s := range taken {
		if s.waits {
			awaited++
		}
	}
	r.noteOrdered()
	sig := r.signAlong(awaited)
	if sig != nil {
		entries = append(entries, &pb.Entry{Data: sig.entry})
	}
	if err := r.propose(entries); err != nil {
		r.undo(before)
		r.cfg.Logger.LogAttrs(context.Background(), levelFail, "transactions refused by raft",
			attrSeqNo(before+1), attrErr(err))
		for _, s := range taken {
			s.reply(synod.TxID{}, ErrDropped)
		}
		return
	}
	r.ordered.Store(uint64(r.last))
	for _, s := range taken {
		r.answerOrdered(s)
	}
	if sig != nil {
		r.signedNow(sig)
	}
}

// propose hands entries to raft as one message. Raft gives them the places
// that they were ordered at, which checkPlaces asserts before they are
// written, or refuses them all.
func (r *Replica) propose(entries []*pb.Entry) error {
	return r.raft.Step(&pb.Message{Type: pb.MsgProp.Enum(), From: new(r.cfg.ID), Entries: entries})
}

// checkPlaces asserts that raft put every entry where its bytes say it is.
func checkPlaces(entries []*pb.Entry) {
	for _, e := range entries {
		id := synod.TxID{View: synod.View(e.GetTerm()), SeqNo: synod.SeqNo(e.GetIndex())}
		iv := ledger.IV(id)
		if data := e.GetData(); len(data) < ledger.IVAt+len(iv) || !bytes.Equal(data[ledger.IVAt:ledger.IVAt+len(iv)], iv[:]) {
			panic(fmt.Sprintf("consensus: the entry that raft has at %s was not made for it", id))
		}
	}
}

// logged notes the next entry of the log.
func (r *Replica) logged(id synod.TxID, ws *kv.WriteSet, size int) {
	r.last = id.SeqNo
	r.pending += uint64(size)
	r.tail = append(r.tail, logged{id, ws, uint64(size)})
}

// undo takes back every entry above seqno: raft has refused or lost them.
func (r *Replica) undo(seqno synod.SeqNo) {
	id := r.applied
	for n := len(r.tail); n > 0; n = len(r.tail) {
		if e := r.tail[n-1]; e.id.SeqNo <= seqno {
			id = e.id
			break
		}
		r.pending -= r.tail[n-1].size
		r.tail = r.tail[:n-1]
	}
	if id.SeqNo != seqno {
		panic(fmt.Sprintf("consensus: take back the entries after %d, but %s is applied", seqno, r.applied))
	}
	for n := len(r.sigs); n > 0 && r.sigs[n-1].TxID.SeqNo > seqno; n = len(r.sigs) {
		r.sigs = r.sigs[:n-1]
	}
	if r.signer.lastSigned > seqno {
		r.signer.lastSigned = r.Committed().SeqNo
		if n := len(r.sigs); n > 0 {
			r.signer.lastSigned = r.sigs[n-1].TxID.SeqNo
		}
		r.waiters.uncovered(r.signer.lastSigned)
	}
	if r.change != nil && r.change.seqno > seqno {
		r.change = nil
	}
	r.cfg.Machine.Undo(id)
	r.last = seqno
	r.ordered.Store(uint64(seqno))
}
