package synod

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Error is the one failure that travels over the wire. Code and Message are
// written for the caller and safe to show; Cause stays behind and is for the
// log. The body it makes is {"error":{"code","message","details"}}
// (CCF: include/ccf/odata_error.h).
type Error struct {
	Status  int // HTTP status, 400 to 599 (308 for a redirect that carries a body)
	Code    string
	Message string
	Details []ErrorDetail
	Cause   error
}

// ErrorDetail is one element of an error's details. Which fields are set
// depends on what failed: authentication (AuthPolicy) or a script (Trace).
type ErrorDetail struct {
	AuthPolicy string `json:"auth_policy,omitempty"`
	Code       string `json:"code"`
	Message    string `json:"message"`
	Trace      string `json:"trace,omitempty"`
}

// Errorf makes an Error; the last error among args is its Cause.
func Errorf(status int, code, format string, args ...any) *Error {
	e := &Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
	for _, a := range args {
		if cause, ok := a.(error); ok {
			e.Cause = cause
		}
	}
	return e
}

// Error returns "code: message".
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// MarshalJSON makes the whole response body: compact and, as CCF prints it,
// without HTML escapes.
func (e *Error) MarshalJSON() ([]byte, error) {
	type inner struct {
		Code    string        `json:"code"`
		Details []ErrorDetail `json:"details,omitempty"`
		Message string        `json:"message"`
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(map[string]inner{"error": {Code: e.Code, Details: e.Details, Message: e.Message}})
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// The codes that CCF's clients know (CCF: include/ccf/odata_error.h).
const (
	CodeAuthorizationFailed          = "AuthorizationFailed"
	CodeInternalError                = "InternalError"
	CodeNotImplemented               = "NotImplemented"
	CodeInvalidAuthenticationInfo    = "InvalidAuthenticationInfo"
	CodeInvalidHeaderValue           = "InvalidHeaderValue"
	CodeInvalidInput                 = "InvalidInput"
	CodeInvalidQueryParameterValue   = "InvalidQueryParameterValue"
	CodeInvalidResourceName          = "InvalidResourceName"
	CodeMissingRequiredHeader        = "MissingRequiredHeader"
	CodeResourceNotFound             = "ResourceNotFound"
	CodeUnsupportedHTTPVerb          = "UnsupportedHttpVerb"
	CodeUnsupportedContentType       = "UnsupportedContentType"
	CodeRequestBodyTooLarge          = "RequestBodyTooLarge"
	CodeRequestHeaderTooLarge        = "RequestHeaderTooLarge"
	CodePreconditionFailed           = "PreconditionFailed"
	CodeSessionCapExhausted          = "SessionCapExhausted"
	CodeFrontendNotOpen              = "FrontendNotOpen"
	CodeProposalNotOpen              = "ProposalNotOpen"
	CodeProposalNotFound             = "ProposalNotFound"
	CodeProposalFailedToValidate     = "ProposalFailedToValidate"
	CodeStateDigestMismatch          = "StateDigestMismatch"
	CodeTransactionCommitAttempts    = "TransactionCommitAttemptsExceedLimit"
	CodeTransactionReplicationFailed = "TransactionReplicationFailed"
	CodeVoteNotFound                 = "VoteNotFound"
	CodeVoteAlreadyExists            = "VoteAlreadyExists"
	CodeTransactionPendingOrUnknown  = "TransactionPendingOrUnknown"
	CodeTransactionInvalid           = "TransactionInvalid"
	CodeCSRPublicKeyInvalid          = "CSRPublicKeyInvalid"
	CodeInvalidNodeState             = "InvalidNodeState"
	CodeInvalidQuote                 = "InvalidQuote"
	CodeNodeAlreadyExists            = "NodeAlreadyExists"
	CodeNodeCannotHandleRequest      = "NodeCannotHandleRequest"
	CodeStartupSeqnoIsOld            = "StartupSeqnoIsOld"
	CodeNodeNotRetiredCommitted      = "NodeNotRetiredCommitted"
	CodePrimaryNotFound              = "PrimaryNotFound"
	CodeBackupNotFound               = "BackupNotFound"
	CodeRequestAlreadyForwarded      = "RequestAlreadyForwarded"
	CodeSessionConsistencyLost       = "SessionConsistencyLost"
	CodeProposalReplay               = "ProposalReplay"
	CodeProposalCreatedTooLongAgo    = "ProposalCreatedTooLongAgo"
	CodeInvalidCreatedAt             = "InvalidCreatedAt"
	CodeJSException                  = "JSException"
	CodeTooManyFeeds                 = "TooManyFeeds" // Synod's own
	CodeTooManyPendingTransactions   = "TooManyPendingTransactions"
	CodeMissingAPIVersionParameter   = "MissingApiVersionParameter"
	CodeUnsupportedAPIVersionValue   = "UnsupportedApiVersionValue"
)
