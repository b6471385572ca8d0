package frontend

import (
	"context"
	"errors"

	"synod"
	"synod/internal/consensus"
	"synod/internal/machine"
)

func (n *fakeNode) Role() consensus.Role {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.role
}

func (n *fakeNode) Submit(p *machine.Prepared) (synod.TxID, error) {
	n.mu.Lock()
	hook := n.onSubmit
	n.onSubmit = nil
	n.mu.Unlock()
	if hook != nil {
		hook()
	}
	role := n.Role()
	if !role.Leading {
		return synod.TxID{}, consensus.ErrNotPrimary
	}
	s := n.service
	s.mu.Lock()
	defer s.mu.Unlock()
	o := ordered{synod.TxID{View: role.View, SeqNo: synod.SeqNo(len(n.ids) + 1)}, p.WriteSet()}
	n.put(o)
	if s.primary == n.id {
		s.log = append(s.log, o)
	}
	return o.id, nil
}

func (n *fakeNode) SubmitAndWait(ctx context.Context, p *machine.Prepared, wantProof bool) (synod.TxID, synod.TxStatus, *consensus.Proof, error) {
	id, err := n.Submit(p)
	if err != nil {
		return id, "", nil, err
	}
	_, proof, _ := n.WaitCommitted(ctx, id, wantProof)
	return id, n.Status(id), proof, nil
}

func (n *fakeNode) WaitCommitted(ctx context.Context, id synod.TxID, _ bool) (synod.TxStatus, *consensus.Proof, error) {
	for {
		n.service.mu.Lock()
		moved := n.service.moved
		n.service.mu.Unlock()
		if status := n.Status(id); status == synod.TxCommitted || status == synod.TxInvalid {
			return status, nil, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return "", nil, ctx.Err()
		}
	}
}

func (n *fakeNode) Committed() synod.TxID {
	n.service.mu.Lock()
	defer n.service.mu.Unlock()
	return n.committed()
}

func (n *fakeNode) committed() synod.TxID {
	if n.known == 0 {
		return synod.TxID{}
	}
	return n.ids[n.known-1]
}

func (n *fakeNode) Status(id synod.TxID) synod.TxStatus {
	n.service.mu.Lock()
	defer n.service.mu.Unlock()
	var view synod.View
	if id.SeqNo != 0 && int(id.SeqNo) <= len(n.ids) {
		view = n.ids[id.SeqNo-1].View
	}
	return synod.StatusOf(id, view, n.committed())
}

func (n *fakeNode) Uncommitted() int                    { return 0 }
func (n *fakeNode) ViewHistory(synod.View) []synod.TxID { return nil }
func (n *fakeNode) Interest()                           {}

func (n *fakeNode) Primary() (synod.NodeID, bool) {
	n.service.mu.Lock()
	defer n.service.mu.Unlock()
	return n.leader, n.leader != "" && n.leader != n.id
}

func (n *fakeNode) Address(id synod.NodeID, iface string) (string, bool) {
	if _, ok := n.service.nodes[id].ifaces[iface]; !ok {
		return "", false
	}
	return string(id) + "." + iface + ":443", true
}

func (n *fakeNode) Backups() []synod.NodeID {
	var list []synod.NodeID
	for id := range n.service.nodes {
		if id != n.id {
			list = append(list, id)
		}
	}
	return list
}

func (n *fakeNode) Forward(ctx context.Context, to synod.NodeID, request []byte) ([]byte, error) {
	n.mu.Lock()
	n.asked++
	l := n.link
	n.mu.Unlock()
	if l == linkDown {
		return nil, ErrUnreachable
	}
	if l == linkLosesAsk {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	answer := n.service.nodes[to].HandleForwarded(context.Background(), n.id, request)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	switch l {
	case linkLosesAnswer:
		<-ctx.Done()
		return nil, ctx.Err()
	case linkBreaks:
		return nil, context.Canceled
	case linkGarbles:
		return answer[:len(answer)-1], nil
	default:
		return answer, nil
	}
}

func (n *fakeNode) ReadIndex(ctx context.Context) (synod.SeqNo, error) {
	n.mu.Lock()
	isolated := n.isolated
	n.mu.Unlock()
	if isolated {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	s := n.service
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.Role().View != s.view || s.primary == "" {
		return 0, errors.New("no majority is of this view")
	}
	n.install()
	return synod.SeqNo(n.known), nil
}

// set changes how a node is connected.
func (n *fakeNode) set(change func(n *fakeNode)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(n)
}

// forwardings is how often the node forwarded.
func (n *fakeNode) forwardings() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked
}
