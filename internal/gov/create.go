package gov

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"synod"
	"synod/app"
	"synod/internal/tables"
)

// createProposal records a proposal that the constitution finds valid, and
// resolves it at once if that needs no ballot
// (CCF: src/node/gov/handlers/proposals.h).
func (g *gov) createProposal(c *app.Context) error {
	tx, caller := c.Tx(), c.Caller
	digest := sha256.Sum256(caller.COSE.Signature)
	id, err := g.proposalID(tx, digest)
	if err != nil {
		return err
	}
	constitution, err := currentConstitution(c, "proposals")
	if err != nil {
		return err
	}
	if err := g.validate(c, constitution, string(caller.COSE.Content)); err != nil {
		return err
	}
	// The look makes two runs of one request at the same state conflict.
	if tx.Has(tables.Proposals, []byte(id)) {
		return internal("Proposal ID collision.")
	}
	p := &proposal{
		id: id, body: caller.COSE.Content,
		info: tables.ProposalInfo{ProposerID: synod.MemberID(caller.ID), State: tables.ProposalOpen},
	}
	tx.Put(tables.Proposals, []byte(id), p.body)
	if err := recordHistory(c); err != nil {
		return err
	}
	if err := checkReplay(tx, caller.COSE.CreatedAt, digest, id); err != nil {
		return err
	}
	if err := g.resolve(c, p, constitution, ""); err != nil {
		return err
	}
	return c.JSON(p.response())
}

// proposalID binds the signed request to the state that it was made on:
// SHA-256 of the Merkle root at the read version and the digest of the
// request's signature.
func (g *gov) proposalID(tx app.Tx, signature [32]byte) (string, error) {
	root, err := g.node.RootAt(tx.ReadVersion().SeqNo)
	if err != nil {
		e := internal("Proposal failed to bind to state.")
		e.Cause = err
		return "", e
	}
	id := sha256.Sum256(append(root[:], signature[:]...))
	return hex.EncodeToString(id[:]), nil
}

// validate asks the constitution whether it could carry the proposal out.
func (g *gov) validate(c *app.Context, constitution script, body string) error {
	value, failure, err := g.call(c, run{script: constitution, function: "validate", args: []any{body}})
	if err != nil {
		return internal("Failed to execute validation: %s", err)
	}
	if failure != nil {
		return internal("Failed to execute validation: %s %s", failure.Reason, failure.Trace)
	}
	if len(value) == 0 || value[0] != '{' && value[0] != '[' {
		return internal("Validation failed to return an object")
	}
	// An array is an object too, without the properties that count.
	var result struct {
		Valid       json.RawMessage `json:"valid"`
		Description json.RawMessage `json:"description"`
	}
	if value[0] == '{' {
		if err := json.Unmarshal(value, &result); err != nil {
			return internal("Validation failed to return an object")
		}
	}
	if string(result.Valid) != "true" {
		var description string // stays "" unless it is a string
		_ = json.Unmarshal(result.Description, &description)
		return synod.Errorf(400, synod.CodeProposalFailedToValidate, "Proposal failed to validate: %s", description)
	}
	return nil
}

// recordHistory keeps the signed request for auditors.
func recordHistory(c *app.Context) error {
	return tables.PutJSON(c.Tx(), tables.COSEHistory, []byte(c.Caller.ID), tables.Bytes(c.Caller.COSE.Envelope))
}
