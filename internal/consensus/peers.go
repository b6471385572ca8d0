package consensus

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"synod"
	"synod/internal/evidence"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/tables"
)

// ErrNoPrimary says that no node is known to lead.
var ErrNoPrimary = errors.New("no primary is known")

// Receive takes a message of another node. It never blocks: what does not fit
// is dropped, which raft makes good. The message is the replica's from then on.
func (r *Replica) Receive(m *pb.Message) {
	if !r.joined.Load() {
		return
	}
	select {
	case r.inbox <- m:
	default:
	}
}

// Unreachable says that messages to a node were lost. It never blocks.
func (r *Replica) Unreachable(name uint64) {
	r.Receive(&pb.Message{Type: pb.MsgUnreachable.Enum(), From: new(name), To: new(r.cfg.ID)})
}

// Bounds of stepAll.
const (
	// stepMax bounds how many messages raft takes before it is asked what follows.
	stepMax = 64
	// stepEntriesMax bounds their entries but for the last message's: the disk is to
	// write some of many while others are checked.
	stepEntriesMax = 512
)

// stepAll hands raft a message and those that wait behind it, so that what they
// bring is stored, sent and answered together. A message that may change who leads
// is the last of them: what follows from it comes first.
func (r *Replica) stepAll(m *pb.Message) {
	entries := 0
	for range stepMax {
		r.step(m)
		switch m.GetType() {
		case pb.MsgApp, pb.MsgAppResp, pb.MsgHeartbeat, pb.MsgHeartbeatResp:
		default:
			return
		}
		if entries += len(m.GetEntries()); entries > stepEntriesMax {
			return
		}
		select {
		case m = <-r.inbox:
		default:
			return
		}
	}
}

// step hands raft a message of another node, if it is of a kind that other
// nodes may send. Every entry must have bytes: raft's own empty ones never
// leave a node.
func (r *Replica) step(m *pb.Message) {
	switch m.GetType() {
	case pb.MsgUnreachable:
		r.raft.ReportUnreachable(m.GetFrom())
		return
	case pb.MsgApp, pb.MsgAppResp, pb.MsgVote, pb.MsgVoteResp, pb.MsgPreVote, pb.MsgPreVoteResp,
		pb.MsgHeartbeat, pb.MsgHeartbeatResp, pb.MsgReadIndex, pb.MsgReadIndexResp, pb.MsgTimeoutNow, pb.MsgSnap:
	default:
		return
	}
	if m.GetTo() != r.cfg.ID || m.GetFrom() == r.cfg.ID || m.GetFrom() == 0 {
		return
	}
	r.heard[m.GetFrom()] = r.cfg.Now()
	if m.GetType() == pb.MsgSnap {
		r.offered(m)
		return
	}
	if m.GetType() == pb.MsgTimeoutNow && !r.leading {
		r.asked = r.heard[m.GetFrom()]
	}
	if r.leading && isNudge(m) && m.GetTerm() == uint64(r.view) {
		return
	}
	for _, e := range m.GetEntries() {
		if m.GetType() == pb.MsgApp && len(e.GetData()) == 0 {
			return
		}
	}
	r.stepIn(m)
}

func (r *Replica) stepIn(m *pb.Message) {
	if err := r.raft.Step(m); err != nil && !errors.Is(err, raft.ErrStepPeerNotFound) && !errors.Is(err, raft.ErrProposalDropped) {
		r.cfg.Logger.LogAttrs(context.Background(), levelFail, "a message was refused by raft", attrErr(err))
	}
}

// isNudge says whether a message only tells a sender of an old view that there
// is a newer one. A leader of that view must not see it: raft would take it for
// the answer of a node with an empty log, and send everything again from the
// first entry on, which a log that begins after a snapshot does not have.
func isNudge(m *pb.Message) bool {
	return m.GetType() == pb.MsgAppResp && m.GetIndex() == 0 && !m.GetReject()
}

// checkKind makes sure that an entry changes the configuration exactly when it
// writes the row that says so, alone.
func (s *store) checkKind(e *pb.Entry, parsed *ledger.Entry) error {
	if parsed != nil && s.kindOf(parsed) != e.GetType() {
		return fmt.Errorf("entry %s is sent as %s", parsed.TxID, e.GetType())
	}
	return nil
}

// kindOf is raft's type of an entry. The configurations of services before this
// one mean nothing to it.
func (s *store) kindOf(e *ledger.Entry) pb.EntryType {
	if e.TxID.SeqNo >= s.origin && kv.DomainStartsWith(e.PublicMaps, tables.Raft) {
		return pb.EntryConfChangeV2
	}
	return pb.EntryNormal
}

// verify has the newest signature of another node checked; older ones that
// still wait are covered by it.
func (r *Replica) verify(sig *evidence.Signature) {
	if r.cfg.Verify == nil {
		return
	}
	select {
	case <-r.toVerify:
	default:
	}
	r.toVerify <- sig
}

// runVerifier is the verifying worker. After each signature it rests, so that it
// keeps to its share of a core: the newest that comes meanwhile is next, and
// covers those before it.
func (r *Replica) runVerifier(ctx context.Context) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for sig := range r.toVerify {
		start := threadTime()
		if err := r.cfg.Verify(sig); err != nil {
			select {
			case r.refused <- fmt.Errorf("the signature at %s: %w", sig.TxID, err):
			default:
			}
		}
		select {
		case <-time.After((verifyingShare - 1) * (threadTime() - start)):
		case <-ctx.Done():
		}
	}
}

// Transfer asks the leader to hand over to the voter that has most of the log,
// if the voters that were heard of lately, itself left out, are a quorum.
func (r *Replica) Transfer() {
	select {
	case r.transfers <- struct{}{}:
	default:
	}
}

func (r *Replica) transfer() {
	if to := r.successor(false, func(uint64) bool { return true }); to != 0 {
		r.raft.TransferLeader(to)
	}
}

// successor is the active voter with the longest log among those allowed whom this
// leader can give what it lacks, 0 if there is none or if the active ones are no
// quorum. In a joint configuration those that leave it may lead, too. This node is
// one of them if it stays for now.
func (r *Replica) successor(stays bool, allowed func(uint64) bool) uint64 {
	if !r.leading {
		return 0
	}
	active := 0
	if stays {
		active++
	}
	best, match := uint64(0), uint64(0)
	progress := r.progress()
	voters := r.conf.GetVoters()
	for i, id := range slices.Concat(voters, r.conf.GetVotersOutgoing()) {
		p, ok := progress[id]
		if id == r.cfg.ID || !ok || !p.RecentActive {
			continue
		}
		if i < len(voters) {
			active++
		}
		// Raft hands over once the other has all of the log: to one that lacks what is
		// before this log it never does, and meanwhile nobody helps it (see rescue).
		behind := p.Next < uint64(r.store.first)
		if !behind && allowed(id) && (best == 0 || p.Match > match) {
			best, match = id, p.Match
		}
	}
	if active <= len(voters)/2 {
		return 0
	}
	return best
}

// read is a linearizable read that waits to learn which state it must see.
type read struct {
	index chan uint64
	err   chan error
}

// ReadIndex confirms with a majority that nothing newer than it is committed,
// and returns the newest committed signature that covers it: a state at or
// after it is linearizable. The errors are ErrNoPrimary, ErrStopped and ctx's.
func (r *Replica) ReadIndex(ctx context.Context) (synod.SeqNo, error) {
	if !r.joined.Load() {
		return 0, ErrNoPrimary
	}
	q := &read{index: make(chan uint64, 1), err: make(chan error, 1)}
	select {
	case r.reads <- q:
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-r.done:
		return 0, ErrStopped
	}
	var index uint64
	select {
	case index = <-q.index:
	case err := <-q.err:
		return 0, err
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-r.done:
		return 0, ErrStopped
	}
	x := newWaiter()
	if r.waiters.add(&x, synod.TxID{SeqNo: synod.SeqNo(index)}) {
		r.poke()
		select {
		case <-x.done:
		case <-ctx.Done():
			r.waiters.remove(&x)
			return 0, ctx.Err()
		}
	}
	if seqno := r.Committed().SeqNo; uint64(seqno) >= index {
		return seqno, nil
	}
	return 0, ErrStopped
}

func (r *Replica) startRead(q *read) {
	if r.Role().Leader == 0 {
		q.err <- ErrNoPrimary
		return
	}
	r.forgetReads()
	r.readKey++
	r.waitingRead[r.readKey] = q
	r.raft.ReadIndex(binary.BigEndian.AppendUint64(nil, r.readKey))
}

// forgetReads bounds how many reads wait for an answer that may never come:
// the oldest half is told that there is no primary.
func (r *Replica) forgetReads() {
	if len(r.waitingRead) < readsMax {
		return
	}
	for key, q := range r.waitingRead {
		if key <= r.readKey-readsMax/2 {
			q.err <- ErrNoPrimary
			delete(r.waitingRead, key)
		}
	}
}

func (r *Replica) readConfirmed(s raft.ReadState) {
	if len(s.RequestCtx) != 8 {
		return
	}
	key := binary.BigEndian.Uint64(s.RequestCtx)
	if q := r.waitingRead[key]; q != nil {
		delete(r.waitingRead, key)
		q.index <- s.Index
	}
}

func (r *Replica) dropReads(err error) {
	for key, q := range r.waitingRead {
		q.err <- err
		delete(r.waitingRead, key)
	}
}

// Status is what a replica knows of the others, as of its last tick.
type Status struct {
	Configuration *pb.ConfState
	Peers         map[uint64]Peer // of a leader; nil on others
	// HandedTo is when a leader was handed the lead by another, zero if it was not.
	HandedTo time.Time
}

// Peer is a leader's knowledge of one node.
type Peer struct {
	Match  synod.SeqNo // what it surely has on disk
	Active bool        // heard of within an election timeout
	// Heard is when it was heard of last; not before this replica led.
	Heard time.Time
}

// Peers returns what this replica knows of the others.
func (r *Replica) Peers() *Status { return r.peers.Load() }

// publish makes what this replica knows of the others readable.
func (r *Replica) publish() {
	s := &Status{Configuration: r.conf}
	if r.leading {
		s.Peers = map[uint64]Peer{}
		if !r.asked.IsZero() && r.led.Sub(r.asked) <= r.cfg.ElectionTimeout {
			s.HandedTo = r.led
		}
		for id, p := range r.progress() {
			heard := r.heard[id]
			if heard.Before(r.led) {
				heard = r.led
			}
			s.Peers[id] = Peer{Match: synod.SeqNo(p.Match), Active: p.RecentActive || id == r.cfg.ID, Heard: heard}
		}
	}
	r.peers.Store(s)
}
