package arm

// Names of Azure's that clients know us by.
const providerName = "Microsoft.ConfidentialLedger"

// The codes of ARM's errors that we answer with; docs/errors.md says what each
// means to its receiver.
const (
	CodeAlreadyExists       = "ResourceAlreadyExists"
	CodeOperationNotAllowed = "OperationNotAllowed"
	CodeOperationPreempted  = "OperationPreempted"
	CodePreconditionFailed  = "PreconditionFailed"
)
