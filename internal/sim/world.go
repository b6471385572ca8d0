package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"synod"
	"synod/internal/secrets"
)

// Config is one simulation.
type Config struct {
	Seed  uint64
	Steps int
	Nodes int // at the start, 1 to 9
	// Trace is told of each event; nil tells nobody.
	Trace func(format string, args ...any)
	// Bug plants a mistake, for tests of the simulation itself.
	Bug Bug
}

// Bug is a mistake that a test plants, to see that the simulation finds it.
type Bug int

// The mistakes.
const (
	NoBug       Bug = iota
	ReuseName       // a new node gets the raft name of one that crashed
	ForgetVote      // a node comes back without memory of its vote and log
	ChangeEntry     // an entry is changed on its way
	WrongRoot       // a node signs a root that is not its tree's
)

// world is the state of a simulation.
type world struct {
	cfg    Config
	rng    *rand.Rand
	now    time.Time
	secret *secrets.Secret
	nodes  []*node // all that ever were
	flying []*pb.Message
	cut    map[[2]uint64]bool
	last   uint64 // newest raft name given out
	wrote  int

	// what has been seen, for the checks
	sealed    map[synod.TxID][32]byte  // bytes that left a node, by place
	committed map[synod.SeqNo][32]byte // by seqno
	roots     map[synod.SeqNo][32]byte // at each commit
	views     map[synod.SeqNo]synod.View
	leaders   map[synod.View]uint64
	answered  []synod.TxID
}

// flyingMax bounds the messages on their way; more are lost.
const flyingMax = 2000

// Run simulates, and returns what was wrong, nil if nothing was.
func Run(cfg Config) (err error) {
	if cfg.Trace == nil {
		cfg.Trace = func(string, ...any) {}
	}
	w := &world{
		cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0x5ead)), now: time.Unix(1_700_000_000, 0),
		secret: secrets.SecretFrom([secrets.Size]byte{1, 2, 3}), cut: map[[2]uint64]bool{},
		sealed: map[synod.TxID][32]byte{}, committed: map[synod.SeqNo][32]byte{}, roots: map[synod.SeqNo][32]byte{},
		views: map[synod.SeqNo]synod.View{}, leaders: map[synod.View]uint64{},
	}
	// A broken invariant inside the node's code is a finding too.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	if err := w.begin(); err != nil {
		return err
	}
	for i := range cfg.Steps {
		w.step()
		if err := w.check(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return w.end()
}

// begin makes a service of the wanted size.
func (w *world) begin() error {
	if err := w.add(true); err != nil {
		return err
	}
	for range w.cfg.Nodes - 1 {
		asked := false
		if err := w.calm(fmt.Sprintf("node %d is wanted", w.last+1), func() bool {
			asked = asked || w.askFor(w.last+1, trusted)
			return w.wants(w.last + 1)
		}); err != nil {
			return err
		}
		if err := w.add(false); err != nil {
			return err
		}
	}
	return w.calm("all vote", func() bool {
		l := w.leader()
		return l != nil && len(l.Peers().Configuration.GetVoters()) == w.cfg.Nodes
	})
}

// send puts a message on its way, as bytes, so that nothing is shared.
func (w *world) send(m *pb.Message) {
	w.seal(m.GetEntries())
	if w.cut[[2]uint64{m.GetFrom(), m.GetTo()}] || len(w.flying) >= flyingMax {
		return
	}
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	c := &pb.Message{}
	if err := proto.Unmarshal(b, c); err != nil {
		panic(err)
	}
	if w.cfg.Bug == ChangeEntry && len(c.GetEntries()) > 0 && w.rng.IntN(50) == 0 {
		data := c.GetEntries()[0].Data
		data[len(data)-1] ^= 1
	}
	w.flying = append(w.flying, c)
}

// alive are the nodes that run.
func (w *world) alive() []*node {
	var list []*node
	for _, n := range w.nodes {
		if n.up {
			list = append(list, n)
		}
	}
	return list
}

// leader is the running node that leads the newest view, nil if none does.
func (w *world) leader() *node {
	var best *node
	for _, n := range w.alive() {
		if r := n.Role(); r.Leading && (best == nil || r.View > best.Role().View) {
			best = n
		}
	}
	return best
}

func (w *world) named(name uint64) *node {
	for i := len(w.nodes) - 1; i >= 0; i-- {
		if w.nodes[i].name == name {
			return w.nodes[i]
		}
	}
	return nil
}
