package synod

import (
	"fmt"
	"strconv"
	"strings"
)

// View counts elections: each primary leads in a view of its own. It equals
// raft's term. 0 means unknown; a new service starts in view 2.
type View uint64

// SeqNo is the position of a transaction in the ledger, from 1 without gaps.
// It equals raft's index. 0 means unknown.
type SeqNo uint64

// TxID names one attempt to put a transaction at one position: view and
// sequence number. Its text form is "view.seqno" (CCF: include/ccf/tx_id.h).
type TxID struct {
	View  View
	SeqNo SeqNo
}

// ParseTxID reads "view.seqno". Both halves are decimal numbers from 1 to
// 2^64-1; leading zeros are accepted and anything else is refused.
func ParseTxID(s string) (TxID, error) {
	v, n, ok := strings.Cut(s, ".")
	if !ok {
		return TxID{}, fmt.Errorf("transaction ID %q: want <view>.<seqno>", s)
	}
	view, err := parsePositive(v)
	if err != nil {
		return TxID{}, fmt.Errorf("transaction ID %q: view: %w", s, err)
	}
	seqno, err := parsePositive(n)
	if err != nil {
		return TxID{}, fmt.Errorf("transaction ID %q: seqno: %w", s, err)
	}
	return TxID{View: View(view), SeqNo: SeqNo(seqno)}, nil
}

func parsePositive(s string) (uint64, error) {
	if s != "" && (s[0] < '0' || s[0] > '9') {
		return 0, strconv.ErrSyntax
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, strconv.ErrRange
	}
	return n, nil
}

// String returns "view.seqno".
func (t TxID) String() string { return string(t.AppendTo(nil)) }

// AppendTo appends the text form to b.
func (t TxID) AppendTo(b []byte) []byte {
	b = strconv.AppendUint(b, uint64(t.View), 10)
	b = append(b, '.')
	return strconv.AppendUint(b, uint64(t.SeqNo), 10)
}

// IsZero says that t names nothing.
func (t TxID) IsZero() bool { return t == TxID{} }

// MarshalText makes a TxID a JSON string.
func (t TxID) MarshalText() ([]byte, error) { return t.AppendTo(nil), nil }

// UnmarshalText is ParseTxID.
func (t *TxID) UnmarshalText(b []byte) error {
	id, err := ParseTxID(string(b))
	if err != nil {
		return err
	}
	*t = id
	return nil
}

// TxStatus is what a node knows of a TxID (CCF: include/ccf/tx_status.h).
// Committed and Invalid are final.
type TxStatus string

// The four statuses, as they appear in JSON.
const (
	TxUnknown   TxStatus = "Unknown"
	TxPending   TxStatus = "Pending"
	TxCommitted TxStatus = "Committed"
	TxInvalid   TxStatus = "Invalid"
)

// StatusOf decides the status of a transaction from what a node knows:
// localView is the view in which it holds id.SeqNo (0 if it has no such
// entry), committed the last transaction that the service has committed.
func StatusOf(id TxID, localView View, committed TxID) TxStatus {
	switch {
	case committed.SeqNo >= id.SeqNo && localView == id.View:
		return TxCommitted
	case committed.SeqNo >= id.SeqNo:
		return TxInvalid
	case localView == id.View:
		return TxPending
	case committed.View > id.View:
		return TxInvalid
	default:
		return TxUnknown
	}
}

// NodeID is the lower-case hex SHA-256 of a node's DER public key.
type NodeID string

// MemberID is the lower-case hex SHA-256 of a member's DER certificate.
type MemberID string

// UserID is the lower-case hex SHA-256 of a user's DER certificate.
type UserID string

// String returns n[<hex>], the form used in messages.
func (id NodeID) String() string { return "n[" + string(id) + "]" }

// String returns m[<hex>], the form used in messages.
func (id MemberID) String() string { return "m[" + string(id) + "]" }

// String returns u[<hex>], the form used in messages.
func (id UserID) String() string { return "u[" + string(id) + "]" }
