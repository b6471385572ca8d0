package gov

import (
	"synod"
	"synod/app"
	"synod/internal/tables"
)

// proposalJSON is a proposal as the API shows it. FinalVotes and VoteFailures
// are shown, even if empty, once the proposal has been resolved.
type proposalJSON struct {
	BallotCount   int                               `json:"ballotCount"`
	Failure       *tables.Failure                   `json:"failure,omitempty"`
	FinalVotes    map[synod.MemberID]bool           `json:"finalVotes,omitzero"`
	ProposalID    string                            `json:"proposalId"`
	ProposalState tables.ProposalState              `json:"proposalState"`
	ProposerID    synod.MemberID                    `json:"proposerId"`
	VoteFailures  map[synod.MemberID]tables.Failure `json:"voteFailures,omitzero"`
}

func (p *proposal) response() proposalJSON {
	return proposalJSON{
		BallotCount: len(p.info.Ballots), Failure: p.info.Failure, FinalVotes: p.info.FinalVotes,
		ProposalID: p.id, ProposalState: p.info.State, ProposerID: p.info.ProposerID,
		VoteFailures: p.info.VoteFailures,
	}
}

func (p *proposal) store(tx app.Tx) error {
	return tables.PutJSON(tx, tables.ProposalsInfo, []byte(p.id), p.info)
}

// loadProposal reads a proposal without its body; nil if it is not known.
func loadProposal(tx app.Tx, id string) (*proposal, error) {
	info, ok, err := tables.GetJSON[tables.ProposalInfo](tx, tables.ProposalsInfo, []byte(id))
	if err != nil {
		return nil, broken(err)
	}
	if !ok {
		return nil, nil
	}
	return &proposal{id: id, info: info}, nil
}

func proposalNotFound(id string) error {
	return synod.Errorf(404, synod.CodeProposalNotFound, "Could not find proposal %s.", id)
}

func (g *gov) getProposal(c *app.Context) error {
	id, err := pathID(c, "proposalId", "proposal")
	if err != nil {
		return err
	}
	p, err := loadProposal(c.Tx(), id)
	if err != nil {
		return err
	}
	if p == nil {
		return proposalNotFound(id)
	}
	return c.JSON(p.response())
}

func (g *gov) listProposals(c *app.Context) error {
	list := []proposalJSON{}
	err := tables.EachJSON(c.Tx(), tables.ProposalsInfo, func(id string, info tables.ProposalInfo) bool {
		list = append(list, (&proposal{id: id, info: info}).response())
		return true
	})
	if err != nil {
		return broken(err)
	}
	return c.JSON(values(list))
}

// values is the body of every list.
func values(list any) any {
	return map[string]any{"value": list}
}

// getActions returns the proposal's body as its proposer signed it. CCF sends
// it without a content type.
func (g *gov) getActions(c *app.Context) error {
	id, err := pathID(c, "proposalId", "proposal")
	if err != nil {
		return err
	}
	body, ok := c.Tx().Get(tables.Proposals, []byte(id))
	if !ok {
		return proposalNotFound(id)
	}
	c.Status(200)
	c.Response().Body = body
	return nil
}

// withdraw ends an open proposal at its proposer's wish. Doing so again, or
// for one that is not known any more, is fine.
func (g *gov) withdraw(c *app.Context) error {
	id, err := signedProposal(c)
	if err != nil {
		return err
	}
	p, err := loadProposal(c.Tx(), id)
	if err != nil {
		return err
	}
	if p == nil {
		c.Status(204)
		return nil
	}
	caller := synod.MemberID(c.Caller.ID)
	if p.info.ProposerID != caller {
		return synod.Errorf(403, synod.CodeAuthorizationFailed,
			"Proposal %s can only be withdrawn by proposer %s, not caller %s.", id, p.info.ProposerID, caller)
	}
	switch p.info.State {
	case tables.ProposalOpen:
		p.info.State = tables.ProposalWithdrawn
		if err := p.store(c.Tx()); err != nil {
			return err
		}
		removeOtherClosed(c.Tx(), id)
		if err := recordHistory(c); err != nil {
			return err
		}
	case tables.ProposalWithdrawn:
	case tables.ProposalAccepted, tables.ProposalRejected, tables.ProposalFailed, tables.ProposalDropped:
		return synod.Errorf(400, synod.CodeProposalNotOpen,
			"Proposal %s is currently in state %s and cannot be withdrawn.", id, p.info.State)
	}
	return c.JSON(p.response())
}
