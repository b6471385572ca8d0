package frontend

import (
	"context"
	"errors"
	"time"

	"synod"
	"synod/internal/config"
	"synod/internal/consensus"
	"synod/internal/machine"
)

// ErrUnreachable says that a request was not forwarded: no byte of it left
// this node, so it may be sent again.
var ErrUnreachable = errors.New("no connection to the node")

// Cluster is what routing knows of the other nodes. All methods are safe for
// concurrent use and do not block, except Forward and ReadIndex.
type Cluster interface {
	// Primary is who leads, if that is known and not this node.
	Primary() (synod.NodeID, bool)
	// Address is the published address (host:port) of a trusted node's
	// interface of that name.
	Address(id synod.NodeID, iface string) (string, bool)
	// Backups are the trusted nodes other than this one.
	Backups() []synod.NodeID
	// Forward has a node answer a request by Server.HandleForwarded and
	// returns its answer. Errors: ErrUnreachable if nothing was sent; any
	// other, such as ctx's, if the request may have been executed. An answer
	// that comes later is dropped.
	Forward(ctx context.Context, to synod.NodeID, request []byte) ([]byte, error)
	// ReadIndex confirms with a majority who leads and returns the service's
	// commit that a linearizable read must see, once this node has it too.
	ReadIndex(ctx context.Context) (synod.SeqNo, error)
}

// Replica is what the front end needs of consensus; *consensus.Replica has it.
// Role must say that a node no longer leads before the store forgets what
// that node had ordered: sessions rely on it.
type Replica interface {
	Role() consensus.Role
	Submit(p *machine.Prepared) (synod.TxID, error)
	SubmitAndWait(ctx context.Context, p *machine.Prepared, wantProof bool) (synod.TxID, synod.TxStatus, *consensus.Proof, error)
	WaitCommitted(ctx context.Context, id synod.TxID, wantProof bool) (synod.TxStatus, *consensus.Proof, error)
	Committed() synod.TxID
	Uncommitted() int
	Status(id synod.TxID) synod.TxStatus
	ViewHistory(since synod.View) []synod.TxID
	Interest()
}

var _ Replica = (*consensus.Replica)(nil)

// patience is how long a request of an interface waits for other nodes.
func (s *Server) patience(iface string) time.Duration {
	if i, ok := s.cfg.Interfaces[iface]; ok {
		return i.ForwardingTimeout
	}
	return config.DefaultForwardingTimeout
}
