package sim

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"strconv"
	"time"

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
	records = "public:sim.records"
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
	up      bool
	checked synod.SeqNo // committed entries that were compared
}

const tick = 10 * time.Millisecond

// add makes a node: the founder, or one that takes the log from its beginning.
func (w *world) add(founder bool) error {
	w.last++
	name := w.last
	if w.cfg.Bug == ReuseName && !founder {
		for _, n := range w.nodes {
			if !n.up && n.name != 1 {
				name = n.name
			}
		}
	}
	return w.make(name, founder)
}

func (w *world) make(name uint64, founder bool) error {
	log, err := ledger.Open(ledger.Config{Dir: "ledger", FS: faultfs.New(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	chain := secrets.NewChain()
	chain.Set(1, w.secret)
	n := &node{name: name, store: kv.New(), tree: evidence.NewTree(), log: log, up: true}
	cfg := consensus.Config{
		ID: name, Log: log, Machine: machine.New(n.store, n.tree, chain, 4<<10), Signer: &signer{w},
		Send: w.send, Wanted: n.wanted, RecordChange: n.record,
		Tick: tick, ElectionTimeout: 400 * time.Millisecond, MessageTimeout: 4 * tick,
		SignatureTxCount: 20, SignatureDelay: 10 * tick, Quiet: tick,
		Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return w.now },
	}
	if founder {
		cfg.Create = func() (*machine.Prepared, error) {
			tx := n.store.Begin()
			tx.Put(members, key(name), []byte(trusted))
			return machine.Prepare(tx, [32]byte{}), nil
		}
	}
	r, err := consensus.New(cfg)
	if err != nil {
		return err
	}
	if !founder {
		if err := r.Join(&consensus.Start{Configuration: consensus.Founding(1)}); err != nil {
			return err
		}
	}
	if n.Driver, err = consensus.Drive(r); err != nil {
		return err
	}
	w.nodes = append(w.nodes, n)
	w.cfg.Trace("node %d begins", name)
	return nil
}

func key(name uint64) []byte { return []byte(strconv.FormatUint(name, 10)) }

// wanted is the membership that the committed table asks for.
func (n *node) wanted() consensus.Membership {
	tx, err := n.store.BeginAt(n.store.Compacted().SeqNo)
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

func (n *node) record(change, after []byte) (*machine.Prepared, error) {
	tx := n.store.Begin()
	err := tables.PutJSON(tx, tables.Raft, tables.UnitKey(), tables.RaftConfig{ConfChange: change, ConfState: after})
	return machine.Prepare(tx, [32]byte{}), err
}

// put orders one write.
func (n *node) put(table string, k, v []byte) (synod.TxID, error) {
	tx := n.store.Begin()
	defer tx.Release()
	tx.Get(table, k)
	tx.Put(table, k, v)
	return n.Order(machine.Prepare(tx, [32]byte{}))
}

// signer makes signatures that cost nothing: the root is what counts here.
type signer struct{ w *world }

// Sign makes a signature transaction of CCF's form with empty signatures.
func (s *signer) Sign(id synod.TxID, root [32]byte, tree []byte) (*evidence.Signature, error) {
	if s.w.cfg.Bug == WrongRoot && id.SeqNo > 20 {
		root[0] ^= 1
	}
	rec := tables.SignatureRecord{Node: "sim", Root: hex.EncodeToString(root[:]), Seqno: id.SeqNo, View: id.View}
	row, err := json.Marshal(rec)
	if err != nil {
		return nil, err
	}
	unit := func(name string, v []byte) kv.MapWrites {
		return kv.MapWrites{Name: name, Writes: []kv.Write{{Key: tables.UnitKey(), Value: v}}}
	}
	cose := []byte(`"` + base64.StdEncoding.EncodeToString([]byte("sim")) + `"`)
	return &evidence.Signature{TxID: id, Record: rec, COSE: []byte("sim"), WriteSet: &kv.WriteSet{Maps: []kv.MapWrites{
		unit(tables.COSESignatures, cose), unit(tables.Signatures, row), unit(tables.Tree, tree),
	}}}, nil
}
