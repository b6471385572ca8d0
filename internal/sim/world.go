package sim

import (
	"fmt"
	"hash/crc32"
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
	// Signed makes and verifies real signatures; otherwise they are empty and
	// cost nothing.
	Signed bool
	// Trace is told of each event; nil tells nobody.
	Trace func(format string, args ...any)
	// Bug plants a mistake, for tests of the simulation itself.
	Bug Bug
}

// Result says what a simulation was made of. That of a seed is always the same,
// but for Digest if it was Signed.
type Result struct {
	Committed synod.SeqNo // the service's commit at the end
	View      synod.View
	Nodes     int // that ever took part
	Snapshots int // of them, began with a snapshot
	Writes    int // that were answered
	Lost      int // of them, lost with the leader that answered
	Reads     int // that were answered
	Overtaken int // times that a node went on after a snapshot
	// Digest is of every message that was sent.
	Digest uint32
}

// world is the state of a simulation.
type world struct {
	cfg    Config
	rng    *rand.Rand
	now    time.Time
	secret *secrets.Secret
	keys   *keys // nil if signatures are empty
	nodes  []*node
	flying []*pb.Message
	cut    map[[2]uint64]bool
	last   uint64    // newest raft name given out
	lost   time.Time // when the last node ended
	// proposed are the newest configurations that were put into a log.
	proposed []*pb.ConfState
	asked    []asked // what governance was asked for, oldest first
	temper   temper
	client   client
	seen     seen
	log      *replay // of what is committed
	result   Result

	// A script says how nodes begin, and its clocks are alike.
	snapshot *bool
}

// flyingMax bounds the messages on their way; more are lost.
const flyingMax = 2000

// Run simulates, and returns what was wrong, nil if nothing was. Simulations of
// one process run one after the other, since all randomness of the process is
// the seed's while one runs.
func Run(cfg Config) (result Result, err error) {
	if cfg.Trace == nil {
		cfg.Trace = func(string, ...any) {}
	}
	defer seedRandomness(cfg.Seed)()
	w := newWorld(cfg)
	// A broken invariant inside the node's code is a finding too.
	defer func() {
		if p := recover(); p != nil {
			result, err = w.result, fmt.Errorf("panic: %v", p)
		}
	}()
	err = w.run()
	return w.result, err
}

func newWorld(cfg Config) *world {
	w := &world{
		cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0x5ead)), now: time.Unix(1_700_000_000, 0),
		secret: secrets.SecretFrom([secrets.Size]byte{1, 2, 3}), cut: map[[2]uint64]bool{}, seen: newSeen(),
	}
	w.temper = w.newTemper()
	w.log = newReplay(w.secret)
	if cfg.Signed {
		w.keys = realKeys()
	}
	return w
}

func (w *world) run() error {
	if err := w.begin(); err != nil {
		return err
	}
	for i := range w.cfg.Steps {
		if err := w.step(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
		if err := w.check(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return w.end()
}

// begin makes a service of the wanted size.
func (w *world) begin() error {
	if err := w.add(nil); err != nil {
		return err
	}
	for range w.cfg.Nodes - 1 {
		asked := false
		if err := w.calm(fmt.Sprintf("node %d is wanted", w.last+1), func() bool {
			asked = asked || w.askFor(wish{w.last + 1, trusted})
			return w.wants(w.last + 1)
		}); err != nil {
			return err
		}
		if err := w.add(w.leader()); err != nil {
			return err
		}
	}
	return w.calm("all vote", func() bool {
		l := w.leader()
		return l != nil && len(l.Peers().Configuration.GetVoters()) == w.cfg.Nodes
	})
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// send puts a message on its way, as bytes, so that nothing is shared.
func (w *world) send(m *pb.Message) {
	if m.GetType() == pb.MsgApp {
		w.seen.seal(m.GetEntries())
	}
	if w.cut[[2]uint64{m.GetFrom(), m.GetTo()}] || len(w.flying) >= flyingMax {
		return
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err)
	}
	w.result.Digest = crc32.Update(w.result.Digest, castagnoli, b)
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

// alive are the nodes that run, those that are held up for now included.
func (w *world) alive() []*node {
	var list []*node
	for _, n := range w.nodes {
		if n.up {
			list = append(list, n)
		}
	}
	return list
}

// awake are the nodes that run and are not held up.
func (w *world) awake() []*node {
	var list []*node
	for _, n := range w.nodes {
		if n.up && !n.paused {
			list = append(list, n)
		}
	}
	return list
}

// leader is the running node that leads the newest view, nil if none does.
func (w *world) leader() *node {
	var best *node
	for _, n := range w.awake() {
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
