package consensus

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"synod"
	"synod/internal/machine"
)

// ready does what raft asks for until it asks for nothing. The order is the
// library's contract for AsyncStorageWrites: entries go to the storage
// goroutine in order, and the answers that depend on them come back only
// after its fdatasync.
func (r *Replica) ready() {
	for r.failed == nil && r.raft.HasReady() {
		rd := r.raft.Ready()
		if rd.SoftState != nil || rd.HardState.GetTerm() != 0 {
			r.roleChanged()
		}
		r.take(rd.Entries)
		if r.failed != nil {
			return
		}
		checkPlaces(rd.Entries)
		for _, s := range rd.ReadStates {
			r.readConfirmed(s)
		}
		for _, m := range rd.Messages {
			switch m.GetTo() {
			case raft.LocalAppendThread:
				if m.GetSnapshot() != nil {
					r.restore(m)
					continue
				}
				r.append(m)
			case raft.LocalApplyThread:
				r.apply(m.GetEntries())
				r.deliver(m.GetResponses())
			default:
				r.send(m)
			}
		}
	}
}

// append has entries stored. What raft says of no entry, such as that commit has
// moved, which is not stored, waits for those before it only.
func (r *Replica) append(m *pb.Message) {
	switch {
	case len(m.GetEntries()) > 0 || r.onDisk > 0 && len(m.GetResponses()) > 0:
		r.onDisk++
		r.store.give(m.GetEntries())
		r.disk <- diskOp{entries: m.GetEntries(), responses: m.GetResponses()}
	default:
		r.deliver(m.GetResponses())
	}
}

// deliver passes on what raft says once something is done: to itself or to
// other nodes.
func (r *Replica) deliver(messages []*pb.Message) {
	for _, m := range messages {
		if m.GetTo() != r.cfg.ID {
			r.send(m)
			continue
		}
		if err := r.raft.Step(m); err != nil {
			panic(fmt.Sprintf("consensus: raft refused %s: %s", m.GetType(), err))
		}
	}
}

func (r *Replica) send(m *pb.Message) {
	if !r.feeds(m) || r.hold(m) {
		return
	}
	r.sendNow(m)
}

func (r *Replica) sendNow(m *pb.Message) {
	if r.cfg.Send == nil {
		panic(fmt.Sprintf("consensus: a message to %d, but this service has one node", m.GetTo()))
	}
	r.cfg.Send(m)
}

// hold keeps back a message without entries, which tells that commit has moved: the
// next entries tell that, too, and if they come soon a node is woken once for both
// and answers once. To raft it is a message that was slow or lost.
func (r *Replica) hold(m *pb.Message) bool {
	if m.GetType() != pb.MsgApp || r.cfg.Hold == 0 {
		return false
	}
	if len(m.GetEntries()) > 0 {
		delete(r.held, m.GetTo())
		return false
	}
	if len(r.held) == 0 {
		r.heldUntil = r.cfg.Now().Add(r.cfg.Hold)
	}
	r.held[m.GetTo()] = m
	return true
}

// release sends what was held back for long enough, and says how long until the next
// look.
func (r *Replica) release(now time.Time) time.Duration {
	if len(r.held) == 0 {
		return never
	}
	if wait := r.heldUntil.Sub(now); wait > 0 {
		return wait
	}
	for _, to := range slices.Sorted(maps.Keys(r.held)) {
		r.sendNow(r.held[to])
	}
	clear(r.held)
	return never
}

// roleChanged notes who leads. A replica leads from the moment its opening
// entry is filled, not before: until then it has nothing to order after. One
// that leads no more takes what is not committed out of the store: it may be
// overwritten, and nobody may read it here. A leader that is elected again leads
// a new view without any change of raft's soft state on nodes that did not vote.
func (r *Replica) roleChanged() {
	s := r.raft.BasicStatus()
	view := synod.View(s.GetTerm())
	now := Role{Leading: s.RaftState == raft.StateLeader, Leader: s.Lead, View: view}
	switch s.RaftState {
	case raft.StatePreCandidate:
		now.Asking = AskingPreVotes
	case raft.StateCandidate:
		now.Asking = AskingVotes
	default:
	}
	if now == r.Role() {
		return
	}
	// The role is shown first: who sees the store without what this node had
	// ordered must see that it no longer leads.
	r.role.Store(&now)
	if s.RaftState != raft.StateLeader && r.leading {
		r.leading, r.signing = false, false
		clear(r.held)
		r.cfg.Machine.Uninstall(r.applied)
		r.cfg.Logger.LogAttrs(context.Background(), levelInfo, "Becoming follower", attrView(view))
	}
	if s.Lead == 0 {
		r.dropReads(ErrNoPrimary)
	}
	r.publish()
}

// take brings tree and bookkeeping up to the entries that raft adds to its
// log: those of another node, and this one's own that opens a view or changes
// the configuration, whose bytes it gets here. Those that this node ordered
// are there already.
func (r *Replica) take(entries []*pb.Entry) {
	opened := r.openAhead(entries)
	for i, e := range entries {
		id := synod.TxID{View: synod.View(e.GetTerm()), SeqNo: synod.SeqNo(e.GetIndex())}
		switch {
		case r.ordersAt(id):
			if r.change != nil && r.change.seqno == id.SeqNo {
				e.Data = r.change.entry
			}
		case len(e.GetData()) == 0:
			r.open(e, id)
		default:
			r.receive(e, id, opened[i])
		}
		if r.failed != nil {
			return
		}
	}
}

// openAheadMin is from how many entries on they are opened on several processors.
const openAheadMin = 128

// openAhead opens entries of another node that come in great number, for a node that
// catches up: the places of those that are not opened are nil.
func (r *Replica) openAhead(entries []*pb.Entry) []*machine.Opened {
	opened := make([]*machine.Opened, len(entries))
	workers := runtime.GOMAXPROCS(0)
	if r.leading || len(entries) < openAheadMin || workers == 1 {
		return opened
	}
	var wg sync.WaitGroup
	size := (len(entries) + workers - 1) / workers
	for from := 0; from < len(entries); from += size {
		wg.Go(func() {
			for i := from; i < min(from+size, len(entries)); i++ {
				opened[i] = r.cfg.Machine.Open(entries[i].GetData())
			}
		})
	}
	wg.Wait()
	return opened
}

// ordersAt says whether the entry is one that this replica has ordered.
func (r *Replica) ordersAt(id synod.TxID) bool {
	if id.SeqNo > r.last || len(r.tail) == 0 {
		return false
	}
	first := r.tail[0].id.SeqNo
	return id.SeqNo >= first && r.tail[id.SeqNo-first].id == id
}

// receive takes an entry of another node. If its place is taken, what this
// node has from there on was never committed, and goes.
func (r *Replica) receive(e *pb.Entry, id synod.TxID, opened *machine.Opened) {
	if id.SeqNo <= r.last {
		r.undo(id.SeqNo - 1)
	}
	if err := r.receiveNext(e, id, opened); err != nil {
		r.failed = fmt.Errorf("an entry from another node: %w", err)
	}
}

func (r *Replica) receiveNext(e *pb.Entry, id synod.TxID, opened *machine.Opened) error {
	if id.SeqNo != r.last+1 {
		return fmt.Errorf("%s after %d", id, r.last)
	}
	if opened == nil {
		opened = r.cfg.Machine.Open(e.GetData())
	}
	if err := r.store.checkKind(e, opened.Entry); err != nil {
		return err
	}
	rec, err := r.cfg.Machine.Take(opened)
	if err != nil {
		return err
	}
	if rec.ID != id {
		return fmt.Errorf("the bytes at %s are those of %s", id, rec.ID)
	}
	size := rec.Size
	if rec.Signature != nil {
		size = 0
	}
	r.logged(id, rec.WriteSet, size)
	r.ordered.Store(uint64(r.last))
	if rec.Signature != nil {
		r.signedAt(rec.Signature)
		r.verify(rec.Signature)
	} else {
		r.noteOrdered()
	}
	return nil
}

// open gives raft's own entry of a won election its bytes, before it is
// written or sent: the create transaction of a new service, a signature for
// any other view. Raft hands out the entry that it keeps, so that the bytes
// reach disk, messages and commit alike; the pinned version's behaviour is held
// by TestElectionEntryCarriesBytes. What the log holds and raft has not
// committed yet goes into the store first: it is the leader's now to order
// after.
func (r *Replica) open(e *pb.Entry, id synod.TxID) {
	if id.SeqNo != r.last+1 {
		panic(fmt.Sprintf("consensus: view opens at %s, but %d is the last entry", id, r.last))
	}
	for _, l := range r.tail {
		r.cfg.Machine.Install(l.id, l.ws)
	}
	r.inherit()
	data, err := r.opening(id)
	if err != nil {
		panic(fmt.Sprintf("consensus: open view at %s: %s", id, err))
	}
	e.Data = data
	r.view, r.opened, r.feedFrom, r.leading, r.signing = id.View, id.SeqNo, id.SeqNo, true, false
	r.led = r.cfg.Now()
	r.ordered.Store(uint64(r.last))
	r.cfg.Logger.LogAttrs(context.Background(), levelInfo, "Becoming leader", attrTx(id))
	r.prepareSignatures()
	if r.last != r.signer.lastSigned {
		r.noteOrdered()
	}
}

func (r *Replica) opening(id synod.TxID) ([]byte, error) {
	if r.cfg.Create != nil && !r.created {
		r.created = true
		p, err := r.cfg.Create()
		if err != nil {
			return nil, err
		}
		defer p.Release()
		data, err := r.cfg.Machine.Order(p, id)
		if err == nil {
			r.logged(id, p.WriteSet(), p.Size())
		}
		return data, err
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
	r.logged(id, sig.WriteSet, 0)
	r.signedAt(sig)
	return data, nil
}

// apply takes entries that raft has committed. A leader has installed them
// when it ordered them; a follower does now. Then the service's commit moves to
// the newest signature among them.
func (r *Replica) apply(entries []*pb.Entry) {
	for i, e := range entries {
		l := r.tail[i]
		if l.id.SeqNo != synod.SeqNo(e.GetIndex()) || l.id.View != synod.View(e.GetTerm()) {
			panic(fmt.Sprintf("consensus: raft commits %d.%d where the log has %s", e.GetTerm(), e.GetIndex(), l.id))
		}
		if l.id.SeqNo > r.cfg.Machine.Installed().SeqNo {
			r.cfg.Machine.Install(l.id, l.ws)
		}
		r.applied = l.id
		if e.GetType() != pb.EntryNormal {
			r.applyChange(e)
		}
	}
	r.tail = append(r.tail[:0], r.tail[len(entries):]...)
	n := 0
	for n < len(r.sigs) && r.sigs[n].TxID.SeqNo <= r.applied.SeqNo {
		n++
	}
	if n == 0 {
		return
	}
	r.settled = r.sigs[n-1].upTo
	r.commit(r.sigs[n-1].Signature, r.sigs[:n])
	r.sigs = append(r.sigs[:0], r.sigs[n:]...)
}
