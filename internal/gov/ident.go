package gov

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"

	"synod"
	"synod/app"
)

// pathID reads an identifier in the path: 64 hex characters of either case.
func pathID(c *app.Context, param, what string) (string, error) {
	id := c.RawPath(param)
	if _, err := hex.DecodeString(id); err != nil || len(id) != 64 {
		return "", synod.Errorf(400, synod.CodeInvalidResourceName, "'%s' is not a valid hex-encoded %s ID", id, what)
	}
	return id, nil
}

func pathMember(c *app.Context) (synod.MemberID, error) {
	id, err := pathID(c, "memberId", "member")
	return synod.MemberID(id), err
}

// signedProposal is the proposal in the path, which the signed header must
// name as well.
func signedProposal(c *app.Context) (string, error) {
	id, err := pathID(c, "proposalId", "proposal")
	if err == nil && c.Caller.COSE.ProposalID != id {
		err = synod.Errorf(400, synod.CodeInvalidResourceName, "Authenticated proposal id does not match URL")
	}
	return id, err
}

// signedMember is the member in the path, who must have signed.
func signedMember(c *app.Context) (synod.MemberID, error) {
	id, err := pathMember(c)
	if err == nil && string(id) != c.Caller.ID {
		err = synod.Errorf(400, synod.CodeInvalidResourceName, "Authenticated member id does not match URL")
	}
	return id, err
}

// ownPath is the member in the path, whatever its form, who must have signed
// (CCF: src/node/gov/handlers/acks.h).
func ownPath(c *app.Context) (synod.MemberID, error) {
	id := synod.MemberID(c.RawPath("memberId"))
	if string(id) != c.Caller.ID {
		return "", synod.Errorf(400, synod.CodeInvalidAuthenticationInfo,
			"Member ID from path parameter (%s) does not match member ID from body signature (%s).",
			id, synod.MemberID(c.Caller.ID))
	}
	return id, nil
}

// signedJSON reads the signed payload into v.
func signedJSON(c *app.Context, v any) error {
	if err := json.Unmarshal(c.Caller.COSE.Content, v); err != nil {
		return synod.Errorf(400, synod.CodeInvalidInput, "The signed payload is not the JSON that this endpoint takes: %s", err)
	}
	return nil
}

// decodeNumbers reads JSON without loss: numbers stay the text that they are.
func decodeNumbers(raw []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("data after the JSON value")
	}
	return v, nil
}
