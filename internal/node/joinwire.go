package node

import (
	"encoding/json"
	"fmt"

	"synod"
	"synod/internal/secrets"
	"synod/internal/tables"
)

// spokenJoins are the versions that this release speaks of what Synod adds to
// CCF's join protocol: its own and that of the release before, so that a service
// can be upgraded node by node.
var spokenJoins = joinVersions{Oldest: 1, Newest: 1}

// joinVersions is a range of versions.
type joinVersions struct {
	Oldest int `json:"oldest"`
	Newest int `json:"newest"`
}

// agree is the newest version that two ranges have in common.
func (v joinVersions) agree(other joinVersions) (version int, ok bool) {
	version = min(v.Newest, other.Newest)
	return version, version >= max(v.Oldest, other.Oldest)
}

// joinRequest is the body of POST /node/join
// (CCF: src/node/rpc/node_call_types.h, JoinNetworkNodeToNode).
type joinRequest struct {
	NodeInfoNetwork           tables.NodeInfo  `json:"node_info_network"` // only its addresses count
	QuoteInfo                 tables.QuoteInfo `json:"quote_info"`
	PublicEncryptionKey       string           `json:"public_encryption_key"`
	StartupSeqno              *uint64          `json:"startup_seqno"`
	CertificateSigningRequest string           `json:"certificate_signing_request"`
	NodeData                  json.RawMessage  `json:"node_data,omitempty"`
	Synod                     *joinVersions    `json:"synod,omitempty"` // that the node speaks
}

// joinResponse is its answer.
type joinResponse struct {
	NodeStatus  tables.NodeStatus `json:"node_status"`
	NodeID      synod.NodeID      `json:"node_id,omitempty"`
	NetworkInfo *networkInfo      `json:"network_info,omitempty"`
	Synod       *joinStart        `json:"synod,omitempty"`
}

// networkInfo is what a trusted node is told, the service's secrets among it.
type networkInfo struct {
	PublicOnly             bool           `json:"public_only"`
	LastRecoveredSignedIdx uint64         `json:"last_recovered_signed_idx"`
	LedgerSecrets          []joinSecret   `json:"ledger_secrets"`
	Identity               joinIdentity   `json:"identity"`
	ServiceStatus          string         `json:"service_status,omitempty"`
	EndorsedCertificate    string         `json:"endorsed_certificate,omitempty"`
	COSESignaturesConfig   joinSignatures `json:"cose_signatures_config"`
}

type joinIdentity struct {
	Cert    string `json:"cert"`
	PrivKey string `json:"priv_key"`
}

type joinSignatures struct {
	Issuer  string `json:"issuer"`
	Subject string `json:"subject"`
}

// joinSecret is a ledger secret with the first seqno that it seals: a pair in
// JSON.
type joinSecret struct {
	From                        synod.SeqNo
	RawKey                      tables.Bytes
	PreviousSecretStoredVersion *uint64
}

func (s *joinSecret) entry() secrets.Entry {
	e := secrets.Entry{From: s.From, Secret: secrets.SecretFrom([secrets.Size]byte(s.RawKey))}
	if s.PreviousSecretStoredVersion != nil {
		e.StoredAt = synod.SeqNo(*s.PreviousSecretStoredVersion)
	}
	return e
}

type joinSecretBody struct {
	RawKey                      tables.Bytes `json:"raw_key"`
	PreviousSecretStoredVersion *uint64      `json:"previous_secret_stored_version,omitempty"`
}

// MarshalJSON writes the pair.
func (s joinSecret) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{s.From, joinSecretBody{s.RawKey, s.PreviousSecretStoredVersion}})
}

// UnmarshalJSON reads the pair.
func (s *joinSecret) UnmarshalJSON(b []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(b, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return fmt.Errorf("a ledger secret is a pair, not %d values", len(pair))
	}
	var body joinSecretBody
	if err := json.Unmarshal(pair[1], &body); err != nil {
		return err
	}
	if len(body.RawKey) != secrets.Size {
		return fmt.Errorf("a ledger secret has %d bytes, not %d", secrets.Size, len(body.RawKey))
	}
	s.RawKey, s.PreviousSecretStoredVersion = body.RawKey, body.PreviousSecretStoredVersion
	return json.Unmarshal(pair[0], &s.From)
}

// joinStart is what Synod adds: how consensus begins on the new node, and whom
// it may speak with before it has the node table.
type joinStart struct {
	Version       int                     `json:"version"`       // the newest that both speak
	Configuration tables.Bytes            `json:"configuration"` // raftpb.ConfState before the log's first entry
	Peers         map[synod.NodeID]string `json:"peers"`         // node-to-node addresses
	Origin        synod.SeqNo             `json:"origin"`        // the service's first transaction
}
