package provision

// Codes of the errors of operations, besides those of package arm; docs/errors.md
// says what each means to its receiver.
const (
	CodeCanceled                   = "OperationCanceled"
	CodeConstitutionDeniesOperator = "ConstitutionDeniesOperator"
	CodeConstitutionInvalid        = "ConstitutionInvalid"
	CodeFirstNodeFailed            = "FirstNodeFailed"
	CodeNotImplemented             = "NotImplemented"
	CodeOperationFailed            = "OperationFailed"
	CodeOperationTimedOut          = "OperationTimedOut"
	CodeReleaseNotApproved         = "ReleaseNotApproved"
	CodeReleaseUnknown             = "ReleaseUnknown"
)
