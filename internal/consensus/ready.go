package consensus

import (
	"context"
	"fmt"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"synod"
)

// ready does what raft asks for until it asks for nothing. The order is the
// library's contract for AsyncStorageWrites: entries go to the storage
// goroutine in order, and the answers that depend on them come back only
// after its fdatasync.
func (r *Replica) ready() {
	for r.raft.HasReady() {
		rd := r.raft.Ready()
		if rd.SoftState != nil {
			r.roleChanged(rd.SoftState)
		}
		r.fillOpening(rd.Entries)
		checkPlaces(rd.Entries)
		for _, m := range rd.Messages {
			switch m.GetTo() {
			case raft.LocalAppendThread:
				r.onDisk++
				r.disk <- diskOp{entries: m.GetEntries(), responses: m.GetResponses()}
			case raft.LocalApplyThread:
				r.apply(m.GetEntries())
				r.stepAll(m.GetResponses())
			default:
				panic(fmt.Sprintf("consensus: a message to %d, but this service has one node", m.GetTo()))
			}
		}
	}
}

func (r *Replica) stepAll(messages []*pb.Message) {
	for _, m := range messages {
		if err := r.raft.Step(m); err != nil {
			panic(fmt.Sprintf("consensus: raft refused %s: %s", m.GetType(), err))
		}
	}
}

// roleChanged notes who leads. A replica leads from the moment its opening
// entry is filled, not before: until then it has nothing to order after.
func (r *Replica) roleChanged(s *raft.SoftState) {
	view := synod.View(r.raft.BasicStatus().GetTerm())
	if s.RaftState != raft.StateLeader {
		r.leading = false
	}
	r.role.Store(&Role{Leading: s.RaftState == raft.StateLeader, Leader: s.Lead, View: view})
}

// fillOpening gives raft's own entry of a won election its bytes, before it
// is written or sent: the create transaction of a new service, a signature
// for any other view. Raft hands out the entry that it keeps, so that the
// bytes reach disk, messages and commit alike; the pinned version's behaviour
// is held by TestElectionEntryCarriesBytes.
func (r *Replica) fillOpening(entries []*pb.Entry) {
	for _, e := range entries {
		if len(e.GetData()) > 0 || e.GetType() != pb.EntryNormal {
			continue
		}
		id := synod.TxID{View: synod.View(e.GetTerm()), SeqNo: synod.SeqNo(e.GetIndex())}
		if id.SeqNo != r.last+1 {
			panic(fmt.Sprintf("consensus: view opens at %s, but %d is the last entry", id, r.last))
		}
		data, err := r.opening(id)
		if err != nil {
			panic(fmt.Sprintf("consensus: open view at %s: %s", id, err))
		}
		e.Data = data
		r.last, r.view, r.leading = id.SeqNo, id.View, true
		r.ordered.Store(uint64(r.last))
		r.cfg.Logger.LogAttrs(context.Background(), levelInfo, "Becoming leader", attrTx(id))
		if id.SeqNo == 1 {
			r.noteOrdered()
		}
	}
}

func (r *Replica) opening(id synod.TxID) ([]byte, error) {
	if id.SeqNo == 1 {
		p, err := r.cfg.Create()
		if err != nil {
			return nil, err
		}
		defer p.Release()
		return r.cfg.Machine.Order(p, id)
	}
	root := r.cfg.Machine.Tree.Root()
	tree, err := r.cfg.Machine.Tree.Serialise(id.SeqNo - 1)
	if err != nil {
		return nil, err
	}
	sig, err := r.cfg.Signer.Sign(id, root, tree)
	if err != nil {
		return nil, err
	}
	data, err := r.cfg.Machine.OrderSignature(sig.WriteSet, id)
	if err != nil {
		return nil, err
	}
	r.signedAt(sig)
	return data, nil
}

// apply takes entries that raft has committed. The leader has installed them
// when it ordered them; what is left is to move the service's commit.
func (r *Replica) apply(entries []*pb.Entry) {
	last := synod.SeqNo(entries[len(entries)-1].GetIndex())
	n := 0
	for n < len(r.sigs) && r.sigs[n].TxID.SeqNo <= last {
		n++
	}
	if n == 0 {
		return
	}
	r.settled = r.sigs[n-1].upTo
	r.commit(r.sigs[n-1].Signature)
	r.sigs = append(r.sigs[:0], r.sigs[n:]...)
}
