package node

import (
	"context"
	"errors"
	"fmt"

	"synod"
	"synod/internal/frontend"
	"synod/internal/peer"
)

// cluster is what routing may know of the other nodes.
type cluster struct{ n *Node }

// Primary is who leads, if it is another node.
func (c cluster) Primary() (synod.NodeID, bool) {
	id, ok := c.n.primary()
	return id, ok && id != c.n.id.node
}

// Address is where clients reach an interface of a node.
func (c cluster) Address(id synod.NodeID, iface string) (string, bool) {
	info, ok := c.n.roster.get(id)
	if !ok {
		return "", false
	}
	itf, ok := info.RPCInterfaces[iface]
	return itf.PublishedAddress, ok && itf.PublishedAddress != ""
}

// Backups are the other trusted nodes.
func (c cluster) Backups() []synod.NodeID {
	var list []synod.NodeID
	for _, id := range c.n.roster.trusted() {
		if id != c.n.id.node {
			list = append(list, id)
		}
	}
	return list
}

// Forward has another node answer a request.
func (c cluster) Forward(ctx context.Context, to synod.NodeID, request []byte) ([]byte, error) {
	answer, err := c.n.links.Call(ctx, to, request)
	if errors.Is(err, peer.ErrUnreachable) || errors.Is(err, peer.ErrBusy) || errors.Is(err, peer.ErrTooLarge) {
		return nil, fmt.Errorf("%w: %w", frontend.ErrUnreachable, err)
	}
	return answer, err
}

// ReadIndex confirms with a majority what a linearizable read must see.
func (c cluster) ReadIndex(ctx context.Context) (synod.SeqNo, error) {
	return c.n.replica.ReadIndex(ctx)
}
