package node

import (
	"encoding/hex"
	"encoding/json"
	"errors"

	"synod"
	"synod/app"
	"synod/internal/tables"
)

// nodeJSON is a node as /node/network/nodes shows it.
func (n *Node) nodeJSON(tx app.Tx, id string, info tables.NodeInfo) map[string]any {
	written, _ := tx.VersionOfPreviousWrite(tables.Nodes, []byte(id))
	return map[string]any{
		"node_id": id, "status": info.Status, "rpc_interfaces": info.RPCInterfaces,
		"node_data": info.NodeData, "last_written": written,
		"primary": n.isPrimary(synod.NodeID(id)),
	}
}

func (n *Node) isPrimary(id synod.NodeID) bool {
	primary, ok := n.primary()
	return ok && id == primary
}

func (n *Node) apiNodes(c *app.Context) error {
	status, byStatus := c.Query("status")
	if byStatus && status != string(tables.NodePending) && status != string(tables.NodeTrusted) && status != string(tables.NodeRetired) {
		return errBadStatus(status)
	}
	host, byHost := c.Query("host")
	port, byPort := c.Query("port")
	nodes := []any{}
	err := tables.EachJSON(c.Tx(), tables.Nodes, func(id string, info tables.NodeInfo) bool {
		if byStatus && string(info.Status) != status {
			return true
		}
		if (byHost || byPort) && !listensAt(info, host, byHost, port, byPort) {
			return true
		}
		nodes = append(nodes, n.nodeJSON(c.Tx(), id, info))
		return true
	})
	if err != nil {
		return err
	}
	return c.JSON(map[string]any{"nodes": nodes})
}

func listensAt(info tables.NodeInfo, host string, byHost bool, port string, byPort bool) bool {
	for _, itf := range info.RPCInterfaces {
		h, p := tables.SplitAddress(itf.PublishedAddress)
		if (!byHost || h == host) && (!byPort || p == port) {
			return true
		}
	}
	return false
}

func (n *Node) apiNode(c *app.Context) error { return n.answerNode(c, c.Path("node_id")) }

func (n *Node) answerNode(c *app.Context, id string) error {
	info, ok, err := tables.GetJSON[tables.NodeInfo](c.Tx(), tables.Nodes, []byte(id))
	if err != nil {
		return err
	}
	if !ok {
		return errNodeNotFound()
	}
	return c.JSON(n.nodeJSON(c.Tx(), id, info))
}

func (n *Node) apiNodeSelf(c *app.Context) error {
	if c.Tx().Has(tables.Nodes, []byte(n.id.node)) {
		return n.answerNode(c, string(n.id.node))
	}
	info, err := n.nodeInfo()
	if err != nil {
		return err
	}
	return c.JSON(map[string]any{
		"node_id": n.id.node, "status": tables.NodePending, "rpc_interfaces": info.RPCInterfaces,
		"node_data": info.NodeData, "last_written": 0, "primary": false,
	})
}

func (n *Node) apiNodePrimary(c *app.Context) error {
	primary, ok := n.primary()
	if !ok {
		return synod.Errorf(500, synod.CodeInternalError, "Primary unknown")
	}
	return n.answerNode(c, string(primary))
}

// apiDeleteNode removes the record of a node whose retirement is complete, as
// the committed state says. It reads the newest state, too: what is deleted twice
// makes a ledger that CCF's tools refuse.
func (n *Node) apiDeleteNode(c *app.Context) error {
	id := c.Path("node_id")
	if !c.Tx().Has(tables.Nodes, []byte(id)) {
		return synod.Errorf(404, synod.CodeResourceNotFound, "No such node")
	}
	committed, err := n.store.BeginAt(n.store.Compacted().SeqNo)
	if err != nil {
		return err
	}
	defer committed.Release()
	info, _, err := tables.GetJSON[tables.NodeInfo](committed, tables.Nodes, []byte(id))
	if err != nil {
		return err
	}
	if info.Status != tables.NodeRetired || !info.RetiredCommitted {
		return synod.Errorf(400, synod.CodeNodeNotRetiredCommitted, "Node is not completely retired")
	}
	c.Tx().Delete(tables.Nodes, []byte(id))
	c.Tx().Delete(tables.NodeEndorsedCertificates, []byte(id))
	c.Tx().Delete(tables.NodeStarts, []byte(id))
	return c.JSON(true)
}

// apiRemovable lists the nodes that may be stopped and removed. Only what is
// committed counts: any primary from here on then knows that it must not count
// on them.
func (n *Node) apiRemovable(c *app.Context) error {
	committed, err := n.store.BeginAt(n.store.Compacted().SeqNo)
	if err != nil {
		return err
	}
	defer committed.Release()
	nodes := []any{}
	var failure error
	err = tables.EachJSON(c.Tx(), tables.Nodes, func(id string, _ tables.NodeInfo) bool {
		var info tables.NodeInfo
		if info, _, failure = tables.GetJSON[tables.NodeInfo](committed, tables.Nodes, []byte(id)); failure != nil {
			return false
		}
		if info.Status == tables.NodeRetired && info.RetiredCommitted {
			nodes = append(nodes, n.nodeJSON(committed, id, info))
		}
		return true
	})
	if err := errors.Join(err, failure); err != nil {
		return err
	}
	return c.JSON(map[string]any{"nodes": nodes})
}

// quoteJSON is a node's attestation as /node/quotes shows it.
func quoteJSON(id string, info tables.NodeInfo) map[string]any {
	q := map[string]any{
		"node_id": id, "raw": info.QuoteInfo.Quote, "endorsements": info.QuoteInfo.Endorsements,
		"format": info.QuoteInfo.Format, "measurement": measurementOf(info),
	}
	if info.QuoteInfo.UVMEndorsements != nil {
		q["uvm_endorsements"] = info.QuoteInfo.UVMEndorsements
	}
	return q
}

// measurementOf is the hex measurement of a node's row, or that in its virtual
// quote.
func measurementOf(info tables.NodeInfo) string {
	if info.CodeDigest != "" {
		return info.CodeDigest
	}
	var quote struct {
		Measurement string `json:"measurement"`
	}
	if json.Unmarshal(info.QuoteInfo.Quote, &quote) != nil {
		return ""
	}
	return hex.EncodeToString([]byte(quote.Measurement))
}

func (n *Node) apiQuoteSelf(c *app.Context) error {
	info, ok, err := tables.GetJSON[tables.NodeInfo](c.Tx(), tables.Nodes, []byte(n.id.node))
	if err != nil {
		return err
	}
	if !ok {
		return synod.Errorf(404, synod.CodeResourceNotFound, "Could not find node quote.")
	}
	return c.JSON(quoteJSON(string(n.id.node), info))
}

func (n *Node) apiQuotes(field string) app.Handler {
	return func(c *app.Context) error {
		list := []any{}
		err := tables.EachJSON(c.Tx(), tables.Nodes, func(id string, info tables.NodeInfo) bool {
			if info.Status == tables.NodeTrusted {
				list = append(list, quoteJSON(id, info))
			}
			return true
		})
		if err != nil {
			return err
		}
		return c.JSON(map[string]any{field: list})
	}
}
