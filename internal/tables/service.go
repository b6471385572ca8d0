package tables

import (
	"encoding/json"

	"synod"
)

// ServiceStatus is a service's place in its life
// (CCF: include/ccf/service/tables/service.h).
type ServiceStatus string

// The statuses of a service.
const (
	ServiceOpening                  ServiceStatus = "Opening"
	ServiceOpen                     ServiceStatus = "Open"
	ServiceWaitingForRecoveryShares ServiceStatus = "WaitingForRecoveryShares"
	ServiceRecovering               ServiceStatus = "Recovering"
)

// ServiceInfo is the row of Service
// (CCF: include/ccf/service/tables/service.h).
type ServiceInfo struct {
	Cert                           string          `json:"cert"` // PEM
	CurrentServiceCreateTxID       *synod.TxID     `json:"current_service_create_txid,omitempty"`
	PreviousServiceIdentityVersion *uint64         `json:"previous_service_identity_version,omitempty"` // seqno; after a recovery
	RecoveryCount                  *uint64         `json:"recovery_count,omitempty"`                    // 0 on the first service
	ServiceData                    json.RawMessage `json:"service_data,omitempty"`
	Status                         ServiceStatus   `json:"status"`
}

// UnmarshalJSON reads the row; a null service_data is none.
func (s *ServiceInfo) UnmarshalJSON(b []byte) error {
	type plain ServiceInfo
	var p plain
	if err := json.Unmarshal(b, &p); err != nil {
		return err
	}
	p.ServiceData = dropNull(p.ServiceData)
	*s = ServiceInfo(p)
	return nil
}

// What holds where ServiceConfig says nothing
// (CCF: src/service/tables/config.h).
const (
	DefaultNodeCertDays          = 365
	DefaultServiceCertDays       = 365
	DefaultRecentProposalsWindow = 100
)

// ServiceConfig is the row of ServiceConfiguration
// (CCF: src/service/tables/config.h). Days are whole days of 24 h.
type ServiceConfig struct {
	Consensus                             string  `json:"consensus,omitempty"` // CFT
	MaximumNodeCertificateValidityDays    *uint64 `json:"maximum_node_certificate_validity_days,omitempty"`
	MaximumServiceCertificateValidityDays *uint64 `json:"maximum_service_certificate_validity_days,omitempty"`
	RecentCOSEProposalsWindowSize         *uint64 `json:"recent_cose_proposals_window_size,omitempty"`
	ReconfigurationType                   string  `json:"reconfiguration_type,omitempty"`
	RecoveryThreshold                     uint64  `json:"recovery_threshold"`
}

// SignatureRecord is the row of Signatures
// (CCF: src/service/tables/signatures.h, node_signature.h).
type SignatureRecord struct {
	Cert        string       `json:"cert,omitempty"` // PEM, service-endorsed certificate of the signing node
	CommitSeqno uint64       `json:"commit_seqno"`   // always 0
	CommitView  uint64       `json:"commit_view"`    // always 0
	HashedNonce string       `json:"hashed_nonce"`   // 64 zeros
	Node        synod.NodeID `json:"node"`
	Root        string       `json:"root"` // hex, over 0..Seqno-1
	Seqno       synod.SeqNo  `json:"seqno"`
	Sig         Bytes        `json:"sig"` // DER ECDSA over the root as digest
	View        synod.View   `json:"view"`
}

// SnapshotEvidence is the row of Snapshots
// (CCF: src/service/tables/snapshot_evidence.h).
type SnapshotEvidence struct {
	Hash    string      `json:"hash"` // hex SHA-256 of the snapshot
	Version synod.SeqNo `json:"version"`
}

// COSEEndorsement is the row of ServiceEndorsement
// (CCF: src/service/tables/previous_service_identity.h). End and
// PreviousVersion are absent when a service endorses itself.
type COSEEndorsement struct {
	Endorsement           Bytes       `json:"endorsement"` // COSE_Sign1
	EndorsementEpochBegin synod.TxID  `json:"endorsement_epoch_begin"`
	EndorsementEpochEnd   *synod.TxID `json:"endorsement_epoch_end,omitempty"`
	EndorsingKey          Bytes       `json:"endorsing_key"` // DER SPKI
	PreviousVersion       *uint64     `json:"previous_version,omitempty"`
}

// RecoveryType is the row of LastRecoveryType
// (CCF: src/service/tables/recovery_type.h).
type RecoveryType string

// The recovery types.
const (
	RecoveryNone           RecoveryType = "None"
	RecoveryByShares       RecoveryType = "RECOVERY_SHARES"
	RecoveryLocalUnsealing RecoveryType = "LOCAL_UNSEALING"
)

// RecoveryReport is the row of Recovery.
type RecoveryReport struct {
	After      synod.TxID  `json:"after"`       // the last signature of the service before
	DroppedTo  synod.SeqNo `json:"dropped_to"`  // the last entry that the files claimed to hold; After's seqno if none was dropped
	ReadableTo synod.SeqNo `json:"readable_to"` // the last of them that could be read
	// Resumed says that the service goes on with the same key, as members allow in
	// SealedResume: from what a node had sealed, without recovery shares.
	Resumed bool `json:"resumed,omitempty"`
}

// SealedResumePolicy is the row of SealedResume.
type SealedResumePolicy struct {
	Allowed bool `json:"allowed"`
}
