package consensus

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"synod"
)

// diskOp is work for the storage goroutine: entries to append, or chunks to
// name as committed.
type diskOp struct {
	entries   []*pb.Entry
	responses []*pb.Message // for raft, once the entries are on disk
	committed synod.SeqNo   // name the chunks that end at or below it; 0: none
}

// storedOp is the storage goroutine's answer to one or more appends.
type storedOp struct {
	ops       int
	responses []*pb.Message
	err       error
}

// runStorage is the storage goroutine: it takes every append that waits and
// writes them with one fdatasync. On a full disk it waits; after any other error it
// writes nothing more.
func (r *Replica) runStorage() {
	var failed error
	for op := range r.disk {
		batch := []diskOp{op}
	drain:
		for len(batch) < diskMax {
			select {
			case next, ok := <-r.disk:
				if !ok {
					break drain
				}
				batch = append(batch, next)
			default:
				break drain
			}
		}
		if failed == nil {
			failed = r.writeWhole(batch)
		}
		done := storedOp{err: failed}
		for _, op := range batch {
			if op.committed == 0 {
				done.ops++
				done.responses = append(done.responses, op.responses...)
			}
		}
		if done.ops > 0 || failed != nil {
			r.stored <- done
		}
	}
}

// fullRetry is how often a write is tried again that found the disk full.
const fullRetry = 200 * time.Millisecond

// writeWhole is write, and waits for room on a disk that is full: nothing is lost
// meanwhile, and nothing more is ordered. It returns any other error, and that one
// when the replica ends.
func (r *Replica) writeWhole(batch []diskOp) error {
	for {
		err := r.write(batch)
		if !isFull(err) || !r.cfg.Log.Usable() {
			if r.full.Swap(false) && err == nil {
				r.cfg.Logger.LogAttrs(context.Background(), levelInfo, "There is room on the disk again: transactions are taken")
			}
			return err
		}
		if !r.full.Swap(true) {
			r.cfg.Logger.LogAttrs(context.Background(), levelFail,
				"The disk is full: no transaction is taken until there is room", attrErr(err))
			r.Transfer() // to a node that has room
		}
		select {
		case <-r.ending:
			return err
		case <-time.After(fullRetry):
		}
	}
}

// isFull says whether a disk, or somebody's part of it, is full.
func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

func (r *Replica) write(batch []diskOp) error {
	var entries []*pb.Entry
	var committed synod.SeqNo
	for _, op := range batch {
		// Another leader's entries may take the place of some that wait here.
		if n := len(entries); n > 0 && len(op.entries) > 0 && op.entries[0].GetIndex() != entries[n-1].GetIndex()+1 {
			if err := r.appendEntries(entries); err != nil {
				return err
			}
			entries = nil
		}
		entries = append(entries, op.entries...)
		committed = max(committed, op.committed)
	}
	if err := r.appendEntries(entries); err != nil {
		return err
	}
	if committed > 0 {
		if err := r.cfg.Log.Commit(committed); err != nil {
			return fmt.Errorf("name ledger chunks up to %d: %w", committed, err)
		}
	}
	return nil
}

func (r *Replica) appendEntries(entries []*pb.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	if err := r.store.append(entries); err != nil {
		return fmt.Errorf("write ledger entries from %d on: %w", entries[0].GetIndex(), err)
	}
	return nil
}

// abdicate has another voter ask for votes at once, whatever it has of the log: this
// node cannot go on.
func (r *Replica) abdicate() {
	if to := r.successor(false, func(uint64) bool { return true }); to != 0 {
		r.sendNow(&pb.Message{Type: pb.MsgTimeoutNow.Enum(), From: new(r.cfg.ID), To: new(to), Term: new(uint64(r.view))})
	}
}

// finishStore tells raft what is on disk.
func (r *Replica) finishStore(op storedOp) {
	r.onDisk -= op.ops
	if op.err != nil {
		r.abdicate()
		r.failed = op.err
		return
	}
	r.deliver(op.responses)
}
