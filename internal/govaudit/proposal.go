package govaudit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"synod/app"
	"synod/internal/js"
	"synod/internal/kv"
	"synod/internal/tables"
)

// Paths of the handlers that record what members sign.
const (
	createPath   = "/members/proposals:create"
	withdrawPath = "/members/proposals/{proposalId}:withdraw"
	ballotPath   = "/members/proposals/{proposalId}/ballots/{memberId}:submit"
)

// idSearchMax is how many states before a proposal may be the one that its ID
// binds it to, in transactions: it is made on one and ordered later.
const idSearchMax = 1000

// proposal judges a transaction that made a proposal.
func (t *transaction) proposal(s *signed) {
	t.report.Proposals++
	id, body := t.newProposal()
	e := t.eventOf("proposed", s)
	e.Proposal, e.Actions = id, actionNames(s.msg.Payload)
	t.outcome(&e, id)
	t.event(e)
	if id == "" {
		t.found(Violation, tables.Proposals, "", "the request is a proposal, but none was recorded")
		return
	}
	if t.writes(tables.COSERecentProposals) != nil {
		t.window = true
	}
	if !bytes.Equal(body, s.msg.Payload) {
		t.found(Violation, tables.Proposals, id, "the recorded proposal is not the one that its proposer signed")
		return
	}
	root, ok := t.boundTo(id, s.msg.Signature)
	if !ok {
		t.found(Violation, tables.Proposals, id, "the proposal's ID is not that of its request at any of the last %d states", idSearchMax)
		return
	}
	t.node.root = root
	t.rerun(s, createPath, nil)
}

// newProposal is the one proposal that the transaction recorded.
func (t *transaction) newProposal() (string, []byte) {
	m := t.writes(tables.Proposals)
	if m == nil || len(m.Writes) != 1 {
		return "", nil
	}
	return string(m.Writes[0].Key), m.Writes[0].Value
}

// boundTo finds the root that a proposal's ID was made with.
func (t *transaction) boundTo(id string, signature []byte) ([32]byte, bool) {
	digest := sha256.Sum256(signature)
	for i := t.id.SeqNo - 1; i > 0 && i+idSearchMax >= t.id.SeqNo; i-- {
		root, ok := t.roots(i)
		if !ok {
			break
		}
		sum := sha256.Sum256(append(root[:], digest[:]...))
		if hex.EncodeToString(sum[:]) == id {
			return root, true
		}
	}
	return [32]byte{}, false
}

// ballot judges a transaction that recorded a vote.
func (t *transaction) ballot(s *signed) {
	t.report.Ballots++
	id := s.header.ProposalID
	e := t.eventOf("voted", s)
	e.Proposal = id
	t.outcome(&e, id)
	defer func() { t.event(e) }()
	info, ok := t.proposalAfter(id)
	if !ok {
		t.found(Violation, tables.ProposalsInfo, id, "the ballot is for a proposal that the transaction does not change")
		return
	}
	var payload struct {
		Ballot *string `json:"ballot"`
	}
	stored, has := info.Ballots[s.member]
	if json.Unmarshal(s.msg.Payload, &payload) != nil || payload.Ballot == nil || !has || *payload.Ballot != stored {
		t.found(Violation, tables.ProposalsInfo, id, "the recorded ballot is not the one that the member signed")
		return
	}
	votes := t.rerun(s, ballotPath, []app.Param{{Name: "proposalId", Value: id}, {Name: "memberId", Value: string(s.member)}})
	e.Vote = t.voteOf(s, id, stored, votes)
}

// voteOf is what a ballot came to: as the resolved proposal says, or by
// running it.
func (t *transaction) voteOf(s *signed, id, ballot string, after tables.ProposalInfo) string {
	if vote, ok := after.FinalVotes[s.member]; ok {
		if vote {
			return "for"
		}
		return "against"
	}
	if _, ok := after.VoteFailures[s.member]; ok {
		return "failed"
	}
	info, _, err := tables.GetJSON[tables.ProposalInfo](t.before, tables.ProposalsInfo, []byte(id))
	body, _ := t.before.Get(tables.Proposals, []byte(id))
	if err != nil {
		return "failed"
	}
	value, err := t.engine.CallGov(t.ctx, js.GovCall{
		Module:   fmt.Sprintf("%s[%s].ballots[%s]", tables.ProposalsInfo, id, string(s.member)),
		Source:   ballot,
		Function: "vote", Args: []any{string(body), string(info.ProposerID)},
		Access: js.GovReadOnly, Tx: t.before, Limits: js.DefaultLimits(),
	})
	switch {
	case err != nil:
		return "failed"
	case string(value) == "true":
		return "for"
	default:
		return "against"
	}
}

// withdrawal judges a transaction that withdrew a proposal.
func (t *transaction) withdrawal(s *signed) {
	t.report.Withdrawals++
	id := s.header.ProposalID
	e := t.eventOf("withdrew", s)
	e.Proposal = id
	t.outcome(&e, id)
	t.event(e)
	if info, ok := t.proposalAfter(id); !ok || info.State != tables.ProposalWithdrawn {
		t.found(Violation, tables.ProposalsInfo, id, "the proposal is not withdrawn by its withdrawal")
		return
	}
	t.rerun(s, withdrawPath, []app.Param{{Name: "proposalId", Value: id}})
}

// proposalAfter is a proposal's record as the transaction wrote it.
func (t *transaction) proposalAfter(id string) (tables.ProposalInfo, bool) {
	var info tables.ProposalInfo
	if m := t.writes(tables.ProposalsInfo); m != nil {
		for _, w := range m.Writes {
			if string(w.Key) == id {
				return info, json.Unmarshal(w.Value, &info) == nil
			}
		}
	}
	return info, false
}

// outcome fills in the state that an event left its proposal in.
func (t *transaction) outcome(e *Event, id string) {
	info, _ := t.proposalAfter(id)
	t.counted = t.counted || info.FinalVotes != nil
	if e.State = info.State; e.State == tables.ProposalAccepted {
		t.report.Accepted++
	}
}

// attempt is what one run of a request gives.
type attempt struct {
	wanted      rows         // what the handler writes
	differences []difference // from what the ledger has
	failure     string       // why the handler refuses the request, or ""
}

// rerun gives a request to its handler and compares. It returns the record of
// the proposal that the ledger has. What two runs with different clocks do not
// agree on is not judged.
func (t *transaction) rerun(s *signed, path string, params []app.Param) tables.ProposalInfo {
	signedAt := time.Unix(int64(min(s.header.CreatedAt, 1<<40)), 0) //nolint:gosec // bounded
	if a := t.attempt(s, path, params, signedAt); a.failure != "" || len(a.differences) > 0 {
		const later = 400 * 24 * time.Hour
		t.explain(a, t.attempt(s, path, params, signedAt.Add(later)))
	}
	id := s.header.ProposalID
	if id == "" {
		id, _ = t.newProposal()
	}
	info, _ := t.proposalAfter(id)
	return info
}

// attempt runs the handler once.
func (t *transaction) attempt(s *signed, path string, params []app.Param, at time.Time) attempt {
	t.setTime(at)
	fx := &effects{transaction: t}
	t.node.effects = fx.forApply
	tx, err := t.run(path, params, s.caller())
	defer tx.Release()
	if err != nil {
		return attempt{failure: firstLine(err)}
	}
	ws := tx.WriteSet()
	if ws == nil {
		ws = &kv.WriteSet{}
	}
	return attempt{wanted: rowsOf(ws.Maps), differences: append(fx.faults, t.compare(ws)...)}
}

// explain makes findings of two runs of a request. Where they differ, time or
// chance decide, and the ledger cannot be blamed.
func (t *transaction) explain(a, b attempt) {
	const unpredictable = "cannot be re-executed: %s depends on the time or on chance"
	switch {
	case strings.Contains(a.failure, tookTooLong):
		t.found(NotReexecuted, "", "", "cannot be re-executed: %s", a.failure)
	case a.failure != b.failure:
		t.found(NotReexecuted, "", "", unpredictable, "whether it fails")
	case a.failure != "":
		t.violation("the request could not have been accepted: %s", a.failure)
	}
	for _, d := range a.differences {
		if !bytes.Equal(a.wanted[d.row], b.wanted[d.row]) && b.failure == "" {
			t.found(NotReexecuted, d.table, d.key, unpredictable, d.name())
		} else {
			t.found(Violation, d.table, d.key, "%s %s", d.name(), d.text)
		}
	}
}

// tookTooLong is in the text of a script that the time limit ended.
const tookTooLong = "took too long to complete"

func (d difference) name() string {
	if k := shownKey(d.key); k != "" {
		return fmt.Sprintf("row %s of table %s", k, d.table)
	}
	return "table " + d.table
}

func actionNames(body []byte) []string {
	var p struct {
		Actions []struct {
			Name string `json:"name"`
		} `json:"actions"`
	}
	if json.Unmarshal(body, &p) != nil {
		return nil
	}
	names := make([]string, len(p.Actions))
	for i, a := range p.Actions {
		names[i] = a.Name
	}
	return names
}
