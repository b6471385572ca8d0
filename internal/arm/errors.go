package arm

import (
	"fmt"
	"net/http"
)

// providerName is Azure's name for what we are.
const providerName = "Microsoft.ConfidentialLedger"

// The codes of ARM's errors that we answer with; docs/errors.md says what each
// means to its receiver. Operations end with those of package provision too.
const (
	CodeAlreadyExists         = "ResourceAlreadyExists"
	CodeAuthenticationFailed  = "AuthenticationFailed"
	CodeAuthorizationFailed   = "AuthorizationFailed"
	CodeContentTooLarge       = "RequestContentTooLarge"
	CodeFeatureNotFound       = "FeatureNotFound"
	CodeGroupBeingDeleted     = "ResourceGroupBeingDeleted"
	CodeGroupLocation         = "InvalidResourceGroupLocation"
	CodeGroupNotFound         = "ResourceGroupNotFound"
	CodeInsufficientStorage   = "InsufficientStorage"
	CodeInternalServerError   = "InternalServerError"
	CodeInvalidAPIVersion     = "InvalidApiVersionParameter"
	CodeInvalidContent        = "InvalidRequestContent"
	CodeInvalidHeader         = "InvalidHeaderValue"
	CodeInvalidLocation       = "InvalidResourceLocation"
	CodeInvalidName           = "InvalidResourceName"
	CodeInvalidNamespace      = "InvalidResourceNamespace"
	CodeInvalidParameter      = "InvalidParameter"
	CodeInvalidToken          = "InvalidAuthenticationToken"
	CodeLocationRequired      = "LocationRequired"
	CodeMembersAreGoverned    = "MembersAreGoverned"
	CodeMethodNotAllowed      = "MethodNotAllowed"
	CodeMissingAPIVersion     = "MissingApiVersionParameter"
	CodeMissingRegistration   = "MissingSubscriptionRegistration"
	CodeNotFound              = "ResourceNotFound"
	CodeNoSuchPath            = "NotFound"
	CodeOperationNotAllowed   = "OperationNotAllowed"
	CodeOperationNotFound     = "OperationNotFound"
	CodeOperationPreempted    = "OperationPreempted"
	CodePreconditionFailed    = "PreconditionFailed"
	CodeQuotaExceeded         = "QuotaExceeded"
	CodeScopeLocked           = "ScopeLocked"
	CodeSubscriptionNotFound  = "SubscriptionNotFound"
	CodeTooManyRequests       = "TooManyRequests"
	CodeUnsupportedMediaType  = "UnsupportedMediaType"
	CodeResourceNotReady      = "ResourceNotReady"
	CodeBackupNotFound        = "BackupNotFound"
	CodeAuthenticationOffline = "AuthenticationUnavailable"
)

func errorf(status int, code, target, format string, args ...any) *Error {
	return &Error{Status: status, Code: code, Target: target, Message: fmt.Sprintf(format, args...)}
}

// faults collects what is wrong with a request, so that its sender learns of
// all of it at once.
type faults []Error

func (f *faults) add(target, format string, args ...any) {
	*f = append(*f, *errorf(0, CodeInvalidContent, target, format, args...))
}

// err returns the faults as one *Error, or nil.
func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	e := errorf(http.StatusBadRequest, CodeInvalidContent, f[0].Target, "%s", f[0].Message)
	if len(f) > 1 {
		e.Message = fmt.Sprintf("%d properties are wrong. First: %s", len(f), f[0].Message)
		e.Details = f
	}
	return e
}
