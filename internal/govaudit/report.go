package govaudit

import (
	"encoding/json"

	"synod"
	"synod/internal/tables"
)

// Kind says what a finding means.
type Kind string

// The kinds of findings.
const (
	// Violation is a transaction that does not follow from what members signed.
	Violation Kind = "violation"
	// NotReexecuted is one whose scripts depend on what the ledger does not
	// hold, such as the clock: nobody can tell.
	NotReexecuted Kind = "cannot be re-executed"
	// Legacy is one of a CCF before 4.0 whose request is not kept as COSE.
	Legacy Kind = "legacy"
)

// Finding is one thing that does not verify.
type Finding struct {
	TxID  synod.TxID `json:"transaction_id"`
	Kind  Kind       `json:"kind"`
	Table string     `json:"table,omitempty"` // "" if it is not about one
	Key   string     `json:"key,omitempty"`   // "" if it is not about one
	Text  string     `json:"text"`
}

// Event is one step in the life of a service.
type Event struct {
	TxID       synod.TxID           `json:"transaction_id"`
	CreatedAt  uint64               `json:"created_at,omitempty"` // seconds since 1970, as the member signed it; 0 if nobody signed
	What       string               `json:"what"`                 // proposed, voted, withdrew, acked, or what nodes did
	Member     synod.MemberID       `json:"member_id,omitempty"`
	MemberData json.RawMessage      `json:"member_data,omitempty"` // at that time
	Proposal   string               `json:"proposal_id,omitempty"`
	Actions    []string             `json:"actions,omitempty"` // names, of a proposal
	Vote       string               `json:"vote,omitempty"`    // for, against or failed
	State      tables.ProposalState `json:"state,omitempty"`   // of the proposal, after it
	Tables     []string             `json:"tables,omitempty"`  // changed by the transaction
}

// Report is what a replay found.
type Report struct {
	Events       []Event   `json:"events"`
	Findings     []Finding `json:"findings"`
	Transactions uint64    `json:"transactions"` // that wrote to tables of governance
	Proposals    uint64    `json:"proposals"`
	Ballots      uint64    `json:"ballots"`
	Withdrawals  uint64    `json:"withdrawals"`
	Acks         uint64    `json:"acks"`
	Accepted     uint64    `json:"accepted"` // proposals carried out
	Recoveries   uint64    `json:"recoveries"`
}

// Count is how many findings are of a kind.
func (r *Report) Count(k Kind) int {
	n := 0
	for _, f := range r.Findings {
		if f.Kind == k {
			n++
		}
	}
	return n
}
