package consensus

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/confchange"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"

	"synod"
	"synod/internal/kv"
	"synod/internal/tables"
)

// Membership is who should take part in consensus, by raft name: true for a
// voter, false for a learner, who gets every entry and counts for nothing.
type Membership map[uint64]bool

// caughtUp is how many entries a learner may lack to be made a voter.
const caughtUp = 100

// heardLately is within how many heartbeats a node must have answered to count
// as there: a learner, to be made a voter, and those who stay when others leave.
const heardLately = 3

// RaftID is raft's name of a node: the first eight bytes of its ID. Node IDs
// are hashes of keys that are never used again, and so neither are these.
func RaftID(id synod.NodeID) (uint64, error) {
	b, err := hex.DecodeString(string(id))
	if err != nil || len(b) != 32 {
		return 0, fmt.Errorf("node ID %q is not 32 bytes in hex", string(id))
	}
	name := binary.BigEndian.Uint64(b)
	// Raft keeps zero and the two highest names for itself.
	if name == 0 || name >= raft.LocalApplyThread {
		return 0, fmt.Errorf("node ID %s begins with bytes that raft reserves", id)
	}
	return name, nil
}

// Founding is the configuration of a service's first node alone.
func Founding(id uint64) []byte { return marshal(&pb.ConfState{Voters: []uint64{id}}) }

// change is a change of the configuration that is in this leader's log and not
// applied.
//
// Raft's configuration is what a node has applied, so that nodes may be of two
// minds: one that has a change in its log and does not know that it is committed
// needs the votes of the configuration before. Those must not go to waste: if a
// node that knows that it has left had more of the log than those who stay, it
// would refuse its vote and not ask for one, and no leader would ever come.
// Hence two rules. Nothing is ordered after a change until it is applied. And
// learners get no entry from a leader until those who vote have committed one
// that it ordered after it began to lead or applied the newest change
// (Replica.feedFrom): whoever has that one knows of the change.
type change struct {
	seqno synod.SeqNo
	entry []byte // of the ledger; nil if an earlier leader ordered it
}

// reconfigure moves raft's configuration one step toward the membership that
// is wanted, if raft is sure to take it: the leader's opening entry and the
// change before are applied. Raft answers a change that it does not take with
// an empty entry, which would have no bytes here.
func (r *Replica) reconfigure() {
	if r.cfg.Wanted == nil || !r.leading || r.signing || r.failed != nil || r.change != nil || r.applied.SeqNo < r.opened {
		return
	}
	wanted := r.cfg.Wanted()
	if wanted == nil {
		return
	}
	if reached(r.conf, wanted) {
		return
	}
	if !maps.Equal(wanted, r.wish) {
		r.wish, r.wishAt = maps.Clone(wanted), r.applied.SeqNo
	}
	joint := len(r.conf.GetVotersOutgoing()) > 0
	switch {
	case joint && !slices.Contains(r.conf.GetVoters(), r.cfg.ID):
		stays := func(id uint64) bool { return slices.Contains(r.conf.GetVoters(), id) && r.reaches(id) }
		if to := r.successor(true, stays); to != 0 {
			r.raft.TransferLeader(to)
			return
		}
	case !joint && !wanted[r.cfg.ID]:
		// Who leaves hands over first; the next leader makes the change.
		if to := r.successor(true, func(id uint64) bool { return wanted[id] && r.reaches(id) }); to != 0 {
			r.raft.TransferLeader(to)
			return
		}
		// No voter that stays is there: first newcomers become voters besides
		// those of now.
		wanted = maps.Clone(wanted)
		for _, id := range r.conf.GetVoters() {
			wanted[id] = true
		}
	}
	next := nextChange(r.conf, wanted, r.isCaughtUp, r.follows(wanted), r.isComing, r.isTold)
	if next == nil && r.starves() {
		next = single(pb.ConfChangeAddNode, r.conf.GetVoters()[0])
	}
	if next != nil {
		r.proposeChange(next)
	}
}

// learning is how far a learner was when it last came nearer.
type learning struct {
	match uint64
	since time.Time
}

// comingFor is for how many election timeouts a learner that comes no nearer is
// still waited for: long enough for one that was just trusted to ask again and to
// take its first entries.
const comingFor = 2

// watchLearners notes which learners come nearer, on a leader.
func (r *Replica) watchLearners() {
	if !r.leading {
		return
	}
	progress, now := r.progress(), r.cfg.Now()
	for _, id := range slices.Concat(slices.Collect(maps.Keys(r.learns)), slices.Collect(maps.Keys(r.leaves))) {
		if p, ok := progress[id]; !ok || !p.IsLearner {
			delete(r.learns, id)
			delete(r.leaves, id)
		}
	}
	for id, p := range progress {
		if was, ok := r.learns[id]; p.IsLearner && (!ok || p.Match > was.match || was.since.Before(r.led)) {
			r.learns[id] = learning{p.Match, now}
		}
	}
}

// isComing says whether a learner is likely to catch up soon.
func (r *Replica) isComing(id uint64) bool {
	l, ok := r.learns[id]
	return !ok || r.cfg.Now().Sub(l.since) <= comingFor*r.cfg.ElectionTimeout
}

// isTold says whether a learner who is to be dropped has the entries that say that
// it has left: the one that drops it, which it gets too, then tells it that they are
// committed. It gets nothing afterwards, and would say for ever that it is about to
// leave. One that comes no nearer is not waited for.
func (r *Replica) isTold(id uint64) bool {
	at, ok := r.leaves[id]
	if !ok {
		at = r.applied.SeqNo
		r.leaves[id] = at
	}
	return r.progress()[id].Match >= uint64(at) || !r.isComing(id)
}

// starves says whether learners wait for an entry that nothing brings: a leader that
// began with a change that was not applied has signed all there is. A change that
// changes nothing is one.
func (r *Replica) starves() bool {
	return len(r.conf.GetLearners()) > 0 && r.feedFrom > r.last && r.last == r.signer.lastSigned && r.applied.SeqNo == r.last
}

// reached says whether a configuration is the wanted one, as it is nearly always.
func reached(conf *pb.ConfState, wanted Membership) bool {
	if len(conf.GetVotersOutgoing()) > 0 || len(conf.GetVoters())+len(conf.GetLearners()) != len(wanted) {
		return false
	}
	for _, id := range conf.GetVoters() {
		if !wanted[id] {
			return false
		}
	}
	for _, id := range conf.GetLearners() {
		if votes, listed := wanted[id]; votes || !listed {
			return false
		}
	}
	return true
}

// progress is what raft knows of each node, messages in flight left out: those it
// would copy for each look.
func (r *Replica) progress() map[uint64]tracker.Progress {
	all := map[uint64]tracker.Progress{}
	r.raft.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) { all[id] = p })
	return all
}

// follows says of a node whether it answers and has what comes before the log of
// every voter that is wanted: that any of them can lead it when others leave.
func (r *Replica) follows(wanted Membership) func(uint64) bool {
	begin := synod.SeqNo(0)
	for id, votes := range wanted {
		if votes && r.cfg.Begins != nil {
			begin = max(begin, r.cfg.Begins(id))
		}
	}
	// Who has died a moment ago still counts as heard of, but has not taken what was
	// committed when the change was asked for.
	begin = max(begin, r.wishAt)
	progress := r.progress()
	return func(id uint64) bool { return r.answers(id) && progress[id].Match >= uint64(begin) }
}

// answers says whether a node was heard of lately; this one is always there.
func (r *Replica) answers(id uint64) bool {
	return id == r.cfg.ID || r.cfg.Now().Sub(r.heard[id]) <= heardLately*r.cfg.MessageTimeout
}

// isCaughtUp says whether a learner has shown that it takes entries, lacks few, the
// newest change of the configuration not among them, and is there now: a voter has
// the entry that made it a member, so that any snapshot that it may come to need
// says that it is one. Raft calls a node that it has just been told of active,
// heard of or not, and goes on to for an election timeout.
func (r *Replica) isCaughtUp(id uint64) bool {
	if !r.answers(id) {
		return false
	}
	p, ok := r.progress()[id]
	return ok && p.RecentActive && p.Match > 0 && p.State == tracker.StateReplicate && p.Match+caughtUp >= uint64(r.last) &&
		p.Match+1 >= uint64(r.feedFrom)
}

// nextChange is the next step from a configuration to the wanted one, nil if
// there is none: leave a joint configuration; add a newcomer as learner;
// exchange voters once the new ones have the log, at once; drop learners who
// have left, once they are told.
//
// Nobody leaves as long as those who would remain have no majority that answers:
// a service that lacks nodes keeps what it has. Nor while newcomers are coming and
// the service could bear the loss of fewer nodes without who leaves than it can
// now: an exchange that was asked for at once costs no tolerance on its way
// (docs/decisions/004-membership.md).
func nextChange(conf *pb.ConfState, wanted Membership, ready, answers, coming, told func(uint64) bool) *pb.ConfChangeV2 {
	if len(conf.GetVotersOutgoing()) > 0 {
		return &pb.ConfChangeV2{}
	}
	var promote, demote []uint64
	awaited := false
	for _, id := range sortedNames(wanted) {
		voter, learner := slices.Contains(conf.GetVoters(), id), slices.Contains(conf.GetLearners(), id)
		switch {
		case !voter && !learner:
			return single(pb.ConfChangeAddLearnerNode, id)
		case learner && wanted[id] && ready(id):
			promote = append(promote, id)
		case learner && wanted[id]:
			awaited = awaited || coming(id)
		}
	}
	remain := slices.Clone(promote)
	for _, id := range conf.GetVoters() {
		if wanted[id] {
			remain = append(remain, id)
		} else {
			demote = append(demote, id)
		}
	}
	if s := spare(remain, answers); s < 0 || awaited && s < spare(conf.GetVoters(), answers) {
		demote = nil
	}
	if cc := exchange(promote, demote); cc != nil {
		return cc
	}
	for _, id := range conf.GetLearners() {
		if _, listed := wanted[id]; !listed && told(id) {
			return single(pb.ConfChangeRemoveNode, id)
		}
	}
	return nil
}

// spare is how many voters may be lost besides those who do not answer; less than
// zero if too many are.
func spare(voters []uint64, answers func(uint64) bool) int {
	there := 0
	for _, id := range voters {
		if answers(id) {
			there++
		}
	}
	return there - len(voters)/2 - 1
}

func single(t pb.ConfChangeType, id uint64) *pb.ConfChangeV2 {
	return &pb.ConfChangeV2{Changes: []*pb.ConfChangeSingle{{Type: t.Enum(), NodeId: new(id)}}}
}

func exchange(promote, demote []uint64) *pb.ConfChangeV2 {
	cc := &pb.ConfChangeV2{}
	for _, id := range promote {
		cc.Changes = append(cc.Changes, single(pb.ConfChangeAddNode, id).GetChanges()...)
	}
	for _, id := range demote {
		cc.Changes = append(cc.Changes, single(pb.ConfChangeAddLearnerNode, id).GetChanges()...)
	}
	switch len(cc.GetChanges()) {
	case 0:
		return nil
	case 1:
	default:
		// Explicit: raft must never append the leave by itself.
		cc.Transition = pb.ConfChangeTransitionJointExplicit.Enum()
	}
	return cc
}

func sortedNames(m Membership) []uint64 {
	names := make([]uint64, 0, len(m))
	for id := range m {
		names = append(names, id)
	}
	slices.Sort(names)
	return names
}

// proposeChange puts a change into the log. Raft wants to read the change when
// it takes it; the entry's bytes take its place before it is written or sent.
func (r *Replica) proposeChange(cc *pb.ConfChangeV2) {
	if err := r.orderChange(cc); err != nil {
		r.cfg.Logger.LogAttrs(context.Background(), levelFail, "no change of the configuration", attrErr(err))
	}
}

func (r *Replica) orderChange(cc *pb.ConfChangeV2) error {
	after, err := configurationAfter(r.conf, cc)
	if err != nil {
		return err
	}
	p, err := r.cfg.RecordChange(marshal(cc), marshal(after))
	if err != nil {
		return err
	}
	defer p.Release()
	before, id := r.last, synod.TxID{View: r.view, SeqNo: r.last + 1}
	entry, err := r.cfg.Machine.Order(p, id)
	if err != nil {
		return err
	}
	r.logged(id, p.WriteSet(), p.Size())
	r.change = &change{seqno: id.SeqNo, entry: entry}
	if err := r.propose([]*pb.Entry{{Type: pb.EntryConfChangeV2.Enum(), Data: marshal(cc)}}); err != nil {
		r.undo(before)
		return err
	}
	r.ordered.Store(uint64(r.last))
	r.noteOrdered()
	r.cfg.Logger.LogAttrs(context.Background(), levelInfo, "Changing the configuration", attrTx(id), slog.String("after", after.String()))
	return nil
}

// configurationAfter is what raft will answer when it applies the change.
func configurationAfter(conf *pb.ConfState, cc *pb.ConfChangeV2) (*pb.ConfState, error) {
	changer := confchange.Changer{Tracker: tracker.MakeProgressTracker(1, 0), LastIndex: 1}
	cfg, progress, err := confchange.Restore(changer, conf)
	if err != nil {
		return nil, err
	}
	changer.Tracker.Config, changer.Tracker.Progress = cfg, progress
	if cc.LeaveJoint() {
		cfg, progress, err = changer.LeaveJoint()
	} else if autoLeave, joint := cc.EnterJoint(); joint {
		cfg, progress, err = changer.EnterJoint(autoLeave, cc.GetChanges()...)
	} else {
		cfg, progress, err = changer.Simple(cc.GetChanges()...)
	}
	if err != nil {
		return nil, err
	}
	changer.Tracker.Config, changer.Tracker.Progress = cfg, progress
	return changer.Tracker.ConfState(), nil
}

// applyChange tells raft that a change is committed.
func (r *Replica) applyChange(e *pb.Entry) {
	row := configurationRow(r.tail, synod.SeqNo(e.GetIndex()))
	cc := &pb.ConfChangeV2{}
	if err := proto.Unmarshal(row.ConfChange, cc); err != nil {
		panic(fmt.Sprintf("consensus: change of the configuration at %d: %s", e.GetIndex(), err))
	}
	r.conf = r.raft.ApplyConfChange(cc)
	if want := string(row.ConfState); string(marshal(r.conf)) != want {
		panic(fmt.Sprintf("consensus: the configuration after %d is %s, the entry says another", e.GetIndex(), r.conf))
	}
	if r.change != nil && r.change.seqno <= synod.SeqNo(e.GetIndex()) {
		r.change = nil
	}
	r.feedFrom = r.last + 1
	r.publish()
}

// inherit notes the newest change that is in the log and not applied, for a
// leader that begins.
func (r *Replica) inherit() {
	r.change = nil
	for _, l := range r.tail {
		if l.id.SeqNo >= r.store.origin && slices.ContainsFunc(l.ws.Maps, func(m kv.MapWrites) bool { return m.Name == tables.Raft }) {
			r.change = &change{seqno: l.id.SeqNo}
		}
	}
}

// feeds says whether a message of raft may leave: learners get entries when the
// voters have committed enough.
func (r *Replica) feeds(m *pb.Message) bool {
	return !r.leading || m.GetType() != pb.MsgApp || len(m.GetEntries()) == 0 || r.applied.SeqNo >= r.feedFrom ||
		!slices.Contains(r.conf.GetLearners(), m.GetTo())
}

// configurationRow is what an entry of the tail says of its change.
func configurationRow(tail []logged, seqno synod.SeqNo) tables.RaftConfig {
	var row tables.RaftConfig
	for _, l := range tail {
		if l.id.SeqNo != seqno {
			continue
		}
		for _, m := range l.ws.Maps {
			if m.Name == tables.Raft && len(m.Writes) == 1 {
				readRow(m.Writes[0], &row)
			}
		}
	}
	return row
}

func readRow(w kv.Write, row *tables.RaftConfig) {
	if err := json.Unmarshal(w.Value, row); err != nil {
		panic("consensus: row of the configuration: " + err.Error())
	}
}

func marshal(m proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic("consensus: encode: " + err.Error()) // no required field is missing
	}
	return b
}
