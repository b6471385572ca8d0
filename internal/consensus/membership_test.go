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
		coming []uint64      // learners that are not ready yet, or not told
		after  *pb.ConfState // nil: no change
	}{
		"as it should be":           {conf(names(1, 2, 3), nil), Membership{1: true, 2: true, 3: true}, nil, nil, nil},
		"a newcomer learns":         {conf(names(1), nil), Membership{1: true, 2: true}, nil, nil, conf(names(1), names(2))},
		"and votes":                 {conf(names(1), names(2)), Membership{1: true, 2: true}, nil, nil, conf(names(1, 2), nil)},
		"but not if it is dead":     {conf(names(1), names(2)), Membership{1: true, 2: true}, names(2), nil, nil},
		"one leaves":                {conf(names(1, 2, 3), nil), Membership{1: true, 2: true, 3: false}, nil, nil, conf(names(1, 2), names(3))},
		"the dead leaves":           {conf(names(1, 2, 3), nil), Membership{1: true, 2: true, 3: false}, names(3), nil, conf(names(1, 2), names(3))},
		"but not with one dead":     {conf(names(1, 2, 3), nil), Membership{1: true, 2: true, 3: false}, names(2), nil, nil},
		"several leave":             {conf(names(1, 2, 3, 4, 5), nil), Membership{1: true, 2: true}, nil, nil, nil /* joint, below */},
		"but not to a minority":     {conf(names(1, 2, 3, 4, 5), nil), Membership{1: true, 2: true}, names(2), nil, nil},
		"nobody is wanted":          {conf(names(1), nil), Membership{1: false}, nil, nil, nil},
		"who has left is dropped":   {conf(names(1, 2), names(3)), Membership{1: true, 2: true}, nil, nil, conf(names(1, 2), nil)},
		"once it knows":             {conf(names(1, 2), names(3)), Membership{1: true, 2: true}, nil, names(3), nil},
		"which the next may":        {conf(names(1, 2), names(3, 4)), Membership{1: true, 2: true}, nil, names(3), conf(names(1, 2), names(3))},
		"who leaves waits":          {conf(names(1, 2, 3), names(4)), Membership{1: true, 2: true, 3: false, 4: true}, nil, names(4), nil},
		"not for the dead":          {conf(names(1, 2, 3), names(4)), Membership{1: true, 2: true, 3: false, 4: true}, names(4), nil, conf(names(1, 2), names(3, 4))},
		"nor if it is dead":         {conf(names(1, 2, 3), names(4)), Membership{1: true, 2: true, 3: false, 4: true}, names(3), names(4), conf(names(1, 2), names(3, 4))},
		"nor if that costs nothing": {conf(names(1, 2, 3, 5), names(4)), Membership{1: true, 2: true, 3: true, 4: true}, nil, names(4), conf(names(1, 2, 3), names(4, 5))},
		"several wait": {
			conf(names(1, 2, 3, 4, 5), names(6, 7, 8)),
			Membership{1: true, 2: false, 3: false, 4: true, 5: true, 6: true, 7: true, 8: true},
			names(1), names(6, 7, 8), nil,
		},
		"a learner that is wanted": {conf(names(1), names(2)), Membership{1: true, 2: false}, nil, nil, nil},
	} {
		is := func(list []uint64) func(uint64) bool {
			return func(id uint64) bool { return !slices.Contains(list, id) }
		}
		ready := is(slices.Concat(c.dead, c.coming))
		next := nextChange(c.conf, c.wanted, ready, is(c.dead), func(id uint64) bool { return slices.Contains(c.coming, id) }, is(c.coming))
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
	if next := nextChange(joint, Membership{1: true, 4: true, 5: true}, nil, nil, nil, nil); next == nil || !next.LeaveJoint() {
		t.Errorf("a joint configuration is not left first: %s", next)
	}
}
