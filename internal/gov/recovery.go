package gov

import (
	"errors"
	"fmt"
	"log/slog"

	"synod"
	"synod/app"
	"synod/internal/secrets"
	"synod/internal/tables"
)

// Codes of a share that nobody waits for
// (CCF: include/ccf/odata_error.h).
const (
	codeNotWaitingForShares = "ServiceNotWaitingForRecoveryShares"
	codeAlreadyRecovering   = "NodeAlreadyRecovering"
)

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

// recover takes a member's recovery share. With enough of them, the recovery of
// private data begins (CCF: src/node/gov/handlers/recovery.h).
func (g *gov) recover(c *app.Context) error {
	info, _, err := tables.GetJSON[tables.ServiceInfo](c.Tx(), tables.Service, tables.UnitKey())
	if err != nil {
		return broken(err)
	}
	if info.Status != tables.ServiceWaitingForRecoveryShares {
		return synod.Errorf(403, codeNotWaitingForShares, "Service is not waiting for recovery shares.")
	}
	if g.node.ReadsPrivate() {
		return synod.Errorf(403, codeAlreadyRecovering, "Node is already recovering private ledger.")
	}
	if _, err := pathMember(c); err != nil {
		return err
	}
	id, err := ownPath(c)
	if err != nil {
		return err
	}
	var signed struct {
		Share tables.Bytes `json:"share"`
	}
	if err := signedJSON(c, &signed); err != nil {
		return err
	}
	submitted, full, err := g.node.SubmitShare(c.Tx(), id, signed.Share)
	clear(signed.Share)
	if errors.Is(err, secrets.ErrShares) {
		return synod.Errorf(400, synod.CodeInvalidInput, "The share is not one: decrypt what /gov/recovery/encrypted-shares/%s returns and send that.", id)
	}
	if err != nil {
		return g.hidden(c, "Error submitting recovery shares.", err)
	}
	config, _, err := tables.GetJSON[tables.ServiceConfig](c.Tx(), tables.ServiceConfiguration, tables.UnitKey())
	if err != nil {
		return broken(err)
	}
	message := fmt.Sprintf("%d/%d recovery shares successfully submitted", submitted, config.RecoveryThreshold)
	if full {
		message = "Full recovery key successfully submitted"
	}
	if full || uint64(submitted) >= config.RecoveryThreshold {
		message += "\nEnd of recovery procedure initiated"
		if err := g.node.Recover(c.Tx()); err != nil {
			// The members start over, and that is kept.
			c.Tx().Clear(tables.SubmittedShares)
			c.SetApplyWrites(true)
			return g.hidden(c, "Failed to initiate private recovery.", err)
		}
	}
	return c.JSON(struct {
		FullKeySubmitted  bool   `json:"fullKeySubmitted"`
		Message           string `json:"message"`
		RecoveryThreshold uint64 `json:"recoveryThreshold"`
		SubmittedCount    int    `json:"submittedCount"`
	}{full, message, config.RecoveryThreshold, submitted})
}

// hidden is a 500 whose cause only the log tells, as in CCF.
func (g *gov) hidden(c *app.Context, text string, cause error) error {
	g.log.InfoContext(c.Context(), text, slog.String("tag", "gov"), slog.String("err", cause.Error()))
	return internal("%s", text)
}
