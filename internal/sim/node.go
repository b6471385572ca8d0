package sim

import (
	"fmt"
	"log/slog"
	"strconv"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"synod"
	"synod/internal/consensus"
	"synod/internal/evidence"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/ledger/faultfs"
	"synod/internal/machine"
	"synod/internal/secrets"
	"synod/internal/tables"
)

// The tables of a simulated service.
const (
	members = "public:sim.members" // raft name → trusted, retired or gone
	records = "public:sim.records" // what clients write
)

// The states of a member.
const (
	trusted = "trusted"
	retired = "retired"
	gone    = "gone"
)

// node is one replica with what it acts on.
type node struct {
	*consensus.Driver
	name    uint64
	store   *kv.Store
	tree    *evidence.Tree
	log     *ledger.Log
	disk    *faultfs.Disk
	machine *machine.Machine
	begun   synod.SeqNo // of the snapshot it began with, or went on after
	image   *image      // the newest snapshot that it has
	// fetching is the node that it is to fetch a snapshot from, 0 if none.
	fetching uint64
	wanting  bool // a newer snapshot
	up       bool
	paused   bool          // by its host: it runs, and gets nothing done
	backlog  []*pb.Message // that came meanwhile
	awaits   bool          // those who write wait for commit
	hanging  bool          // its signer, which finishes nothing
	stuck    bool          // its disk, which finishes nothing
	ahead    time.Duration // of its clock

	checked synod.SeqNo     // committed entries that were compared
	shown   synod.TxID      // in its store when it was checked last
	durable synod.TxID      // the newest entry that it told raft is on disk
	confs   []*pb.ConfState // newest first
}

const (
	tick            = 10 * time.Millisecond
	electionTimeout = 400 * time.Millisecond
	chunkSize       = 4 << 10
	snapshotEvery   = 40
)

// add makes the next node: the founder without a source, or one that joins by
// a snapshot of a source, or by the log from its beginning.
func (w *world) add(source *node) error {
	w.last++
	name := w.last
	if w.cfg.Bug == ReuseName && source != nil {
		for _, n := range w.nodes {
			if !n.up && n.name != 1 {
				name = n.name
			}
		}
	}
	return w.make(name, source)
}

func (w *world) make(name uint64, source *node) error {
	n := &node{name: name, store: kv.New(), tree: evidence.NewTree(), disk: faultfs.New(), up: true, awaits: w.cfg.Seed%4 >= 2}
	chain := secrets.NewChain()
	chain.Set(1, w.secret)
	cfg := consensus.Config{
		ID: name, Machine: machine.New(n.store, n.tree, chain, chunkSize), Signer: w.signer(), Verify: w.verify,
		Send: w.send, Wanted: n.wanted, Begins: w.begins,
		Offer: n.offer, Fetch: func(from uint64) { n.fetching = from }, Snapshot: func(seqno synod.SeqNo) { w.keep(n, seqno) },
		RecordChange: func(change, after []byte) (*machine.Prepared, error) { return w.record(n, change, after) },
		Tick:         tick, ElectionTimeout: electionTimeout, MessageTimeout: 4 * tick,
		SignatureTxCount: 20, SignatureDelay: 10 * tick, Quiet: tick, Hold: w.hold(),
		Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return w.now.Add(n.ahead) },
	}
	cfg.Machine.SnapshotEvery(snapshotEvery)
	n.machine = cfg.Machine
	start := &consensus.Start{Configuration: consensus.Founding(1)}
	switch {
	case source == nil:
		cfg.Create = func() (*machine.Prepared, error) {
			tx := n.store.Begin()
			tx.Put(members, key(name), []byte(trusted))
			return machine.Prepare(tx, [32]byte{}), nil
		}
	case w.bySnapshot():
		at := source.Committed()
		if w.cfg.Bug == UnsignedSnapshot {
			at = source.store.Tip()
		}
		i, err := w.imageOf(source, at)
		if err != nil {
			return err
		}
		if i != nil {
			if err := i.load(n.store); err != nil {
				return err
			}
			tree, err := i.newTree()
			if err != nil {
				return err
			}
			n.tree.Adopt(tree)
			n.begun, n.image, start = i.After.SeqNo, i, &i.Start
			cfg.Machine.Begin(n.begun)
			w.result.Snapshots++
		}
	}
	var err error
	if n.log, err = n.openLog(n.disk); err != nil {
		return err
	}
	cfg.Log = n.log
	r, err := consensus.New(cfg)
	if err != nil {
		return err
	}
	if source != nil {
		if err := r.Join(start); err != nil {
			return err
		}
	}
	if n.Driver, err = consensus.Drive(r); err != nil {
		return err
	}
	n.checked, n.durable = n.begun, start.After
	if err := w.believed(name, start.After); err != nil {
		return err
	}
	w.nodes = append(w.nodes, n)
	w.cfg.Trace("node %d begins after %s", name, start.After)
	return nil
}

// believed sees that a node goes on after a state that the service vouches for.
func (w *world) believed(name uint64, at synod.TxID) error {
	if at.SeqNo > 0 && (w.seen.views[at.SeqNo] != at.View || !w.log.signed[at.SeqNo]) {
		return fmt.Errorf("node %d begins with the state after %s, which is no committed signature", name, at)
	}
	return nil
}

// bySnapshot says whether the next node begins with a snapshot.
func (w *world) bySnapshot() bool {
	if w.snapshot != nil {
		return *w.snapshot
	}
	return w.rng.IntN(2) == 0
}

func (n *node) openLog(disk *faultfs.Disk) (*ledger.Log, error) {
	return ledger.Open(ledger.Config{Dir: "ledger", FS: disk, After: n.begun, Log: slog.New(slog.DiscardHandler)})
}

func key(name uint64) []byte { return []byte(strconv.FormatUint(name, 10)) }

// wanted is the membership that the committed table asks for.
func (n *node) wanted() consensus.Membership { return n.wantedAt(n.store.Compacted().SeqNo) }

func (n *node) wantedAt(seqno synod.SeqNo) consensus.Membership {
	tx, err := n.store.BeginAt(seqno)
	if err != nil {
		return nil
	}
	defer tx.Release()
	m := consensus.Membership{}
	tx.ForEach(members, func(k, v []byte) bool {
		name, err := strconv.ParseUint(string(k), 10, 64)
		if err == nil && string(v) != gone {
			m[name] = string(v) == trusted
		}
		return true
	})
	if len(m) == 0 {
		return nil
	}
	return m
}

// record makes the transaction that records a change of the configuration.
func (w *world) record(n *node, change, after []byte) (*machine.Prepared, error) {
	const kept = 3
	c := &pb.ConfState{}
	if err := proto.Unmarshal(after, c); err != nil {
		return nil, err
	}
	w.proposed = append([]*pb.ConfState{c}, w.proposed[:min(len(w.proposed), kept-1)]...)
	tx := n.store.Begin()
	err := tables.PutJSON(tx, tables.Raft, tables.UnitKey(), tables.RaftConfig{ConfChange: change, ConfState: after})
	return machine.Prepare(tx, [32]byte{}), err
}

// begins is after which entry a node's log begins.
func (w *world) begins(name uint64) synod.SeqNo {
	if n := w.named(name); n != nil {
		return n.begun
	}
	return 0
}

// hold has some seeds hold back what tells of commit alone, for no time that could
// be measured: until the next thing that happens.
func (w *world) hold() time.Duration {
	if w.cfg.Seed%8 >= 4 {
		return time.Nanosecond
	}
	return 0
}

// put orders one write of a client.
func (n *node) put(k, v []byte) (synod.TxID, error) {
	return n.order(func(tx *kv.Tx) {
		tx.Get(records, k)
		tx.Put(records, k, v)
	})
}

func (n *node) order(run func(*kv.Tx)) (synod.TxID, error) {
	tx := n.store.Begin()
	defer tx.Release()
	run(tx)
	return n.Order(machine.Prepare(tx, [32]byte{}), n.awaits)
}
