package arm

import (
	"encoding/json"
	"strings"
	"time"
)

// Kinds of operations.
const (
	KindCreate   = "create"
	KindUpdate   = "update"
	KindDelete   = "delete"
	KindBackup   = "backup"
	KindRestore  = "restore"
	KindUpgrade  = "upgrade"
	KindRenew    = "renew"
	KindRecover  = "recover"
	KindRehearse = "rehearse"
	KindReplace  = "replace" // of one node
)

// States of operations that have ended. Any other word means that it runs; the
// words that we write are OperationAccepted, OperationRunning and, while a
// network is deleted, OperationDeleting.
const (
	OperationSucceeded = "Succeeded"
	OperationFailed    = "Failed"
	OperationCanceled  = "Canceled"

	OperationAccepted = "Accepted"
	OperationRunning  = "Running"
	OperationDeleting = "Deleting"
)

// Operation is work on a network that takes longer than a request. Its record
// outlives the network.
type Operation struct {
	ID      string // a GUID, given by StartOperation if empty
	Network NetworkID
	Kind    string
	Status  string
	Steps   []OperationStep

	Input  json.RawMessage // kept encrypted: it may hold a storage URI with its token
	Result json.RawMessage // for the client, of an operation that succeeded
	Error  *Error          // of one that failed or was canceled

	StartedAt, UpdatedAt, EndedAt time.Time // EndedAt is zero while it runs

	RequestedBy     string
	RequestID       string
	CancelRequested bool // asked for; whoever runs it decides where it can stop
}

// OperationStep is one step of an operation, for people to read.
type OperationStep struct {
	Name      string    `json:"name"`
	Status    string    `json:"status"` // as an operation's
	Message   string    `json:"message,omitempty"`
	StartedAt time.Time `json:"startedAt"`
	EndedAt   time.Time `json:"endedAt,omitzero"`
}

// Ended reports whether op will change no more.
func (op Operation) Ended() bool {
	switch op.Status {
	case OperationSucceeded, OperationFailed, OperationCanceled:
		return true
	default:
		return false
	}
}

// BackupInput is the Input of KindBackup.
type BackupInput struct {
	URI           string `json:"uri,omitempty"` // where to; empty: the network's policy
	RestoreRegion string `json:"restoreRegion,omitempty"`
	Scheduled     bool   `json:"scheduled,omitempty"` // by the network's policy, which says how many are kept
}

// RestoreInput is the Input of KindRestore and KindRehearse.
type RestoreInput struct {
	RestoreSource
	// InPlace replaces what is there instead of making a network anew.
	InPlace bool `json:"inPlace,omitempty"`
}

// UpgradeInput is the Input of KindUpgrade.
type UpgradeInput struct {
	Release string `json:"release"`
}

// ReplaceInput is the Input of KindReplace.
type ReplaceInput struct {
	Ordinal int `json:"ordinal"`
}

// MessageResult is the Result of KindBackup and KindRestore, as ARM's clients
// know it.
type MessageResult struct {
	Message string        `json:"message"`
	Backup  *BackupRecord `json:"backup,omitempty"`
}

// Error is what ARM's clients understand of a failure; it is safe to show. See
// docs/errors.md for the codes.
type Error struct {
	Status  int     `json:"-"` // of the answer; 0 in an operation's
	Code    string  `json:"code"`
	Message string  `json:"message"`
	Target  string  `json:"target,omitempty"` // the property or parameter at fault
	Details []Error `json:"details,omitempty"`
}

// Error returns "code: message".
func (e *Error) Error() string {
	if e.Target == "" {
		return e.Code + ": " + e.Message
	}
	return e.Code + ": " + strings.TrimSuffix(e.Message, ".") + " (" + e.Target + ")"
}
