package gov

import (
	"encoding/json"
	"fmt"
	"time"

	"synod"
	"synod/app"
	"synod/internal/js"
	"synod/internal/tables"
)

// proposal is one proposal at work.
type proposal struct {
	id   string
	body []byte
	info tables.ProposalInfo
}

// vote is what the constitution hears of one ballot.
type vote struct {
	MemberID synod.MemberID `json:"member_id"`
	Vote     bool           `json:"vote"`
}

// resolve runs every ballot, asks the constitution for the outcome and, if it
// accepts, carries the proposal out. The new state is in p.info and in the
// transaction. A constitution that fails is a 500 that drops all of it
// (CCF: src/node/gov/handlers/proposals.h, resolve_proposal).
//
// fresh is the member whose ballot has just come in, "" for none.
func (g *gov) resolve(c *app.Context, p *proposal, constitution script, fresh synod.MemberID) error {
	votes, failures, err := g.count(c, p, fresh)
	if err != nil {
		return err
	}
	state, err := g.outcome(c, p, constitution, votes)
	if err != nil {
		return err
	}
	p.info.State = state
	if state != tables.ProposalOpen {
		removeOtherClosed(c.Tx(), p.id)
		p.info.FinalVotes, p.info.VoteFailures = map[synod.MemberID]bool{}, failures
		for _, v := range votes {
			p.info.FinalVotes[v.MemberID] = v.Vote
		}
	}
	if err := p.store(c.Tx()); err != nil {
		return err
	}
	if state != tables.ProposalAccepted {
		return nil
	}
	_, failure, err := g.call(c, run{
		script: constitution, function: "apply", args: []any{string(p.body), p.id},
		access: js.GovReadWrite, effects: g.effects(c.Tx()),
	})
	if err != nil {
		return internal("Failed to apply(): %s", err)
	}
	if failure != nil {
		return failed("Failed to apply(): "+failure.Reason, failure.Trace)
	}
	return nil
}

// ballotTimesMax is how many times the limit of one run all the ballots on a
// proposal may take together, each time that they are counted.
const ballotTimesMax = 3

// count runs the ballots in the order of their members. A ballot that throws
// is no vote. One that is no module with a vote is refused, so that its member
// can send another, but only when it comes in: an earlier ballot that no longer
// loads must not keep every other one out.
//
// Every ballot runs again for each that comes in, so one that loops costs its
// time each time. What all of them may take is bounded, and each gets an equal
// part of what those before it have left, and a moment in any case: ballots
// that loop cannot make the others fail.
func (g *gov) count(c *app.Context, p *proposal, fresh synod.MemberID) ([]vote, map[synod.MemberID]tables.Failure, error) {
	votes, failures := []vote{}, map[synod.MemberID]tables.Failure{}
	limits, err := limits(c.Tx())
	if err != nil {
		return nil, nil, internal("Failed to execute ballots: %s", err)
	}
	members := sortedKeys(p.info.Ballots)
	end := g.engine.Now().Add(ballotTimesMax * limits.Execution)
	for i, member := range members {
		value, failure, err := g.call(c, run{
			script:   ballotScript(p.id, member, p.info.Ballots[member]),
			function: "vote", args: []any{string(p.body), string(p.info.ProposerID)},
			within: max(end.Sub(g.engine.Now())/time.Duration(len(members)-i), limits.Execution/50),
		})
		switch {
		case err != nil:
			return nil, nil, internal("Failed to execute ballot of %s: %s", member, err)
		case failure != nil && member == fresh && doesNotLoad(failure):
			return nil, nil, synod.Errorf(400, synod.CodeInvalidInput, "Ballot cannot be evaluated: %s", failure.Reason)
		case failure != nil:
			failures[member] = *failure
		default:
			votes = append(votes, vote{MemberID: member, Vote: string(value) == "true"})
		}
	}
	return votes, failures, nil
}

// outcome asks the constitution what the votes mean.
func (g *gov) outcome(c *app.Context, p *proposal, constitution script, votes []vote) (tables.ProposalState, error) {
	value, failure, err := g.call(c, run{
		script: constitution, function: "resolve", args: []any{string(p.body), string(p.info.ProposerID), votes, p.id},
	})
	if err != nil {
		return "", internal("Failed to resolve(): %s", err)
	}
	if failure != nil {
		return "", failed("Failed to resolve(): "+failure.Reason, failure.Trace)
	}
	var text string
	if json.Unmarshal(value, &text) != nil {
		text = string(value)
		if value == nil {
			text = "undefined"
		}
	}
	switch state := tables.ProposalState(text); state {
	case tables.ProposalOpen, tables.ProposalAccepted, tables.ProposalRejected:
		return state, nil
	default:
		return "", failed(fmt.Sprintf("resolve() returned invalid status value: \"%s\"", text), "")
	}
}

// failed is the answer when a constitution failed
// (CCF: include/ccf/service/tables/gov.h).
func failed(reason, trace string) *synod.Error {
	if trace == "" {
		trace = "N/A"
	}
	return internal("%s\nTrace: %s", reason, trace)
}

// removeOtherClosed drops the proposals that are no longer open, but for the
// one that is about to be.
func removeOtherClosed(tx app.Tx, keep string) {
	var closed []string
	tx.ForEach(tables.ProposalsInfo, func(key, value []byte) bool {
		var info tables.ProposalInfo
		// A row that does not parse is no open proposal.
		if json.Unmarshal(value, &info) != nil || info.State != tables.ProposalOpen {
			if id := string(key); id != keep {
				closed = append(closed, id)
			}
		}
		return true
	})
	for _, id := range closed {
		tx.Delete(tables.Proposals, []byte(id))
		tx.Delete(tables.ProposalsInfo, []byte(id))
	}
}

// effects are the node's, with this package's own for JWT signing keys, which
// are rows of tables and nothing else.
func (g *gov) effects(tx app.Tx) *js.Effects {
	e := *g.node.Effects(tx)
	e.SetJWTPublicSigningKeys = func(issuer string, _, jwks json.RawMessage) error {
		return setSigningKeys(tx, issuer, jwks)
	}
	e.RemoveJWTPublicSigningKeys = func(issuer string) error { return removeSigningKeys(tx, issuer) }
	return &e
}
