package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"synod"
)

// State is one of the service that was fetched and verified, for a replica that lacks
// what leads up to it.
type State struct {
	// Start says where the log goes on: After is a committed signature.
	Start
	// Install puts the state into the machine (machine.Overtake). The replica
	// goroutine runs it, once and at the last moment.
	Install func()

	conf *pb.ConfState
	done chan error // holds one
}

// ErrNotNeeded says that a replica does not take a state: it is as far by itself.
var ErrNotNeeded = errors.New("the replica is as far by itself")

// Overtake lets the replica go on after a state, and forget what its log holds: none
// of that which is not behind the state was ever committed. It waits until that is
// done. The errors are ErrNotNeeded, ErrStopped and ctx's; after them the state may
// still be taken.
func (r *Replica) Overtake(ctx context.Context, s *State) error {
	if err := s.read(); err != nil {
		return err
	}
	if err := r.Do(ctx, func() { r.arrived = s }); err != nil {
		return err
	}
	select {
	case err := <-s.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-r.done:
		return ErrStopped
	}
}

func (s *State) read() error {
	s.conf, s.done = &pb.ConfState{}, make(chan error, 1)
	if err := proto.Unmarshal(s.Configuration, s.conf); err != nil || len(s.conf.GetVoters()) == 0 {
		return fmt.Errorf("the configuration after %s cannot be read: %w", s.After, err)
	}
	return nil
}

// offered looks at the offer of a snapshot. Raft sees it only if this node is as far
// already, and tells the leader so. Otherwise the state is fetched first, and verified.
func (r *Replica) offered(m *pb.Message) {
	at := m.GetSnapshot().GetMetadata()
	switch {
	case m.GetTerm() < r.raft.BasicStatus().GetTerm():
	case at.GetIndex() <= uint64(r.applied.SeqNo):
		m.Snapshot = &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: new(at.GetIndex()), Term: new(at.GetTerm())}}
		r.stepIn(m)
	case r.cfg.Fetch != nil && r.arrived == nil:
		r.cfg.Fetch(m.GetFrom())
	}
}

// overtake gives raft a state that has arrived, as a snapshot of the leader's, once
// one is known that has all of it and the disk has written what it was given before.
func (r *Replica) overtake() {
	s, now := r.arrived, r.raft.BasicStatus()
	if s == nil || r.onDisk > 0 || r.failed != nil || now.Lead == raft.None || now.GetTerm() < uint64(s.After.View) {
		return
	}
	if now.Lead != r.cfg.ID && s.After.SeqNo > r.applied.SeqNo {
		meta := &pb.SnapshotMetadata{Index: new(uint64(s.After.SeqNo)), Term: new(uint64(s.After.View)), ConfState: s.conf}
		if err := r.raft.Step(&pb.Message{
			Type: pb.MsgSnap.Enum(), From: new(now.Lead), To: new(r.cfg.ID), Term: new(now.GetTerm()), Snapshot: &pb.Snapshot{Metadata: meta},
		}); err != nil {
			panic(fmt.Sprintf("consensus: raft refused a snapshot: %s", err))
		}
		r.ready() // restores
	}
	if r.arrived == s {
		r.arrived = nil
		s.done <- ErrNotNeeded
	}
}

// restore makes the state that has arrived that of this replica: raft has dropped its
// log for it. The disk has nothing to do.
func (r *Replica) restore(m *pb.Message) {
	s := r.arrived
	if s == nil || m.GetSnapshot().GetMetadata().GetIndex() != uint64(s.After.SeqNo) || len(m.GetEntries()) > 0 {
		panic("consensus: raft restores a snapshot that it was not given")
	}
	at := s.After
	committed := r.Committed().SeqNo
	if err := errors.Join(r.cfg.Log.Commit(committed), r.cfg.Log.Skip(at.SeqNo, committed)); err != nil {
		r.failed = fmt.Errorf("go on after the snapshot at %s: %w", at, err)
		return
	}
	s.Origin = r.store.origin
	s.Install()
	r.conf, r.last, r.applied = s.conf, at.SeqNo, at
	r.tail, r.sigs, r.change = r.tail[:0], r.sigs[:0], nil
	r.settled = r.pending
	r.signer.lastSigned, r.signer.firstPending = at.SeqNo, time.Time{}
	r.signed.skip(committed, at.SeqNo)
	r.store.start(s.conf, &s.Start, false)
	r.ordered.Store(uint64(r.last))
	r.arrived = nil
	r.commitTo(at)
	r.publish()
	r.cfg.Logger.LogAttrs(context.Background(), levelInfo, "Went on after a snapshot", attrTx(at), slog.String("configuration", s.conf.String()))
	s.done <- nil
	r.deliver(m.GetResponses())
}

// commitTo shows a commit.
func (r *Replica) commitTo(at synod.TxID) {
	r.committed.Store(&at)
	r.moved.tell()
	waited := r.waiters.count.Load()
	if r.waiters.committed(at.SeqNo) > 0 {
		r.signer.answers(waited)
	}
}
