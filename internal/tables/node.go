package tables

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"synod"
)

// NodeStatus is a node's place in the service
// (CCF: include/ccf/service/node_info.h).
type NodeStatus string

// The statuses of a node.
const (
	NodePending NodeStatus = "Pending"
	NodeTrusted NodeStatus = "Trusted"
	NodeRetired NodeStatus = "Retired"
)

// NodeInfo is one row of Nodes (CCF: include/ccf/service/node_info.h). Its
// JSON form also has the six host and port strings of CCF 1.x, which are
// derived from the interfaces and ignored on reading.
type NodeInfo struct {
	CertificateSigningRequest    string          // PEM, or ""
	CodeDigest                   string          // hex measurement, or ""
	EncryptionPubKey             string          // PEM, RSA-2048
	LedgerSecretSeqno            *uint64         // seqno of the latest ledger secret when the node was trusted
	NodeData                     json.RawMessage // nil if none
	NodeToNodeInterface          NetInterface
	PublicKey                    string // PEM, or ""
	QuoteInfo                    QuoteInfo
	RetiredCommitted             bool
	RPCInterfaces                map[string]NetInterface
	Status                       NodeStatus
	WillLocallySealLedgerSecrets bool
}

type nodeInfoJSON struct {
	CertificateSigningRequest    string                  `json:"certificate_signing_request,omitempty"`
	CodeDigest                   string                  `json:"code_digest,omitempty"`
	EncryptionPubKey             string                  `json:"encryption_pub_key"`
	LedgerSecretSeqno            *uint64                 `json:"ledger_secret_seqno,omitempty"`
	NodeData                     json.RawMessage         `json:"node_data,omitempty"`
	NodeToNodeInterface          NetInterface            `json:"node_to_node_interface"`
	NodeHost                     string                  `json:"nodehost"`
	NodePort                     string                  `json:"nodeport"`
	PubHost                      string                  `json:"pubhost"`
	PublicKey                    string                  `json:"public_key,omitempty"`
	PubPort                      string                  `json:"pubport"`
	QuoteInfo                    QuoteInfo               `json:"quote_info"`
	RetiredCommitted             bool                    `json:"retired_committed,omitempty"`
	RPCInterfaces                map[string]NetInterface `json:"rpc_interfaces"`
	RPCHost                      string                  `json:"rpchost"`
	RPCPort                      string                  `json:"rpcport"`
	Status                       NodeStatus              `json:"status"`
	WillLocallySealLedgerSecrets bool                    `json:"will_locally_seal_ledger_secrets,omitempty"`
}

// MarshalJSON derives the strings of CCF 1.x from the node-to-node interface
// and the first RPC interface by name.
func (n NodeInfo) MarshalJSON() ([]byte, error) {
	j := nodeInfoJSON{
		CertificateSigningRequest: n.CertificateSigningRequest, CodeDigest: n.CodeDigest,
		EncryptionPubKey: n.EncryptionPubKey, LedgerSecretSeqno: n.LedgerSecretSeqno,
		NodeData: dropNull(n.NodeData), NodeToNodeInterface: n.NodeToNodeInterface,
		PublicKey: n.PublicKey, QuoteInfo: n.QuoteInfo, RetiredCommitted: n.RetiredCommitted,
		RPCInterfaces: n.RPCInterfaces, Status: n.Status,
		WillLocallySealLedgerSecrets: n.WillLocallySealLedgerSecrets,
	}
	if j.RPCInterfaces == nil {
		j.RPCInterfaces = map[string]NetInterface{}
	}
	j.NodeHost, j.NodePort = SplitAddress(n.NodeToNodeInterface.BindAddress)
	if len(n.RPCInterfaces) > 0 {
		first := n.RPCInterfaces[slices.Min(slices.Collect(maps.Keys(n.RPCInterfaces)))]
		j.RPCHost, j.RPCPort = SplitAddress(first.BindAddress)
		j.PubHost, j.PubPort = SplitAddress(first.PublishedAddress)
	}
	return Marshal(j)
}

// UnmarshalJSON reads the row.
func (n *NodeInfo) UnmarshalJSON(b []byte) error {
	var j nodeInfoJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*n = NodeInfo{
		CertificateSigningRequest: j.CertificateSigningRequest, CodeDigest: j.CodeDigest,
		EncryptionPubKey: j.EncryptionPubKey, LedgerSecretSeqno: j.LedgerSecretSeqno,
		NodeData: dropNull(j.NodeData), NodeToNodeInterface: j.NodeToNodeInterface,
		PublicKey: j.PublicKey, QuoteInfo: j.QuoteInfo, RetiredCommitted: j.RetiredCommitted,
		RPCInterfaces: j.RPCInterfaces, Status: j.Status,
		WillLocallySealLedgerSecrets: j.WillLocallySealLedgerSecrets,
	}
	return nil
}

// SplitAddress splits host and port at the last colon; without one, all is
// host.
func SplitAddress(address string) (host, port string) {
	i := strings.LastIndexByte(address, ':')
	if i < 0 {
		return address, ""
	}
	return address[:i], address[i+1:]
}

// NetInterface is one interface of a node as its configuration says it: only
// what was set there is present, sizes are the same strings
// (CCF: include/ccf/service/node_info_network.h).
type NetInterface struct {
	AcceptedEndpoints   []string           `json:"accepted_endpoints,omitzero"` // regular expressions; nil accepts everything
	AppProtocol         string             `json:"app_protocol,omitempty"`
	BindAddress         string             `json:"bind_address"`
	Endorsement         *Endorsement       `json:"endorsement,omitempty"`
	ForwardingTimeoutMS *uint64            `json:"forwarding_timeout_ms,omitempty"`
	HTTPConfiguration   *HTTPConfiguration `json:"http_configuration,omitempty"`
	MaxOpenSessionsHard *uint64            `json:"max_open_sessions_hard,omitempty"`
	MaxOpenSessionsSoft *uint64            `json:"max_open_sessions_soft,omitempty"`
	Protocol            string             `json:"protocol,omitempty"`
	PublishedAddress    string             `json:"published_address,omitempty"`
	Redirections        *Redirections      `json:"redirections,omitempty"`
}

// Endorsement says whose certificate an interface presents: Node, Service,
// ACME (dead) or Unsecured.
type Endorsement struct {
	Authority string `json:"authority"`
}

// HTTPConfiguration are an interface's parser limits; sizes are texts such as
// "1MB" (CCF: include/ccf/http_configuration.h).
type HTTPConfiguration struct {
	InitialWindowSize         string  `json:"initial_window_size,omitempty"`
	MaxBodySize               string  `json:"max_body_size,omitempty"`
	MaxConcurrentStreamsCount *uint64 `json:"max_concurrent_streams_count,omitempty"`
	MaxFrameSize              string  `json:"max_frame_size,omitempty"`
	MaxHeaderSize             string  `json:"max_header_size,omitempty"`
	MaxHeadersCount           *uint64 `json:"max_headers_count,omitempty"`
}

// Redirections says where requests go that this node cannot answer.
type Redirections struct {
	ToBackup  *RedirectionResolver `json:"to_backup,omitempty"`
	ToPrimary *RedirectionResolver `json:"to_primary,omitempty"`
}

// RedirectionResolver is one rule; Kind is NodeByRole or StaticAddress.
type RedirectionResolver struct {
	Kind   string          `json:"kind"`
	Target json.RawMessage `json:"target,omitempty"`
}

// QuoteInfo is a node's attestation (CCF: include/ccf/ds/quote_info.h).
// Format is AMD_SEV_SNP_v1, Insecure_Virtual or OE_SGX_v1.
type QuoteInfo struct {
	EndorsedTCB     string `json:"endorsed_tcb,omitempty"` // hex
	Endorsements    Bytes  `json:"endorsements"`
	Format          string `json:"format"`
	Quote           Bytes  `json:"quote"`
	UVMEndorsements Bytes  `json:"uvm_endorsements,omitempty"`
}

// RaftConfig is the row of Raft: the change that this entry makes, the
// configuration after it, and which raft identifier each node has or had.
type RaftConfig struct {
	ConfChange Bytes                   `json:"conf_change"` // raftpb.ConfChangeV2, empty in a service's first transaction
	ConfState  Bytes                   `json:"conf_state"`  // raftpb.ConfState
	Founder    synod.NodeID            `json:"founder"`     // whose configuration of itself alone the service began with
	Nodes      map[synod.NodeID]uint64 `json:"nodes"`
}
