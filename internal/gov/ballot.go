package gov

import (
	"encoding/json"

	"synod"
	"synod/app"
	"synod/internal/tables"
)

// submitBallot records a member's ballot on an open proposal and resolves the
// proposal with it. The same ballot again changes nothing.
func (g *gov) submitBallot(c *app.Context) error {
	id, err := signedProposal(c)
	if err != nil {
		return err
	}
	member, err := signedMember(c)
	if err != nil {
		return err
	}
	p, err := openProposal(c.Tx(), id)
	if err != nil {
		return err
	}
	ballot, err := signedBallot(c)
	if err != nil {
		return err
	}
	constitution, err := currentConstitution(c, "ballots")
	if err != nil {
		return err
	}
	if earlier, ok := p.info.Ballots[member]; ok {
		if earlier == ballot {
			return c.JSON(p.response())
		}
		return synod.Errorf(400, synod.CodeVoteAlreadyExists,
			"Different ballot already submitted by %s for %s.", member, id)
	}
	if p.info.Ballots == nil {
		p.info.Ballots = map[synod.MemberID]string{}
	}
	p.info.Ballots[member] = ballot
	if err := recordHistory(c); err != nil {
		return err
	}
	if err := g.resolve(c, p, constitution, member); err != nil {
		return err
	}
	return c.JSON(p.response())
}

// openProposal reads a proposal that still takes ballots, with its body.
func openProposal(tx app.Tx, id string) (*proposal, error) {
	p, err := loadProposal(tx, id)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, proposalNotFound(id)
	}
	if p.info.State != tables.ProposalOpen {
		return nil, synod.Errorf(400, synod.CodeProposalNotOpen,
			"Proposal %s is currently in state %s - only %s proposals can receive votes",
			id, p.info.State, tables.ProposalOpen)
	}
	body, ok := tx.Get(tables.Proposals, []byte(id))
	if !ok {
		return nil, proposalNotFound(id)
	}
	p.body = body
	return p, nil
}

func signedBallot(c *app.Context) (string, error) {
	var body json.RawMessage
	if err := signedJSON(c, &body); err != nil {
		return "", err
	}
	var fields map[string]json.RawMessage
	var ballot *string
	if json.Unmarshal(body, &fields) != nil || json.Unmarshal(fields["ballot"], &ballot) != nil || ballot == nil {
		return "", synod.Errorf(400, synod.CodeInvalidInput,
			`Signed request body is not a JSON object containing required string field "ballot"`)
	}
	return *ballot, nil
}

func (g *gov) getBallot(c *app.Context) error {
	id, err := pathID(c, "proposalId", "proposal")
	if err != nil {
		return err
	}
	member, err := pathMember(c)
	if err != nil {
		return err
	}
	p, err := loadProposal(c.Tx(), id)
	if err != nil {
		return err
	}
	if p == nil {
		return synod.Errorf(404, synod.CodeProposalNotFound, "Proposal %s does not exist.", id)
	}
	ballot, ok := p.info.Ballots[member]
	if !ok {
		return synod.Errorf(404, synod.CodeVoteNotFound, "Member %s has not voted for proposal %s.", member, id)
	}
	c.Bytes(contentTypeJavaScript, []byte(ballot))
	return nil
}
