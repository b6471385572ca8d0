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
}

type submitted struct {
	id  synod.TxID
	err error
}

func (s *Submission) reply(id synod.TxID, err error) { s.answer <- submitted{id, err} }

var submissionPool = sync.Pool{New: func() any {
	return &Submission{answer: make(chan submitted, 1)}
}}

// Submit orders a prepared transaction and returns its place. It waits for
// nothing but the order: not for the disk, a signature or a peer. The errors
// are kv.ErrConflict (run the transaction again), machine.ErrTooLarge,
// ErrNotPrimary, ErrTooMuch, ErrFull, ErrDropped and ErrStopped; after any of them nothing was recorded. It does not end
// early with a context: once queued, only the replica knows the outcome.
func (r *Replica) Submit(p *machine.Prepared) (synod.TxID, error) {
	if p.Size() == 0 {
		return synod.TxID{}, machine.ErrTooLarge
	}
	if !r.joined.Load() {
		return synod.TxID{}, ErrNotPrimary
	}
	s := submissionPool.Get().(*Submission)
	s.prepared = p
	select {
	case r.submissions <- s:
	case <-r.done:
		return synod.TxID{}, ErrStopped
	}
	select {
	case a := <-s.answer:
		s.prepared = nil
		submissionPool.Put(s)
		return a.id, a.err
	case <-r.done:
		// The answer may have been put in the place just before the end.
		select {
		case a := <-s.answer:
			return a.id, a.err
		default:
			return synod.TxID{}, ErrStopped
		}
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
		s.reply(s.id, nil)
	}
	r.noteOrdered()
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
	if r.change != nil && r.change.seqno > seqno {
		r.change = nil
	}
	r.cfg.Machine.Undo(id)
	r.last = seqno
	r.ordered.Store(uint64(seqno))
}
