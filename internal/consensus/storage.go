package consensus

import (
	"fmt"

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
// writes them with one fdatasync. After an error it writes nothing more.
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
			failed = r.write(batch)
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

// finishStore tells raft what is on disk.
func (r *Replica) finishStore(op storedOp) {
	r.onDisk -= op.ops
	if op.err != nil {
		r.failed = op.err
		return
	}
	r.deliver(op.responses)
}
