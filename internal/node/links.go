package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"synod"
	"synod/internal/config"
	"synod/internal/consensus"
	"synod/internal/evidence"
	"synod/internal/peer"
)

// newLinks makes this node's links with its peers.
func (n *Node) newLinks() *peer.Links {
	return peer.New(peer.Config{
		Self:        n.id.node,
		Certificate: func() *tls.Certificate { return n.peerCert.Load() },
		Service:     func() []*x509.Certificate { return []*x509.Certificate{n.service.current.Load().cert} },
		Peer:        n.roster.address,
		Addresses:   n.addresses,
		Stranger:    n.meetStranger,
		Message:     n.receive,
		Call: func(ctx context.Context, from synod.NodeID, request []byte) ([]byte, error) {
			return n.front.HandleForwarded(ctx, from, request), nil
		},
		Unreachable: n.unreachable,
		Logger:      n.log,
		Dial:        n.dialPeer,
	})
}

// dialPeer connects to a peer from the address of node_client_interface, by
// which operators can tell a node's own connections from others. A port in it
// does not count: one cannot serve several connections.
func (n *Node) dialPeer(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	if from := n.cfg.NodeClientInterface; from != "" {
		host, _, err := config.SplitAddress(from)
		if err != nil {
			return nil, fmt.Errorf("node_client_interface: %w", err)
		}
		ip, err := net.ResolveIPAddr("ip", host)
		if err != nil {
			return nil, fmt.Errorf("node_client_interface: %w", err)
		}
		d.LocalAddr = &net.TCPAddr{IP: ip.IP, Zone: ip.Zone}
	}
	return d.DialContext(ctx, network, address)
}

// send passes a message of consensus on.
func (n *Node) send(m *pb.Message) {
	to, ok := n.roster.named(m.GetTo())
	if !ok {
		return
	}
	b, err := proto.Marshal(m)
	if err != nil {
		panic("node: encode a message of consensus: " + err.Error()) // no required field is missing
	}
	n.links.Send(to, b)
}

// unreachable tells consensus that messages to a peer were lost.
func (n *Node) unreachable(to synod.NodeID) {
	if name, err := consensus.RaftID(to); err == nil {
		n.replica.Unreachable(name)
	}
}

// receive takes a message of consensus. Its sender must be who it says.
func (n *Node) receive(from synod.NodeID, b []byte) {
	m := &pb.Message{}
	if err := proto.Unmarshal(b, m); err != nil {
		return
	}
	if name, err := consensus.RaftID(from); err != nil || m.GetFrom() != name || m.GetType() == pb.MsgUnreachable {
		return
	}
	n.replica.Receive(m)
}

// verifySignature checks a signature of another node against the service's key.
// Those of services before this one are covered by its own. The verifying worker
// of consensus runs it.
func (n *Node) verifySignature(s *evidence.Signature) error {
	if uint64(s.TxID.SeqNo) < n.origin.Load() {
		return nil
	}
	if n.verifier == nil {
		n.verifier = evidence.NewVerifier(&n.service.key.PublicKey)
	}
	return n.verifier.Verify(s)
}

// primary is who leads, if this node knows.
func (n *Node) primary() (synod.NodeID, bool) {
	role := n.replica.Role()
	if role.Leading {
		return n.id.node, true
	}
	if role.Leader == 0 {
		return "", false
	}
	return n.roster.named(role.Leader)
}
