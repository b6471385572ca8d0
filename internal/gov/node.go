package gov

import (
	"encoding/hex"
	"encoding/json"

	"synod"
	"synod/app"
	"synod/internal/tables"
)

// nodeJSON is a node as the API shows it.
type nodeJSON struct {
	Certificate      string                   `json:"certificate,omitempty"` // PEM
	NodeData         any                      `json:"nodeData"`
	NodeID           synod.NodeID             `json:"nodeId"`
	QuoteInfo        map[string]any           `json:"quoteInfo"`
	RetiredCommitted bool                     `json:"retiredCommitted"`
	RPCInterfaces    map[string]interfaceJSON `json:"rpcInterfaces"`
	Status           tables.NodeStatus        `json:"status"`
}

type interfaceJSON struct {
	Protocol         string `json:"protocol,omitempty"` // HTTP1 or HTTP2
	PublishedAddress string `json:"publishedAddress"`
}

func describeNode(tx tables.Reader, id synod.NodeID, info tables.NodeInfo) (nodeJSON, error) {
	cert, _ := tx.Get(tables.NodeEndorsedCertificates, []byte(id))
	n := nodeJSON{
		Certificate: string(cert), NodeID: id, RetiredCommitted: info.RetiredCommitted,
		RPCInterfaces: map[string]interfaceJSON{}, Status: info.Status,
	}
	for name, i := range info.RPCInterfaces {
		published := i.PublishedAddress
		if published == "" {
			published = i.BindAddress
		}
		n.RPCInterfaces[name] = interfaceJSON{Protocol: i.AppProtocol, PublishedAddress: published}
	}
	var err error
	if n.NodeData, err = canonical(info.NodeData); err != nil {
		return n, err
	}
	n.QuoteInfo, err = describeQuote(info.QuoteInfo)
	return n, err
}

// describeQuote shows a node's attestation as its platform has it.
func describeQuote(q tables.QuoteInfo) (map[string]any, error) {
	shown := map[string]any{"format": q.Format}
	switch q.Format {
	case "Insecure_Virtual":
		var claims struct {
			Measurement json.RawMessage `json:"measurement"`
			ReportData  json.RawMessage `json:"report_data"`
			HostData    json.RawMessage `json:"host_data"`
		}
		if err := json.Unmarshal(q.Quote, &claims); err != nil {
			return nil, err
		}
		shown["rawQuote"] = q.Quote
		shown["details"] = map[string]json.RawMessage{
			"measurement": claims.Measurement, "reportData": claims.ReportData, "hostData": claims.HostData,
		}
	case "AMD_SEV_SNP_v1":
		if len(q.UVMEndorsements) > 0 {
			shown["uvmEndorsements"] = q.UVMEndorsements
		}
		if q.EndorsedTCB != "" {
			tcb, err := hex.DecodeString(q.EndorsedTCB)
			if err != nil {
				return nil, err
			}
			shown["endorsedTcb"] = tables.Bytes(tcb)
		}
	case "OE_SGX_v1":
		shown["quote"], shown["endorsements"] = q.Quote, q.Endorsements
	}
	return shown, nil
}

func (g *gov) listNodes(c *app.Context) error {
	list := []nodeJSON{}
	err := each(c.Tx(), tables.Nodes, func(id string, info tables.NodeInfo) error {
		n, err := describeNode(c.Tx(), synod.NodeID(id), info)
		list = append(list, n)
		return err
	})
	if err != nil {
		return broken(err)
	}
	return c.JSON(values(list))
}

func (g *gov) getNode(c *app.Context) error {
	id, err := pathID(c, "nodeId", "node")
	if err != nil {
		return err
	}
	info, ok, err := tables.GetJSON[tables.NodeInfo](c.Tx(), tables.Nodes, []byte(id))
	if err != nil {
		return broken(err)
	}
	if !ok {
		return synod.Errorf(404, synod.CodeResourceNotFound, "Node %s does not exist.", synod.NodeID(id))
	}
	n, err := describeNode(c.Tx(), synod.NodeID(id), info)
	if err != nil {
		return broken(err)
	}
	return c.JSON(n)
}
