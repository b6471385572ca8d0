package node

import (
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"synod"
	"synod/internal/consensus"
	"synod/internal/kv"
	"synod/internal/tables"
)

// roster is what this node knows of the service's nodes: the committed node
// table, and before it has that, what the node that let it join said. The
// replica goroutine changes it; any goroutine reads.
type roster struct {
	mu    sync.RWMutex
	nodes map[synod.NodeID]tables.NodeInfo // guarded by mu
	names map[uint64]synod.NodeID          // guarded by mu: by raft's name
	begun map[synod.NodeID]synod.SeqNo     // guarded by mu: after which entry a log begins, if not at 0
	// strangers are nodes that came while this one was away: guarded by mu
	strangers map[synod.NodeID]stranger

	wanted atomic.Pointer[consensus.Membership] // as the committed table asks for it; nil before it is known
}

func newRoster() *roster {
	return &roster{nodes: map[synod.NodeID]tables.NodeInfo{}, names: map[uint64]synod.NodeID{}, begun: map[synod.NodeID]synod.SeqNo{}, strangers: map[synod.NodeID]stranger{}}
}

// introduce adds nodes that this one was told of.
func (r *roster) introduce(addresses map[synod.NodeID]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, address := range addresses {
		r.put(id, tables.NodeInfo{Status: tables.NodeTrusted, NodeToNodeInterface: tables.NetInterface{PublishedAddress: address}})
	}
}

// put adds or replaces a node. The caller holds mu.
func (r *roster) put(id synod.NodeID, info tables.NodeInfo) {
	name, err := consensus.RaftID(id)
	if err != nil {
		return // join refuses such an ID
	}
	r.nodes[id], r.names[name] = info, id
}

// apply follows a committed change of the node table, and returns the nodes
// that it removed.
func (r *roster) apply(w kv.MapWrites) (removed []synod.NodeID, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, row := range w.Writes {
		var info tables.NodeInfo
		if err := json.Unmarshal(row.Value, &info); err != nil {
			return nil, err
		}
		r.put(synod.NodeID(row.Key), info)
		if info.Status != tables.NodePending {
			delete(r.strangers, synod.NodeID(row.Key))
		}
	}
	for _, key := range w.Removes {
		id := synod.NodeID(key)
		removed = append(removed, id)
		delete(r.nodes, id)
	}
	r.decide()
	return removed, nil
}

// start follows a committed change of where logs begin.
func (r *roster) start(w kv.MapWrites) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, row := range w.Writes {
		var seqno synod.SeqNo
		if err := json.Unmarshal(row.Value, &seqno); err != nil {
			return err
		}
		r.begun[synod.NodeID(row.Key)] = seqno
	}
	for _, key := range w.Removes {
		delete(r.begun, synod.NodeID(key))
	}
	return nil
}

// begins is after which entry the log of a node begins, by raft's name.
func (r *roster) begins(name uint64) synod.SeqNo {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.begun[r.names[name]]
}

// decide says who takes part: trusted nodes vote, retired ones go on getting
// every entry until all know that they are retired. The caller holds mu.
func (r *roster) decide() {
	m := consensus.Membership{}
	for id, info := range r.nodes {
		name, err := consensus.RaftID(id)
		if err != nil {
			continue
		}
		switch {
		case info.Status == tables.NodeTrusted:
			m[name] = true
		case info.Status == tables.NodeRetired && !info.RetiredCommitted:
			m[name] = false
		}
	}
	r.wanted.Store(&m)
}

// membership is what consensus should come to, nil if it is not known.
func (r *roster) membership() consensus.Membership {
	if m := r.wanted.Load(); m != nil {
		return *m
	}
	return nil
}

// get returns what is known of a node.
func (r *roster) get(id synod.NodeID) (tables.NodeInfo, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	info, ok := r.nodes[id]
	return info, ok
}

// named returns the node with a raft name.
func (r *roster) named(name uint64) (synod.NodeID, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	id, ok := r.names[name]
	return id, ok
}

// address is where a node may be reached by this one. Nodes that are not
// trusted yet are not spoken with, retired ones are until they are removed.
func (r *roster) address(id synod.NodeID) (string, bool) {
	info, ok := r.get(id)
	if !ok || info.Status == tables.NodePending {
		r.mu.RLock()
		defer r.mu.RUnlock()
		s, ok := r.strangers[id]
		return s.node, ok
	}
	address := info.NodeToNodeInterface.PublishedAddress
	if address == "" {
		address = info.NodeToNodeInterface.BindAddress
	}
	return address, address != ""
}

// addresses are those of every node that takes part.
func (r *roster) addresses() map[synod.NodeID]string {
	r.mu.RLock()
	ids := slices.Collect(maps.Keys(r.nodes))
	r.mu.RUnlock()
	list := map[synod.NodeID]string{}
	for _, id := range ids {
		if address, ok := r.address(id); ok {
			list[id] = address
		}
	}
	return list
}

// trusted are the trusted nodes, in order of ID.
func (r *roster) trusted() []synod.NodeID {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var list []synod.NodeID
	for id, info := range r.nodes {
		if info.Status == tables.NodeTrusted {
			list = append(list, id)
		}
	}
	slices.Sort(list)
	return list
}

// retiring are the retired nodes whose retirement is not recorded as complete.
func (r *roster) retiring() []synod.NodeID {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var list []synod.NodeID
	for id, info := range r.nodes {
		if info.Status == tables.NodeRetired && !info.RetiredCommitted {
			list = append(list, id)
		}
	}
	return list
}
