package arm

import (
	"encoding/json"
	"errors"
	"net/http"
)

// The identity service: where a client that knows a network's name learns
// whom to trust. It asks for no authentication, as Azure's does not. It can lie
// about which network a name means; the evidence of the nodes and the service's
// own receipts are for those who do not want to take its word.

// identityOutput is the contract's answer and, beside it, what lets a client
// check more: it is reported here, and verified by the client.
type identityOutput struct {
	LedgerID    string         `json:"ledgerId"`
	Certificate string         `json:"ledgerTlsCertificate"` // PEM
	Previous    []Identity     `json:"previousIdentities"`   // before recoveries, oldest first
	Nodes       []nodeIdentity `json:"nodes"`
	// ConstitutionDigest is the SHA-256 of the constitution in force, in hex.
	ConstitutionDigest string `json:"constitutionDigest,omitempty"`
	AppURI             string `json:"appUri,omitempty"`
}

type nodeIdentity struct {
	NodeID   string          `json:"nodeId"`
	Address  string          `json:"address,omitempty"`
	Evidence json.RawMessage `json:"evidence,omitempty"`
}

// identity answers GET /ledgerIdentity/{name} in the shape of the data plane,
// whose errors have codes within. An api-version may be given and is not asked
// for.
func (s *Server) identity(c *call) error {
	name := c.params["name"]
	n, err := s.Store.NetworkNamed(c.r.Context(), name)
	switch {
	case errors.Is(err, ErrNotFound) || err == nil && n.Desired.Deleted:
		return s.identityMissing(c, CodeNotFound, "There is no network of that name.")
	case err != nil:
		return err
	case n.Status.ServiceCertificate == "":
		c.w.Header().Set("Retry-After", "1")
		return s.identityMissing(c, CodeResourceNotReady, "The network has no identity yet: it is being created.")
	}
	out := identityOutput{
		LedgerID: n.ID.Name, Certificate: n.Status.ServiceCertificate, Previous: n.Status.PreviousIdentities,
		Nodes: []nodeIdentity{}, ConstitutionDigest: n.Status.ConstitutionDigest, AppURI: n.Status.AppURI,
	}
	if out.Previous == nil {
		out.Previous = []Identity{}
	}
	for _, node := range n.Status.Nodes {
		if node.NodeID != "" && node.Role != RoleRetired {
			out.Nodes = append(out.Nodes, nodeIdentity{node.NodeID, node.Address, node.Evidence})
		}
	}
	return c.answer(http.StatusOK, out)
}

func (s *Server) identityMissing(c *call, code, message string) error {
	c.w.Header().Set("x-ms-error-code", code)
	return c.answer(http.StatusNotFound, map[string]any{"error": map[string]any{
		"code": code, "message": message, "innererror": map[string]string{"code": code},
	}})
}
