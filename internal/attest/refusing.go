package attest

import "context"

// Refusing makes no evidence: it stands for a machine without the hardware.
type Refusing struct{}

// Platform is "Refusing".
func (Refusing) Platform() Platform { return "Refusing" }

// Attest returns ErrRefused.
func (Refusing) Attest(context.Context, ReportData) (Quote, error) {
	return Quote{}, ErrRefused
}
