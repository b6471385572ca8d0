package node

import (
	"slices"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"synod"
	"synod/app"
	"synod/internal/consensus"
	"synod/internal/tables"
)

// configuration is the nodes of raft's newest configuration and their
// node-to-node addresses, learners left out.
func (n *Node) configuration(conf *pb.ConfState) map[string]any {
	nodes := map[string]any{}
	for _, name := range slices.Concat(conf.GetVoters(), conf.GetVotersOutgoing()) {
		if id, ok := n.roster.named(name); ok {
			nodes[string(id)] = map[string]any{"address": n.addressOf(id)}
		}
	}
	return nodes
}

func (n *Node) addressOf(id synod.NodeID) string {
	if id == n.id.node {
		return n.peerAddress()
	}
	address, _ := n.roster.address(id)
	return address
}

func (n *Node) apiConfig(c *app.Context) error {
	return c.JSON(n.configuration(n.replica.Peers().Configuration))
}

// apiConsensus describes this node's part in consensus with CCF's fields
// (CCF: src/kv/kv_types.h, ConsensusDetails). acks is what a leader knows.
func (n *Node) apiConsensus(c *app.Context) error {
	role, status := n.replica.Role(), n.replica.Peers()
	phase := n.retirementPhase(status.Configuration)
	acks := map[string]any{}
	for name, p := range status.Peers {
		id, ok := n.roster.named(name)
		if !ok || id == n.id.node {
			continue
		}
		acks[string(id)] = map[string]any{"seqno": p.Match, "last_received_ms": max(time.Since(p.Heard).Milliseconds(), 0)}
	}
	details := map[string]any{
		"acks":         acks,
		"configs":      []any{map[string]any{"idx": 1, "rid": 1, "nodes": n.configuration(status.Configuration)}},
		"current_view": role.View, "leadership_state": n.leadership(role, phase), "membership_state": "Active",
		"primary_id": n.primaryOrNil(), "reconfiguration_type": "OneTransaction", "ticking": n.voting.Load(),
	}
	if phase != "" {
		details["membership_state"], details["retirement_phase"] = "Retired", phase
	}
	return c.JSON(map[string]any{"details": details})
}

// leadership is what this node does in consensus. One that is Pending or has
// left does nothing.
func (n *Node) leadership(role consensus.Role, phase string) string {
	switch {
	case *n.state.Load() == statePending || phase == retiredCommitted:
		return "None"
	case role.Leading:
		return "Leader"
	case role.Asking == consensus.AskingPreVotes:
		return "PreVoteCandidate"
	case role.Asking == consensus.AskingVotes:
		return "Candidate"
	}
	return "Follower"
}

// retiredCommitted is the last phase of a retirement.
const retiredCommitted = "RetiredCommitted"

// retirementPhase is how far this node's retirement is, "" if it is not
// retired: ordered, out of consensus, or known to be (CCF: src/kv/kv_types.h,
// RetirementPhase).
func (n *Node) retirementPhase(conf *pb.ConfState) string {
	info, ok := n.roster.get(n.id.node)
	if !ok || info.Status != tables.NodeRetired {
		return ""
	}
	if info.RetiredCommitted {
		return retiredCommitted
	}
	name, err := consensus.RaftID(n.id.node)
	if err == nil && slices.Contains(slices.Concat(conf.GetVoters(), conf.GetVotersOutgoing()), name) {
		return "Signed"
	}
	return "Completed"
}
