package conlint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"synod/internal/js"
	"synod/internal/kv"
	"synod/internal/tables"
)

// sizes are the consortia that are tried.
var sizes = []int{1, 3, 5}

// vote is what resolve hears of one ballot.
type vote struct {
	MemberID string `json:"member_id"`
	Vote     bool   `json:"vote"`
}

// scene is one state of a proposal in some consortium.
type scene struct {
	store    *kv.Store
	proposer person
	votes    []vote
	requests []request
	odd      string // what is unusual about it: may only be reached after members have left
}

func inFavour(people ...person) []vote {
	all := []vote{}
	for _, p := range people {
		all = append(all, vote{p.id, true})
	}
	return all
}

// proposalID is the ID that proposals have here.
var proposalID = idOf("proposal")

// ask runs resolve on a scene, and tells what is wrong with the answer.
func (l *linter) ask(s *subject, c scene) (string, error) {
	tx := c.store.Begin()
	defer tx.Release()
	body := proposal(c.requests...)
	tx.Put(tables.Proposals, []byte(proposalID), []byte(body))
	l.run.last = -1
	slices.SortFunc(c.votes, func(a, b vote) int { return strings.Compare(a.MemberID, b.MemberID) })
	out, err := l.run.call(tx, "resolve", body, c.proposer.id, c.votes, proposalID)
	if err != nil {
		return "", err
	}
	answer := out.text()
	s.outcomes[answer] = true
	switch answer {
	case string(tables.ProposalOpen), string(tables.ProposalAccepted), string(tables.ProposalRejected):
		return answer, nil
	case "throws":
		l.throws(c, out)
	default:
		l.find(Error, "resolve-result", l.function("resolve"), fmt.Sprintf("resolve returns %s: every proposal that comes to this fails", answer), "return \"Accepted\", \"Rejected\" or \"Open\" at the end of every path")
	}
	return answer, nil
}

// throws tells of a resolve that throws.
func (l *linter) throws(c scene, out outcome) {
	at, ok := l.src.traced(out.thrown.Trace)
	if !ok {
		at = l.function("resolve")
	}
	odd := c.odd
	for _, r := range c.requests {
		odd = cmp.Or(odd, r.odd)
	}
	if odd != "" {
		key := fmt.Sprint(at, out.thrown.Reason)
		if l.odd[key] == nil {
			l.odd[key] = &oddThrow{at: at, reason: out.thrown.Reason}
		}
		if o := l.odd[key]; !slices.Contains(o.when, odd) {
			o.when = append(o.when, odd)
		}
		return
	}
	l.find(Error, "resolve-throws", at, "resolve throws ("+out.thrown.Reason+"): such a proposal can neither be made nor decided", "handle this case, or refuse the action in validate")
}

// oddThrow is a place where resolve throws in unusual states only.
type oddThrow struct {
	at     Place
	reason string
	when   []string
}

// oddThrows tells of them, unless resolve throws there anyway.
func (l *linter) oddThrows() {
	for _, o := range l.odd {
		always := slices.ContainsFunc(l.report.Findings, func(f Finding) bool { return f.ID == "resolve-throws" && f.Place == o.at })
		if !always {
			l.find(Warning, "resolve-throws", o.at, "resolve throws once "+strings.Join(o.when, ", or ")+" ("+o.reason+"): a proposal in that state can then never be decided", "treat who is not, or no longer, in the tables as somebody without mark and vote")
		}
	}
}

// resolve tries every request in every consortium.
func (l *linter) resolve() error {
	for _, s := range l.subjects {
		s.votes, s.decided, s.counted, s.outcomes = map[int]int{}, map[string]Place{}, map[string]bool{}, map[string]bool{}
	}
	for _, n := range sizes {
		people := l.svc.members(n)
		store, err := l.world(people)
		if err != nil {
			return err
		}
		for _, s := range l.subjects {
			if err := l.majority(s, store, people); err != nil {
				return err
			}
		}
	}
	for _, k := range l.kinds {
		people := l.svc.members(5)
		if k.name != "member" {
			people = append(people, k.person)
		}
		store, err := l.world(people)
		if err != nil {
			return err
		}
		for _, s := range l.subjects {
			if err := l.tryKind(s, k, store, l.svc.members(5)); err != nil {
				return err
			}
		}
	}
	if err := l.empty(); err != nil {
		return err
	}
	return l.unlike()
}

// majority finds the fewest votes among equal members, and what votes against
// do.
func (l *linter) majority(s *subject, store *kv.Store, people []person) error {
	n := len(people)
	needed, at, err := l.fewest(s, store, people, 0)
	if err != nil {
		return err
	}
	s.votes[n] = needed
	if needed >= 0 {
		s.decided[fmt.Sprint(n)] = at
	}
	against := []vote{}
	for _, p := range people {
		against = append(against, vote{p.id, false})
	}
	if _, err := l.ask(s, scene{store: store, proposer: people[0], votes: against, requests: []request{s.request}}); err != nil || n < 3 {
		return err
	}
	votes := inFavour(people...)
	votes[n-1].Vote = false
	answer, err := l.ask(s, scene{store: store, proposer: people[0], votes: votes, requests: []request{s.request}})
	if needed >= 0 && needed < n && answer != "Accepted" {
		s.veto = true
	}
	return err
}

// fewest is how many of the people, at least from, must vote for a request of
// the first one, and where resolve said so; -1 if all of them are not enough.
func (l *linter) fewest(s *subject, store *kv.Store, people []person, from int) (int, Place, error) {
	for k := from; k <= len(people); k++ {
		answer, err := l.ask(s, scene{store: store, proposer: people[0], votes: inFavour(people[:k]...), requests: []request{s.request}})
		if err != nil {
			return -1, Place{}, err
		}
		if answer == "Accepted" {
			return k, l.reached(), nil
		}
	}
	return -1, Place{}, nil
}

// reached is the last branch that the last call took.
func (l *linter) reached() Place {
	if l.probes == nil || l.run.last < 0 || l.run.last >= len(l.probes.list) {
		return l.function("resolve")
	}
	return l.src.at(l.probes.list[l.run.last].at)
}

// tryKind finds whether somebody of a kind passes a request alone, and whether
// their vote counts.
func (l *linter) tryKind(s *subject, k kind, store *kv.Store, people []person) error {
	odd := ""
	if k.absent {
		odd = "its proposer is a " + k.said()
	}
	for _, votes := range [][]vote{{}, inFavour(k.person)} {
		answer, err := l.ask(s, scene{store, k.person, votes, []request{s.request}, odd})
		if err != nil {
			return err
		}
		if answer == "Accepted" {
			s.alone = append(s.alone, k.name)
			s.decided[k.name] = l.reached()
			return nil
		}
	}
	if k.absent {
		if _, err := l.ask(s, scene{store, k.person, inFavour(people...), []request{s.request}, odd}); err != nil {
			return err
		}
	}
	if k.name == "member" {
		return nil
	}
	// Who joins hardly ever makes it take fewer votes than without.
	from := max(0, s.votes[len(people)]-1)
	needed, _, err := l.fewest(s, store, people, from)
	if err == nil && needed == from && from > 0 {
		needed, _, err = l.fewest(s, store, people, 0)
	}
	if err != nil || needed < 1 {
		return err
	}
	if odd != "" {
		odd = "a voter is a " + k.said()
	}
	answer, err := l.ask(s, scene{store, people[0], inFavour(append(people[:needed-1:needed-1], k.person)...), []request{s.request}, odd})
	if answer == "Accepted" {
		s.counted[k.name] = true
		s.decided["vote of "+k.name] = l.reached()
	}
	return err
}

// empty asks what happens when nobody is left.
func (l *linter) empty() error {
	store, err := l.world(nil)
	if err != nil {
		return err
	}
	s := l.subjects[0]
	answer, err := l.ask(s, scene{store, l.svc.members(1)[0], []vote{}, []request{s.request}, "no member is left"})
	if answer == "Accepted" && s.votes[3] != 0 {
		l.find(Warning, "accepted-by-nobody", l.reached(), "resolve accepts without votes when no member is active", "ask for more than half, not for half, of the active members")
	}
	return err
}

// unlike compares a call with and without probes: a text may look at itself.
func (l *linter) unlike() error {
	people := l.svc.members(3)
	for _, s := range l.subjects {
		needed := s.votes[3]
		if needed < 0 {
			needed = 3
		}
		for _, votes := range [][]vote{inFavour(people[:needed]...), {}} {
			body := proposal(s.request)
			plain, err := l.resolveOf(l.src.text, body, people[0].id, votes)
			if err != nil {
				return err
			}
			probed, err := l.resolveOf(l.run.source, body, people[0].id, votes)
			if err != nil {
				return err
			}
			if plain != probed {
				l.find(Error, "reads-itself", l.function("resolve"), "resolve answers otherwise when its text is changed where that cannot matter, so it looks at its own text or at what is around it; this report cannot be relied on", "remove what looks at the text of functions")
				return nil
			}
		}
	}
	return nil
}

func (l *linter) resolveOf(text, body, proposer string, votes []vote) (string, error) {
	tx := l.base.Begin()
	defer tx.Release()
	tx.Put(tables.Proposals, []byte(proposalID), []byte(body))
	out, err := l.run.run(tx, text, "resolve", js.GovReadOnly, nil, body, proposer, votes, proposalID)
	return out.text(), err
}
