package consensus

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"go.etcd.io/raft/v3/tracker"

	"synod"
)

// rescue helps a node that lacks entries from before this leader's log begins,
// which it does if the leader joined from a snapshot and the node was away
// meanwhile: a voter whose log begins earlier takes over.
func (r *Replica) rescue() {
	if !r.leading || r.store.first == 1 || r.cfg.Begins == nil {
		return
	}
	status := r.raft.Status()
	if status.LeadTransferee != 0 {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(status.Progress)) {
		if !r.outOfReach(id, status.Progress[id]) {
			delete(r.lost, id)
			continue
		}
		next := status.Progress[id].Next
		to := r.successor(true, func(voter uint64) bool { return voter != id && uint64(r.cfg.Begins(voter)) < next })
		if to != 0 {
			r.raft.TransferLeader(to)
			return
		}
		if !r.lost[id] {
			r.lost[id] = true
			r.cfg.Logger.LogAttrs(context.Background(), levelFail,
				"a node lacks entries that no voter has in its log: replace it by a new node that joins from a snapshot",
				slog.Uint64("node", id), attrSeqNo(synod.SeqNo(next)))
		}
	}
}

// outOfReach says whether a node is there and asks for what is not in this log.
func (r *Replica) outOfReach(id uint64, p tracker.Progress) bool {
	return id != r.cfg.ID && p.RecentActive && p.Next < uint64(r.store.first) && r.answers(id)
}

// reaches says whether the log of a voter begins early enough for every node
// that this leader can help and that is there, or may yet be heard of: otherwise
// it would hand back.
func (r *Replica) reaches(voter uint64) bool {
	if r.cfg.Begins == nil {
		return true
	}
	begin := uint64(r.cfg.Begins(voter))
	early := r.cfg.Now().Sub(r.led) <= heardLately*r.cfg.MessageTimeout
	for id, p := range r.raft.Status().Progress {
		if id != voter && (early || r.answers(id)) && p.Match < begin && p.Next >= uint64(r.store.first) {
			return false
		}
	}
	return true
}
