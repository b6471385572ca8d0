package consensus

import (
	"slices"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
)

// TestNextChange holds each step toward a wanted membership, and when there is
// none.
func TestNextChange(t *testing.T) {
	conf := func(voters, learners []uint64) *pb.ConfState {
		return &pb.ConfState{Voters: voters, Learners: learners}
	}
	names := func(list ...uint64) []uint64 { return list }
	for what, c := range map[string]struct {
		conf   *pb.ConfState
		wanted Membership
		dead   []uint64
		after  *pb.ConfState // nil: no change
	}{
		"as it should be":          {conf(names(1, 2, 3), nil), Membership{1: true, 2: true, 3: true}, nil, nil},
		"a newcomer learns":        {conf(names(1), nil), Membership{1: true, 2: true}, nil, conf(names(1), names(2))},
		"and votes":                {conf(names(1), names(2)), Membership{1: true, 2: true}, nil, conf(names(1, 2), nil)},
		"but not if it is dead":    {conf(names(1), names(2)), Membership{1: true, 2: true}, names(2), nil},
		"one leaves":               {conf(names(1, 2, 3), nil), Membership{1: true, 2: true, 3: false}, nil, conf(names(1, 2), names(3))},
		"the dead leaves":          {conf(names(1, 2, 3), nil), Membership{1: true, 2: true, 3: false}, names(3), conf(names(1, 2), names(3))},
		"but not with one dead":    {conf(names(1, 2, 3), nil), Membership{1: true, 2: true, 3: false}, names(2), nil},
		"several leave":            {conf(names(1, 2, 3, 4, 5), nil), Membership{1: true, 2: true}, nil, nil /* joint, below */},
		"but not to a minority":    {conf(names(1, 2, 3, 4, 5), nil), Membership{1: true, 2: true}, names(2), nil},
		"nobody is wanted":         {conf(names(1), nil), Membership{1: false}, nil, nil},
		"who has left is dropped":  {conf(names(1, 2), names(3)), Membership{1: true, 2: true}, nil, conf(names(1, 2), nil)},
		"a learner that is wanted": {conf(names(1), names(2)), Membership{1: true, 2: false}, nil, nil},
	} {
		is := func(list []uint64) func(uint64) bool {
			return func(id uint64) bool { return !slices.Contains(list, id) }
		}
		next := nextChange(c.conf, c.wanted, is(c.dead), is(c.dead))
		if what == "several leave" {
			if next == nil || next.GetTransition() != pb.ConfChangeTransitionJointExplicit || len(next.GetChanges()) != 3 {
				t.Errorf("%s: %s", what, next)
			}
			continue
		}
		if (next == nil) != (c.after == nil) {
			t.Errorf("%s: %s", what, next)
			continue
		}
		if next == nil {
			continue
		}
		after, err := configurationAfter(c.conf, next)
		if err != nil || !slices.Equal(after.GetVoters(), c.after.GetVoters()) || !slices.Equal(after.GetLearners(), c.after.GetLearners()) {
			t.Errorf("%s: %s, %v", what, after, err)
		}
	}
	joint := &pb.ConfState{Voters: names(1, 4), VotersOutgoing: names(1, 2), LearnersNext: names(2)}
	if next := nextChange(joint, Membership{1: true, 4: true, 5: true}, nil, nil); next == nil || !next.LeaveJoint() {
		t.Errorf("a joint configuration is not left first: %s", next)
	}
}
