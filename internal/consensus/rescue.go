package consensus

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"synod"
)

// rescue helps a node that lacks entries from before this leader's log begins,
// which it does if the leader joined from a snapshot and the node was away
// meanwhile: a voter whose log begins earlier takes over. If there is none, the node
// is offered a snapshot.
func (r *Replica) rescue() {
	r.store.offer = synod.TxID{}
	if !r.leading || r.store.first == 1 || r.cfg.Begins == nil {
		return
	}
	if r.raft.BasicStatus().LeadTransferee != 0 {
		return
	}
	progress := r.progress()
	for _, id := range slices.Sorted(maps.Keys(progress)) {
		p := progress[id]
		if id == r.cfg.ID || p.Next >= uint64(r.store.first) && p.State != tracker.StateSnapshot {
			delete(r.lost, id)
			continue
		}
		if !p.RecentActive || !r.answers(id) {
			continue
		}
		if p.State != tracker.StateSnapshot {
			to := r.successor(true, func(voter uint64) bool { return voter != id && uint64(r.cfg.Begins(voter)) < p.Next })
			if to != 0 {
				r.raft.TransferLeader(to)
				return
			}
		}
		r.offer(id, p)
	}
}

// offer offers a node a snapshot, and again after a while if that has not helped: it
// may have ended meanwhile, or have been unable to use that one. Then a newer one is
// taken, too.
func (r *Replica) offer(id uint64, p tracker.Progress) {
	if r.cfg.Offer == nil {
		return
	}
	now := r.cfg.Now()
	last, again := r.lost[id]
	again = again && !last.Before(r.led)
	late := now.Sub(last) >= offerEvery*r.cfg.ElectionTimeout
	if again && !late && p.State == tracker.StateSnapshot {
		return
	}
	at, ok := r.cfg.Offer(again && late)
	ok = ok && uint64(at.SeqNo)+1 >= uint64(r.store.first) && uint64(at.SeqNo) > p.Match
	if ok {
		r.store.offer = at
	}
	if again && !late {
		return
	}
	r.lost[id] = now
	if p.State == tracker.StateSnapshot {
		r.raft.ReportSnapshot(id, raft.SnapshotFailure)
	}
	r.cfg.Logger.LogAttrs(context.Background(), levelInfo, "a node lacks entries that no voter has in its log: it is offered a snapshot",
		slog.Uint64("node", id), attrSeqNo(synod.SeqNo(p.Match+1)), slog.String("snapshot", at.String()))
}

// offerEvery is after how many election timeouts a node that was offered a snapshot
// is offered one again.
const offerEvery = 2

// reaches says whether the log of a voter begins early enough for every node
// that this leader can help and that is there, or may yet be heard of: otherwise
// it would hand back.
func (r *Replica) reaches(voter uint64) bool {
	if r.cfg.Begins == nil {
		return true
	}
	begin := uint64(r.cfg.Begins(voter))
	early := r.cfg.Now().Sub(r.led) <= heardLately*r.cfg.MessageTimeout
	for id, p := range r.progress() {
		if id != voter && (early || r.answers(id)) && p.Match < begin && p.Next >= uint64(r.store.first) {
			return false
		}
	}
	return true
}
