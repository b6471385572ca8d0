package node

// BreakLinks ends the connections with all other nodes; new ones are made as
// they are needed.
func (n *Node) BreakLinks() {
	for _, s := range n.links.Stats() {
		n.links.Forget(s.Peer)
	}
}
