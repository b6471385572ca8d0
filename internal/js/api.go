package js

import (
	"encoding/json"
	"log/slog"
	"time"

	"synod"
	"synod/app"
)

// Backend names a way to run the engine's WebAssembly.
type Backend string

// The back ends. They run the same file and give the same results; wasm2go
// is translated to Go ahead of time and about 1.5 times as fast.
const (
	Wasm2Go Backend = "wasm2go"
	Wazero  Backend = "wazero"
)

// Limits bound one call of a script. They hold for applications as given,
// however small; governance uses each only where it is larger than the
// default (CCF: include/ccf/service/tables/jsengine.h).
type Limits struct {
	HeapBytes  int64
	StackBytes int64
	Execution  time.Duration
}

// DefaultLimits are CCF's: 100 MiB of heap, 1 MiB of stack, 5 s.
func DefaultLimits() Limits {
	return Limits{HeapBytes: 100 << 20, StackBytes: 1 << 20, Execution: 5 * time.Second}
}

// atLeastDefaults raises each limit to the default.
func (l Limits) atLeastDefaults() Limits {
	d := DefaultLimits()
	return Limits{
		HeapBytes:  max(l.HeapBytes, d.HeapBytes),
		StackBytes: max(l.StackBytes, d.StackBytes),
		Execution:  max(l.Execution, d.Execution),
	}
}

// Access says which tables a script may read and write
// (CCF: src/js/permissions_checks.h).
type Access int

// The access modes.
const (
	AppReadWrite Access = iota // endpoint of mode readwrite
	AppReadOnly                // endpoint of mode readonly or historical
	GovReadOnly                // validate, resolve, ballots
	GovReadWrite               // apply
)

// Exception is what a script threw, or what its limits threw for it.
type Exception struct {
	Reason  string // String() of an Error, JSON of another object
	Trace   string // "    at f (/m.js:27)\n" for each frame, or ""
	Timeout bool   // the time limit was reached
}

// Error returns the reason.
func (e *Exception) Error() string { return e.Reason }

// Config is what an Engine is made of. The zero value is the default engine
// without a log.
type Config struct {
	Backend Backend // "" means Wasm2Go
	// Log receives what scripts print, with the attribute "tag" = "app" or
	// "gov": log and info at Info, warn at Warn, error four above Error.
	Log *slog.Logger
	// Now is the clock of Date and of the time limits; nil means time.Now.
	Now func() time.Time
}

// GovCall is one call of a function of the constitution or of a ballot.
type GovCall struct {
	Module   string // name for traces, e.g. public:ccf.gov.constitution[0]
	Source   string // text of the module; it cannot import
	Function string // export to call
	Args     []any  // marshalled to JSON
	Access   Access // GovReadWrite, or else GovReadOnly
	Tx       app.Tx
	Effects  *Effects // required for GovReadWrite
	Limits   Limits   // raised to the defaults
	// Within bounds the run's time below its limit; 0 leaves the limit.
	Within time.Duration
}

// Effects is what `apply` may cause beyond its transaction's writes. A nil
// function fails the script's call. They run inside the script's call; an
// error becomes an InternalError there. They must not call the engine.
type Effects struct {
	TriggerLedgerRekey           func() error
	TriggerRecoverySharesRefresh func() error
	TriggerLedgerChunk           func() error
	TriggerSnapshot              func() error
	// TransitionServiceToOpen gets PEM bytes; previous is nil if not given.
	TransitionServiceToOpen func(previous, next []byte) error
	// SetSealedResume is Synod's own: whether nodes may keep the service's keys on
	// their disks, sealed to their platform.
	SetSealedResume             func(allowed bool) error
	LatestLedgerSecretSeqno     func() (synod.SeqNo, error)
	GenerateEndorsedCertificate func(csrPEM, validFrom string, days int) (string, error)
	GenerateNetworkCertificate  func(validFrom string, days int) (string, error)
	SetJWTPublicSigningKeys     func(issuer string, metadata, jwks json.RawMessage) error
	RemoveJWTPublicSigningKeys  func(issuer string) error
}

// AppHost answers ccf.consensus and ccf.historical for applications.
type AppHost interface {
	LastCommitted() synod.TxID
	Status(synod.TxID) synod.TxStatus
	// ViewOf returns the view of a sequence number and whether it is known.
	ViewOf(synod.SeqNo) (synod.View, bool)
	// History is the service's past, nil if it cannot be asked.
	History() app.History
}
