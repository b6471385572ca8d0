package tables

import (
	"encoding/json"

	"synod"
)

// MemberStatus says whether a member has acknowledged the state digest
// (CCF: include/ccf/service/tables/members.h).
type MemberStatus string

// The statuses of a member.
const (
	MemberAccepted MemberStatus = "Accepted"
	MemberActive   MemberStatus = "Active"
)

// RecoveryRole is a member's part in disaster recovery; "" where a row says
// nothing, which means Participant for a member that has an encryption key.
type RecoveryRole string

// The recovery roles.
const (
	RecoveryNonParticipant RecoveryRole = "NonParticipant"
	RecoveryParticipant    RecoveryRole = "Participant"
	RecoveryOwner          RecoveryRole = "Owner" // may recover alone
)

// MemberInfo is one row of Members
// (CCF: include/ccf/service/tables/members.h, MemberDetails).
type MemberInfo struct {
	MemberData   json.RawMessage `json:"member_data,omitempty"`
	RecoveryRole RecoveryRole    `json:"recovery_role,omitempty"`
	Status       MemberStatus    `json:"status"`
}

// UnmarshalJSON reads the row; a null member_data is none.
func (m *MemberInfo) UnmarshalJSON(b []byte) error {
	type plain MemberInfo
	var p plain
	if err := json.Unmarshal(b, &p); err != nil {
		return err
	}
	p.MemberData = dropNull(p.MemberData)
	*m = MemberInfo(p)
	return nil
}

// MemberAck is one row of MemberAcks
// (CCF: include/ccf/service/tables/members.h).
type MemberAck struct {
	COSESign1Req Bytes      `json:"cose_sign1_req,omitempty"`
	SignedReq    *SignedReq `json:"signed_req,omitempty"` // legacy
	StateDigest  string     `json:"state_digest"`         // hex root, "" before the first signature
}

// SignedReq is an HTTP-signed request of old services
// (CCF: include/ccf/service/signed_req.h).
type SignedReq struct {
	KeyID       string          `json:"key_id"`
	MD          json.RawMessage `json:"md"`
	Req         Bytes           `json:"req"`
	RequestBody Bytes           `json:"request_body"`
	Sig         Bytes           `json:"sig"`
}

// UserInfo is one row of Users (CCF: include/ccf/service/tables/users.h).
type UserInfo struct {
	UserData json.RawMessage `json:"user_data"` // null if none
}

// ProposalState is where a proposal stands
// (CCF: include/ccf/service/tables/proposals.h).
type ProposalState string

// The states of a proposal; all but Open are final.
const (
	ProposalOpen      ProposalState = "Open"
	ProposalAccepted  ProposalState = "Accepted"
	ProposalWithdrawn ProposalState = "Withdrawn"
	ProposalRejected  ProposalState = "Rejected"
	ProposalFailed    ProposalState = "Failed"
	ProposalDropped   ProposalState = "Dropped"
)

// Failure is how a script failed (CCF: include/ccf/service/tables/gov.h).
type Failure struct {
	Reason string `json:"reason"`
	Trace  string `json:"trace,omitempty"`
}

// ProposalInfo is one row of ProposalsInfo
// (CCF: include/ccf/service/tables/gov.h). FinalVotes and VoteFailures are
// nil until the proposal is resolved, and may be empty then.
type ProposalInfo struct {
	Ballots      map[synod.MemberID]string  `json:"ballots"` // scripts
	Failure      *Failure                   `json:"failure,omitempty"`
	FinalVotes   map[synod.MemberID]bool    `json:"final_votes,omitzero"`
	ProposerID   synod.MemberID             `json:"proposer_id"`
	State        ProposalState              `json:"state"`
	VoteFailures map[synod.MemberID]Failure `json:"vote_failures,omitzero"`
}

// MarshalJSON writes no ballots as {}.
func (p ProposalInfo) MarshalJSON() ([]byte, error) {
	type plain ProposalInfo
	if p.Ballots == nil {
		p.Ballots = map[synod.MemberID]string{}
	}
	return Marshal(plain(p))
}
