package node

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"synod"
	"synod/internal/consensus"
	"synod/internal/kv"
	"synod/internal/machine"
	"synod/internal/tables"
)

// recordChange makes the transaction that is a change of raft's configuration.
func (n *Node) recordChange(change, after []byte) (*machine.Prepared, error) {
	tx := n.store.Begin()
	row, _, err := tables.GetJSON[tables.RaftConfig](tx, tables.Raft, tables.UnitKey())
	if err == nil {
		row.ConfChange, row.ConfState = change, after
		err = n.nameNodes(&row)
	}
	if err == nil {
		// A fresh transaction: it reads nothing, and so it cannot conflict.
		tx.Release()
		tx = n.store.Begin()
		err = tables.PutJSON(tx, tables.Raft, tables.UnitKey(), row)
	}
	if err != nil {
		tx.Release()
		return nil, err
	}
	return machine.Prepare(tx, [32]byte{}), nil
}

// nameNodes notes raft's names of the nodes that there are.
func (n *Node) nameNodes(row *tables.RaftConfig) error {
	if row.Nodes == nil {
		row.Nodes = map[synod.NodeID]uint64{}
	}
	for _, id := range append(n.roster.trusted(), n.id.node) {
		name, err := consensus.RaftID(id)
		if err != nil {
			return err
		}
		row.Nodes[id] = name
	}
	return nil
}

// foundingRow is the configuration that a service begins with.
func (n *Node) foundingRow() (tables.RaftConfig, error) {
	name, err := consensus.RaftID(n.id.node)
	if err != nil {
		return tables.RaftConfig{}, err
	}
	row := tables.RaftConfig{ConfState: consensus.Founding(name), Founder: n.id.node}
	return row, n.nameNodes(&row)
}

// onNodes follows the committed node table.
func (n *Node) onNodes(id synod.TxID, w kv.MapWrites) {
	removed, err := n.roster.apply(w)
	if err != nil {
		n.fail("node table", id, err)
		return
	}
	for _, gone := range removed {
		n.links.Forget(gone)
	}
	n.nudge()
}

// onConfiguration follows raft's committed configuration. A node opens its
// client interfaces once it votes.
func (n *Node) onConfiguration(id synod.TxID, w kv.MapWrites) {
	for _, row := range w.Writes {
		var config tables.RaftConfig
		if err := json.Unmarshal(row.Value, &config); err != nil {
			n.fail("configuration", id, err)
			return
		}
		conf := &pb.ConfState{}
		if err := proto.Unmarshal(config.ConfState, conf); err != nil {
			n.fail("configuration", id, err)
			return
		}
		n.voters.Store(conf)
		if name, err := consensus.RaftID(n.id.node); err == nil && slices.Contains(conf.GetVoters(), name) {
			n.voting.Store(true)
			n.present()
		}
	}
	n.nudge()
}

// nudge makes keepMembership look.
func (n *Node) nudge() {
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

// keepEvery is how often a leader looks for retirements to complete, besides
// when something changed: a new leader takes over what the last had begun.
const keepEvery = 500 * time.Millisecond

// keepMembership keeps this node, once it votes, connected to the others. While it
// leads, it opens a recovered service and completes retirements: once consensus
// counts no more on a node, and that is committed, all may know that it is gone.
func (n *Node) keepMembership(ctx context.Context) error {
	ticker := time.NewTicker(keepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-n.changed:
		}
		if n.voting.Load() {
			for _, id := range n.roster.trusted() {
				n.links.Connect(id)
			}
		}
		if !n.replica.Role().Leading {
			continue
		}
		n.keepResuming(ctx)
		n.keepOpening(ctx)
		if err := n.completeRetirements(); err != nil && !errors.Is(err, consensus.ErrNotPrimary) && !errors.Is(err, consensus.ErrStopped) {
			n.log.LogAttrs(ctx, slog.LevelWarn, "retirement not recorded", slog.String("err", err.Error()))
		}
	}
}

func (n *Node) completeRetirements() error {
	conf := n.voters.Load()
	if conf == nil || len(conf.GetVotersOutgoing()) > 0 {
		return nil
	}
	var done []synod.NodeID
	for _, id := range n.roster.retiring() {
		if name, err := consensus.RaftID(id); err == nil && !slices.Contains(conf.GetVoters(), name) {
			done = append(done, id)
		}
	}
	if len(done) == 0 {
		return nil
	}
	return n.write(func(tx *kv.Tx) error {
		for _, id := range done {
			info, ok, err := tables.GetJSON[tables.NodeInfo](tx, tables.Nodes, []byte(id))
			if err != nil {
				return err
			}
			if !ok || info.Status != tables.NodeRetired || info.RetiredCommitted {
				continue
			}
			info.RetiredCommitted = true
			if err := tables.PutJSON(tx, tables.Nodes, []byte(id), info); err != nil {
				return err
			}
		}
		return nil
	})
}

// write runs a transaction of the node's own, again if it conflicts.
func (n *Node) write(f func(*kv.Tx) error) error {
	for {
		err := n.tryWrite(f)
		if !errors.Is(err, kv.ErrConflict) {
			return err
		}
	}
}

func (n *Node) tryWrite(f func(*kv.Tx) error) error {
	tx := n.store.Begin()
	defer tx.Release()
	if err := f(tx); err != nil || !tx.Written() {
		return err
	}
	_, err := n.replica.Submit(machine.Prepare(tx, [32]byte{}))
	return err
}
