package gov

import (
	"synod"
	"synod/app"
	"synod/internal/tables"
)

// The code of a share that nobody waits for
// (CCF: include/ccf/odata_error.h).
const codeNotWaitingForShares = "ServiceNotWaitingForRecoveryShares"

// encryptedShare returns a member's recovery share, encrypted for it.
func (g *gov) encryptedShare(c *app.Context) error {
	id, err := pathMember(c)
	if err != nil {
		return err
	}
	shares, ok, err := tables.GetJSON[tables.RecoveryShares](c.Tx(), tables.Shares, tables.UnitKey())
	if err != nil {
		return broken(err)
	}
	if !ok {
		return internal("Failed to retrieve current recovery shares info")
	}
	share, ok := shares.EncryptedShares[id]
	if !ok {
		return synod.Errorf(404, synod.CodeResourceNotFound, "Recovery share not found for member %s.", id)
	}
	return c.JSON(struct {
		EncryptedShare tables.Bytes   `json:"encryptedShare"`
		MemberID       synod.MemberID `json:"memberId"`
	}{share, id})
}

// recover takes no share: a service of this version is never recovered.
func (g *gov) recover(c *app.Context) error {
	info, _, err := tables.GetJSON[tables.ServiceInfo](c.Tx(), tables.Service, tables.UnitKey())
	if err != nil {
		return broken(err)
	}
	if info.Status != tables.ServiceWaitingForRecoveryShares {
		return synod.Errorf(403, codeNotWaitingForShares, "Service is not waiting for recovery shares.")
	}
	return synod.Errorf(501, synod.CodeNotImplemented, "This node cannot recover a service.")
}
