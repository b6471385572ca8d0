package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"synod"
	"synod/internal/evidence"
	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/machine"
	"synod/internal/secrets"
	"synod/internal/tables"
)

// group is several replicas of one service in this process, on real ledger
// directories, with a network that can be cut.
type group struct {
	t               *testing.T
	secret          *secrets.Secret
	signer          evidence.Signer
	electionTimeout time.Duration
	wanted          atomic.Pointer[Membership]

	mu      sync.Mutex
	members map[uint64]*member
	cut     map[[2]uint64]bool
	loses   func(*pb.Message) bool // besides
	asked   atomic.Int64           // how often anybody asked for the wanted membership
}

type member struct {
	*Replica
	id    uint64
	store *kv.Store
	tree  *evidence.Tree
	stop  func() error
}

func newGroup(t *testing.T, size int) *group {
	t.Helper()
	return newGroupOf(t, size, 200*time.Millisecond)
}

func newGroupOf(t *testing.T, size int, electionTimeout time.Duration) *group {
	t.Helper()
	g := &group{t: t, electionTimeout: electionTimeout, members: map[uint64]*member{}, cut: map[[2]uint64]bool{}}
	var err error
	if g.secret, err = secrets.NewSecret(); err != nil {
		t.Fatal(err)
	}
	nodeKey, err := identity.NewKey("Secp384R1")
	if err != nil {
		t.Fatal(err)
	}
	serviceKey, err := identity.NewKey("Secp384R1")
	if err != nil {
		t.Fatal(err)
	}
	g.signer = evidence.Signer{
		NodeID: identity.NodeIDOf(&nodeKey.PublicKey), NodeKey: nodeKey, NodeCert: func() string { return "" },
		ServiceKey: serviceKey, ServiceKID: identity.ServiceKID(&serviceKey.PublicKey), Now: time.Now,
	}
	want := Membership{}
	for id := uint64(1); id <= uint64(size); id++ {
		want[id] = true
		next := maps.Clone(want)
		g.wanted.Store(&next)
		g.start(id, id == 1)
	}
	g.settle(size)
	return g
}

// start adds a node: the founder, or one that takes the log from its beginning.
func (g *group) start(id uint64, founder bool) *member {
	g.t.Helper()
	log, err := ledger.Open(ledger.Config{Dir: filepath.Join(g.t.TempDir(), "ledger"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		g.t.Fatal(err)
	}
	chain := secrets.NewChain()
	chain.Set(1, g.secret)
	m := &member{id: id, store: kv.New(), tree: evidence.NewTree()}
	cfg := Config{
		ID: id, Log: log, Machine: machine.New(m.store, m.tree, chain, 64<<10), Signer: &g.signer,
		Verify:          func(s *evidence.Signature) error { return s.Verify(&g.signer.ServiceKey.PublicKey) },
		Send:            g.send,
		Wanted:          func() Membership { g.asked.Add(1); return *g.wanted.Load() },
		ElectionTimeout: g.electionTimeout, MessageTimeout: 20 * time.Millisecond, Tick: 5 * time.Millisecond,
		RecordChange: func(change, after []byte) (*machine.Prepared, error) {
			tx := m.store.Begin()
			err := tables.PutJSON(tx, tables.Raft, tables.UnitKey(), tables.RaftConfig{ConfChange: change, ConfState: after})
			return machine.Prepare(tx, [32]byte{}), err
		},
		Logger: slog.New(slog.DiscardHandler),
	}
	if founder {
		cfg.Create = func() (*machine.Prepared, error) {
			tx := m.store.Begin()
			tx.Put("public:genesis", []byte("k"), []byte("v"))
			return machine.Prepare(tx, [32]byte{}), nil
		}
	}
	r, err := New(cfg)
	if err != nil {
		g.t.Fatal(err)
	}
	if !founder {
		if err := r.Join(&Start{Configuration: Founding(1)}); err != nil {
			g.t.Fatal(err)
		}
	}
	m.Replica = r
	g.mu.Lock()
	g.members[id] = m
	g.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	m.stop = sync.OnceValue(func() error {
		cancel()
		return errors.Join(<-done, log.Close())
	})
	g.t.Cleanup(func() {
		if err := m.stop(); err != nil {
			g.t.Errorf("node %d: %v", id, err)
		}
	})
	return m
}

func (g *group) send(m *pb.Message) {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	g.mu.Lock()
	to := g.members[m.GetTo()]
	if g.cut[[2]uint64{m.GetFrom(), m.GetTo()}] || g.loses != nil && g.loses(m) {
		to = nil
	}
	g.mu.Unlock()
	if to == nil {
		return
	}
	var c pb.Message
	if err := proto.Unmarshal(b, &c); err != nil {
		panic(err)
	}
	to.Receive(&c)
}

// isolate cuts nodes off from all others, or joins them again.
func (g *group) isolate(off bool, ids ...uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range ids {
		for other := range g.members {
			if !slices.Contains(ids, other) {
				g.cut[[2]uint64{id, other}], g.cut[[2]uint64{other, id}] = off, off
			}
		}
	}
}

// lose makes the network lose messages besides those that are cut off.
func (g *group) lose(loses func(*pb.Message) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.loses = loses
}

// eventually polls.
func (g *group) eventually(what string, ok func() bool) {
	g.t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			for id, m := range g.members {
				g.t.Logf("node %d: %+v ordered %d committed %s conf %s", id, m.Role(), m.Ordered(), m.Committed(), m.Peers().Configuration)
			}
			g.t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// settle waits until there is one leader over that many voters.
func (g *group) settle(voters int) {
	g.t.Helper()
	g.eventually(fmt.Sprintf("%d voters", voters), func() bool {
		l := g.leaderOrNil()
		return l != nil && len(l.Peers().Configuration.GetVoters()) == voters && len(l.Peers().Configuration.GetVotersOutgoing()) == 0
	})
}

func (g *group) leaderOrNil() *member {
	g.mu.Lock()
	defer g.mu.Unlock()
	var best *member
	for _, m := range g.members {
		if role := m.Role(); role.Leading && (best == nil || role.View > best.Role().View) {
			best = m
		}
	}
	return best
}

func (g *group) leader() *member {
	g.t.Helper()
	g.eventually("a leader", func() bool { return g.leaderOrNil() != nil })
	return g.leaderOrNil()
}

// write submits at the leader, whoever it is, until one takes it.
func (g *group) write(key, value string) synod.TxID {
	g.t.Helper()
	for {
		if id, err := g.leader().put(key, value); err == nil {
			return id
		} else if !errors.Is(err, ErrNotPrimary) && !errors.Is(err, ErrDropped) {
			g.t.Fatal(err)
		}
	}
}

func (m *member) put(key, value string) (synod.TxID, error) {
	tx := m.store.Begin()
	defer tx.Release()
	tx.Put("public:records", []byte(key), []byte(value))
	return m.Submit(machine.Prepare(tx, [32]byte{}))
}

// committed waits until every given node has committed the transaction, with
// the same root.
func (g *group) committed(id synod.TxID, members ...*member) {
	g.t.Helper()
	for _, m := range members {
		g.eventually(fmt.Sprintf("%s committed at %d", id, m.id), func() bool { return m.Status(id) == synod.TxCommitted })
	}
}

func (m *member) value(key string) string {
	tx := m.store.Begin()
	defer tx.Release()
	v, _ := tx.Get("public:records", []byte(key))
	return string(v)
}

func (g *group) all() []*member {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []*member
	for _, m := range g.members {
		list = append(list, m)
	}
	return list
}

func TestReplicate(t *testing.T) {
	for _, size := range []int{1, 3, 5} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			g := newGroup(t, size)
			var last synod.TxID
			for i := range 200 {
				last = g.write(fmt.Sprintf("k%d", i), "v")
			}
			g.committed(last, g.all()...)
			for _, m := range g.all() {
				if m.value("k199") != "v" {
					t.Errorf("node %d lacks the last write", m.id)
				}
				if root, err := m.tree.RootAt(last.SeqNo); err != nil || root != mustRoot(t, g.leader().tree, last.SeqNo) {
					t.Errorf("node %d: root %x, %v", m.id, root, err)
				}
			}
		})
	}
}

func mustRoot(t *testing.T, tree *evidence.Tree, seqno synod.SeqNo) [32]byte {
	t.Helper()
	root, err := tree.RootAt(seqno)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// TestCatchUp: a node that begins with nothing takes what the others have, which
// is opened on several processors.
func TestCatchUp(t *testing.T) {
	g := newGroup(t, 1)
	var last synod.TxID
	for i := range 4 * openAheadMin {
		last = g.write(fmt.Sprintf("k%d", i), "v")
	}
	g.committed(last, g.leader())
	g.wanted.Store(&Membership{1: true, 2: true})
	m := g.start(2, false)
	g.settle(2)
	last = g.write("after", "v")
	g.committed(last, m)
	if m.value("k0") != "v" || m.value("after") != "v" {
		t.Error("the new node lacks a write")
	}
	if root, err := m.tree.RootAt(last.SeqNo); err != nil || root != mustRoot(t, g.leader().tree, last.SeqNo) {
		t.Errorf("its root is %x, %v", root, err)
	}
}

// TestLeaderIsLost: what was committed stays, what the lost leader had not
// replicated becomes invalid, and the lost leader follows when it is back.
func TestLeaderIsLost(t *testing.T) {
	g := newGroup(t, 3)
	before := g.write("before", "v")
	g.committed(before, g.all()...)
	old := g.leader()
	g.isolate(true, old.id)
	lost, err := old.put("lost", "v")
	if err != nil {
		t.Fatal(err)
	}
	g.eventually("a new leader", func() bool { l := g.leaderOrNil(); return l != nil && l != old })
	after := g.write("after", "v")
	g.isolate(false, old.id)
	g.committed(after, g.all()...)
	if after.View <= lost.View {
		t.Errorf("views %d and %d", after.View, lost.View)
	}
	for _, m := range g.all() {
		if m.Status(lost) != synod.TxInvalid || m.value("lost") != "" {
			t.Errorf("node %d: %s is %s, value %q", m.id, lost, m.Status(lost), m.value("lost"))
		}
		if m.Status(before) != synod.TxCommitted || m.value("before") != "v" || m.value("after") != "v" {
			t.Errorf("node %d lost what was committed", m.id)
		}
	}
}

// TestReplaceEveryNode adds and removes nodes until none of the first is left.
func TestReplaceEveryNode(t *testing.T) {
	g := newGroup(t, 3)
	g.write("k", "v")
	for old := uint64(1); old <= 3; old++ {
		want := Membership{}
		for id := old + 1; id <= old+3; id++ {
			want[id] = true
		}
		want[old] = false
		g.start(old+3, false)
		g.wanted.Store(&want)
		g.eventually("the exchange", func() bool {
			l := g.leaderOrNil()
			if l == nil || l.id == old {
				return false
			}
			c := l.Peers().Configuration
			return len(c.GetVoters()) == 3 && slices.Contains(c.GetVoters(), old+3) && slices.Contains(c.GetLearners(), old) && len(c.GetVotersOutgoing()) == 0
		})
		g.committed(g.write(fmt.Sprintf("k%d", old), "v"), g.all()...)
		next := Membership{}
		for id := range want {
			if id != old {
				next[id] = true
			}
		}
		g.wanted.Store(&next)
		g.eventually("the removal", func() bool {
			c := g.leader().Peers().Configuration
			return len(c.GetVoters()) == 3 && len(c.GetLearners()) == 0
		})
		g.mu.Lock()
		gone := g.members[old]
		delete(g.members, old)
		g.mu.Unlock()
		if err := gone.stop(); err != nil {
			t.Fatal(err)
		}
	}
	last := g.write("last", "v")
	g.committed(last, g.all()...)
	for _, m := range g.all() {
		if m.value("k") != "v" || m.value("k3") != "v" {
			t.Errorf("node %d lacks writes", m.id)
		}
	}
}

// TestWhoIsDroppedKnows: a node that has left, and that entries reach late, is
// dropped once it has what says so.
func TestWhoIsDroppedKnows(t *testing.T) {
	g := newGroupOf(t, 3, 20*time.Second) // it is waited for on any machine
	l, leaver, record, without := g.leaves()
	g.wanted.Store(&without)
	before := g.asked.Load()
	g.eventually("looks at who is to be dropped", func() bool { return g.asked.Load() > before+10 })
	if len(l.Peers().Configuration.GetLearners()) != 1 {
		t.Error("a node is dropped that does not know that it has left")
	}
	g.lose(nil)
	g.eventually("the removal", func() bool { return len(l.Peers().Configuration.GetLearners()) == 0 })
	g.committed(record, leaver)
}

// TestWhoIsAwayIsDropped: one that entries do not reach is not waited for.
func TestWhoIsAwayIsDropped(t *testing.T) {
	g := newGroup(t, 3)
	_, _, _, without := g.leaves()
	g.wanted.Store(&without)
	g.eventually("the removal", func() bool {
		c := g.leader().Peers().Configuration
		return len(c.GetVoters()) == 2 && len(c.GetLearners()) == 0
	})
}

// leaves makes one of three a learner that gets no entries, not even the one
// that it gives, which the others have. What it gives last is the membership
// without that node.
func (g *group) leaves() (leader, leaver *member, record synod.TxID, without Membership) {
	g.t.Helper()
	leader = g.leader()
	leaver = g.members[leader.id%3+1]
	leaving := Membership{leader.id: true, leaver.id%3 + 1: true}
	without = maps.Clone(leaving)
	leaving[leaver.id] = false
	g.wanted.Store(&leaving)
	g.settle(2)
	g.lose(func(m *pb.Message) bool { return m.GetTo() == leaver.id && m.GetType() == pb.MsgApp })
	record = g.write("left", "v")
	g.committed(record, g.members[leaver.id%3+1])
	return leader, leaver, record, without
}

func TestTransferAndReadIndex(t *testing.T) {
	g := newGroup(t, 3)
	id := g.write("k", "v")
	g.committed(id, g.leader())
	for _, m := range g.all() {
		g.eventually(fmt.Sprintf("node %d knows the leader", m.id), func() bool { return m.Role().Leader != 0 })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		seqno, err := m.ReadIndex(ctx)
		cancel()
		if err != nil || seqno < id.SeqNo || m.Committed().SeqNo < seqno {
			t.Errorf("node %d: %d, %v after %s", m.id, seqno, err, id)
		}
	}
	old := g.leader()
	old.Transfer()
	g.eventually("another leader", func() bool { l := g.leaderOrNil(); return l != nil && l != old && !old.Role().Leading })
	g.committed(g.write("k2", "v"), g.all()...)

	// Cut off, nobody confirms.
	l := g.leader()
	g.isolate(true, l.id)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := l.ReadIndex(ctx); !errors.Is(err, ErrNoPrimary) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a lone leader confirmed a read: %v", err)
	}
}
