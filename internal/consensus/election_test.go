package consensus

import (
	"fmt"
	"log/slog"
	"testing"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// TestElectionEntryCarriesBytes holds what the pinned raft library does and
// does not promise: bytes set on the empty entry of a won election, in the
// first Ready that shows it, reach the disk, the messages and the commit of
// every voter (design: the leader fills its own election entry).
func TestElectionEntryCarriesBytes(t *testing.T) {
	for _, voters := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d voters", voters), func(t *testing.T) {
			g := newTrial(t, voters)
			if err := g.nodes[1].Campaign(); err != nil {
				t.Fatal(err)
			}
			g.settle()
			if err := g.nodes[1].Propose([]byte("after")); err != nil {
				t.Fatal(err)
			}
			g.settle()
			for id := uint64(1); id <= uint64(voters); id++ {
				if got, want := fmt.Sprint(g.committed[id]), "[2.1 opening 2.2 after]"; got != want {
					t.Errorf("node %d committed %s, want %s", id, got, want)
				}
				if got, want := fmt.Sprint(g.disk(id)), "[2.1 opening 2.2 after]"; got != want {
					t.Errorf("node %d has on disk %s, want %s", id, got, want)
				}
			}
		})
	}
}

// trial is a raft group in memory with asynchronous storage writes.
type trial struct {
	t         *testing.T
	nodes     map[uint64]*raft.RawNode
	storage   map[uint64]*raft.MemoryStorage
	committed map[uint64][]string
}

func newTrial(t *testing.T, voters int) *trial {
	g := &trial{t: t, nodes: map[uint64]*raft.RawNode{}, storage: map[uint64]*raft.MemoryStorage{}, committed: map[uint64][]string{}}
	var ids []uint64
	for id := uint64(1); id <= uint64(voters); id++ {
		ids = append(ids, id)
	}
	for _, id := range ids {
		s := raft.NewMemoryStorage()
		if err := s.SetHardState(&pb.HardState{Term: new(uint64(1))}); err != nil {
			t.Fatal(err)
		}
		rn, err := raft.NewRawNode(&raft.Config{
			ID: id, ElectionTick: 10, HeartbeatTick: 1, Storage: &trialStorage{s, &pb.ConfState{Voters: ids}},
			AsyncStorageWrites: true, MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 16,
			CheckQuorum: true, PreVote: true, DisableProposalForwarding: true,
			Logger: raftLogger{slog.New(slog.DiscardHandler)},
		})
		if err != nil {
			t.Fatal(err)
		}
		g.nodes[id], g.storage[id] = rn, s
	}
	return g
}

// trialStorage adds a first configuration to the library's memory storage.
type trialStorage struct {
	*raft.MemoryStorage
	conf *pb.ConfState
}

func (s *trialStorage) InitialState() (*pb.HardState, *pb.ConfState, error) {
	hard, _, err := s.MemoryStorage.InitialState()
	return hard, s.conf, err
}

// settle delivers everything until nobody has anything to do.
func (g *trial) settle() {
	for busy := true; busy; {
		busy = false
		for id, rn := range g.nodes {
			for rn.HasReady() {
				busy = true
				g.deliver(id, rn.Ready())
			}
		}
	}
}

func (g *trial) deliver(id uint64, rd raft.Ready) {
	for _, e := range rd.Entries {
		if len(e.GetData()) == 0 {
			e.Data = []byte("opening")
		}
	}
	for _, m := range rd.Messages {
		switch m.GetTo() {
		case raft.LocalAppendThread:
			if err := g.storage[id].Append(m.GetEntries()); err != nil {
				g.t.Fatal(err)
			}
			g.stepAll(m.GetResponses())
		case raft.LocalApplyThread:
			for _, e := range m.GetEntries() {
				g.committed[id] = append(g.committed[id], entryText(e))
			}
			g.stepAll(m.GetResponses())
		default:
			// A copy, as the network makes one: later changes must not show.
			g.stepAll([]*pb.Message{proto.Clone(m).(*pb.Message)})
		}
	}
}

func (g *trial) stepAll(messages []*pb.Message) {
	for _, m := range messages {
		if err := g.nodes[m.GetTo()].Step(m); err != nil {
			g.t.Fatalf("step %s to %d: %s", m.GetType(), m.GetTo(), err)
		}
	}
}

func (g *trial) disk(id uint64) []string {
	first, _ := g.storage[id].FirstIndex()
	last, _ := g.storage[id].LastIndex()
	entries, err := g.storage[id].Entries(first, last+1, 1<<20)
	if err != nil {
		g.t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, entryText(e))
	}
	return list
}

func entryText(e *pb.Entry) string {
	return fmt.Sprintf("%d.%d %s", e.GetTerm(), e.GetIndex(), e.GetData())
}
