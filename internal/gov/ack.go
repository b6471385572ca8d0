package gov

import (
	"synod"
	"synod/app"
	"synod/internal/tables"
)

// digestJSON is a state digest as the API shows it.
type digestJSON struct {
	MemberID    synod.MemberID `json:"memberId"`
	StateDigest string         `json:"stateDigest"`
}

// stateDigest shows the state that a member is asked to acknowledge.
func (g *gov) stateDigest(c *app.Context) error {
	id := synod.MemberID(c.RawPath("memberId"))
	ack, ok, err := getAck(c.Tx(), id)
	if err != nil {
		return err
	}
	if !ok {
		return synod.Errorf(404, synod.CodeResourceNotFound, "No ACK record exists for member %s.", id)
	}
	return c.JSON(digestJSON{id, ack.StateDigest})
}

// updateStateDigest sets that state to the root of the latest signature.
func (g *gov) updateStateDigest(c *app.Context) error {
	id, err := ownPath(c)
	if err != nil {
		return err
	}
	ack, _, err := getAck(c.Tx(), id)
	if err != nil {
		return err
	}
	signature, ok, err := tables.GetJSON[tables.SignatureRecord](c.Tx(), tables.Signatures, tables.UnitKey())
	if err != nil {
		return broken(err)
	}
	if !ok {
		return internal("Service has no signatures to ack yet - try again soon.")
	}
	ack.StateDigest = signature.Root
	if err := tables.PutJSON(c.Tx(), tables.MemberAcks, []byte(id), ack); err != nil {
		return err
	}
	return c.JSON(digestJSON{id, ack.StateDigest})
}

// ack makes a member active that has signed the state digest it was given. A
// member that takes part in recovery may get a share with that.
func (g *gov) ack(c *app.Context) error {
	id, err := ownPath(c)
	if err != nil {
		return err
	}
	ack, ok, err := getAck(c.Tx(), id)
	if err != nil {
		return err
	}
	if !ok {
		return synod.Errorf(403, synod.CodeAuthorizationFailed, "No ACK record exists for member %s.", id)
	}
	var signed struct {
		StateDigest *string `json:"stateDigest"`
	}
	if err := signedJSON(c, &signed); err != nil {
		return err
	}
	if signed.StateDigest == nil {
		return synod.Errorf(400, synod.CodeInvalidInput, "The signed payload has no stateDigest")
	}
	if *signed.StateDigest != ack.StateDigest {
		return synod.Errorf(400, synod.CodeStateDigestMismatch,
			"Submitted state digest is not valid.\nExpected\n %s\nReceived\n %s", ack.StateDigest, *signed.StateDigest)
	}
	ack.SignedReq, ack.COSESign1Req = nil, c.Caller.COSE.Envelope
	if err := tables.PutJSON(c.Tx(), tables.MemberAcks, []byte(id), ack); err != nil {
		return err
	}
	if err := g.activate(c.Tx(), id); err != nil {
		return err
	}
	c.Status(204)
	return nil
}

func (g *gov) activate(tx app.Tx, id synod.MemberID) error {
	info, ok, err := tables.GetJSON[tables.MemberInfo](tx, tables.Members, []byte(id))
	if err != nil {
		return internal("Error activating member: %s", err)
	}
	if !ok {
		return internal("Error activating member: Member %s cannot be activated as they do not exist", id)
	}
	fresh := info.Status != tables.MemberActive
	info.Status = tables.MemberActive
	if err := tables.PutJSON(tx, tables.Members, []byte(id), info); err != nil {
		return err
	}
	if fresh && recoveryRole(tx, id, info) != tables.RecoveryNonParticipant {
		if err := g.node.OnMemberActive(tx, id); err != nil {
			return internal("Error issuing new recovery shares: %s", err)
		}
	}
	return nil
}

// recoveryRole is a member's part in recovery. Without an explicit one, an
// encryption key makes it a participant.
func recoveryRole(tx tables.Reader, id synod.MemberID, info tables.MemberInfo) tables.RecoveryRole {
	switch {
	case info.RecoveryRole != "":
		return info.RecoveryRole
	case tx.Has(tables.MemberEncryptionKeys, []byte(id)):
		return tables.RecoveryParticipant
	default:
		return tables.RecoveryNonParticipant
	}
}

func getAck(tx tables.Reader, id synod.MemberID) (tables.MemberAck, bool, error) {
	ack, ok, err := tables.GetJSON[tables.MemberAck](tx, tables.MemberAcks, []byte(id))
	if err != nil {
		return ack, ok, broken(err)
	}
	return ack, ok, nil
}
