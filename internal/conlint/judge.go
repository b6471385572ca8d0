package conlint

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

func sorted(set map[string]bool) []string {
	list := slices.Sorted(maps.Keys(set))
	if list == nil {
		list = []string{}
	}
	return list
}

func jsonText(v any) string {
	b, _ := json.Marshal(v) // of texts, numbers and lists
	return string(b)
}

// judge says what is dangerous about who passes what.
func (l *linter) judge() error {
	if err := l.smuggling(); err != nil {
		return err
	}
	l.alone()
	l.minority()
	l.strangersVotes()
	l.stuck()
	l.fill()
	return nil
}

func (s *subject) isCritical() bool {
	return slices.ContainsFunc(s.powers, func(p string) bool { return slices.Contains(critical, p) })
}

// list names requests in a sentence, with what they can change. The table of
// the report has all of them.
func list(all []*subject) string {
	const namedMax = 6
	var names []string
	powers := map[string]bool{}
	weight := func(s *subject) int {
		return slices.IndexFunc(append(critical[:len(critical):len(critical)], s.powers...), func(p string) bool { return slices.Contains(s.powers, p) })
	}
	all = slices.SortedStableFunc(slices.Values(all), func(a, b *subject) int { return weight(a) - weight(b) })
	for _, s := range all {
		if len(names) < namedMax {
			names = append(names, s.label())
		}
		for _, p := range s.powers {
			powers[p] = true
		}
	}
	text := strings.Join(names, ", ")
	if more := len(all) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	if len(powers) > 0 {
		text += ", and with that decides: " + strings.Join(sorted(powers), ", ")
	}
	return text
}

// group is requests for which the same holds for several kinds of people.
type group struct {
	at       Place
	subjects []*subject
	kinds    []string
}

// groups collects what holds of kinds and requests, told at the same place.
func (l *linter) groups(kinds func(kind) bool, holds func(kind, *subject) (Place, bool)) []*group {
	var all []*group
	for _, k := range l.kinds {
		if !kinds(k) {
			continue
		}
		at := map[Place]*group{}
		var places []*group
		for _, s := range l.subjects {
			place, ok := holds(k, s)
			if !ok || s.odd != "" {
				continue
			}
			if at[place] == nil {
				at[place] = &group{at: place}
				places = append(places, at[place])
			}
			at[place].subjects = append(at[place].subjects, s)
		}
		for _, g := range places {
			same := slices.IndexFunc(all, func(o *group) bool { return o.at == g.at && slices.Equal(o.subjects, g.subjects) })
			if same < 0 {
				same = len(all)
				all = append(all, g)
			}
			all[same].kinds = append(all[same].kinds, "a "+k.said())
		}
	}
	return all
}

func (g *group) who() string { return strings.Join(g.kinds, ", ") }

// alone tells of what somebody passes without anybody else.
func (l *linter) alone() {
	for _, isMarked := range []bool{false, true} {
		id := map[bool]string{false: "member-alone", true: "operator-alone"}[isMarked]
		for _, isCritical := range []bool{true, false} {
			found := l.groups(func(k kind) bool { return k.marked == isMarked }, func(k kind, s *subject) (Place, bool) {
				passes := slices.Contains(s.alone, k.name) && !(k.marked && l.isAllowed(s))
				return s.decided[k.name], passes && len(s.powers) > 0 && s.isCritical() == isCritical
			})
			for _, g := range found {
				if isCritical {
					l.find(Error, id, g.at, g.who()+" alone passes "+list(g.subjects)+": one key is enough to take the service over", "ask for the votes of a majority, or name what such a member may do and nothing else")
				} else {
					l.find(Warning, id, g.at, g.who()+" alone passes "+list(g.subjects), "make sure that this is meant; --operator-may allows an operator more")
				}
			}
		}
	}
}

func (l *linter) isAllowed(s *subject) bool { return s.mayMark || slices.Contains(l.may, s.name) }

// minority tells of what fewer than half of the members pass.
func (l *linter) minority() {
	few := map[Place][]*subject{}
	for _, s := range l.subjects {
		if n := s.votes[5]; n > 1 && n <= 2 && s.isCritical() {
			few[s.decided["5"]] = append(few[s.decided["5"]], s)
		}
	}
	for at, all := range few {
		l.find(Error, "minority", at, fmt.Sprintf("%d of 5 members pass %s", all[0].votes[5], list(all)), "ask for more than half of the active members")
	}
}

// strangersVotes tells whose votes count that perhaps should not.
func (l *linter) strangersVotes() {
	counts := func(k kind, s *subject) (Place, bool) { return s.decided["vote of "+k.name], s.counted[k.name] }
	for _, g := range l.groups(func(k kind) bool { return k.absent }, counts) {
		l.find(Warning, "former-votes", g.at, fmt.Sprintf("the vote of %s counts (%d actions)", g.who(), len(g.subjects)), "count only votes whose member_id is active in public:ccf.gov.members.info")
	}
	for _, g := range l.groups(func(k kind) bool { return k.marked }, counts) {
		l.find(Note, "operator-votes", g.at, fmt.Sprintf("the vote of %s counts as that of any member (%d actions)", g.who(), len(g.subjects)), "leave such members out of votes and quorum if they should have none")
	}
}

// stuck tells of what nobody can pass.
func (l *linter) stuck() {
	var never []*subject
	changes, rules := false, false
	for _, s := range l.subjects {
		passes := len(s.alone) > 0 || s.votes[1] >= 0 || s.votes[3] >= 0 || s.votes[5] >= 0
		isRules := slices.Contains(s.powers, "constitution") || s.name == "set_constitution"
		changes = changes || isRules
		rules = rules || isRules && passes && s.valid
		if !passes && s.valid && !isRules && s.odd == "" {
			never = append(never, s)
		}
	}
	switch {
	case !changes:
		l.find(Warning, "frozen", l.function("validate"), "no action replaces the constitution: a mistake in it stays for ever", "keep set_constitution")
	case !rules:
		l.find(Error, "frozen", l.function("resolve"), "nobody can pass an action that replaces the constitution, not even all members together: a mistake in it stays for ever", "let a majority pass set_constitution")
	}
	if len(never) > 0 {
		l.find(Warning, "never-passes", l.function("resolve"), "nobody can pass "+list(never)+", not even all members together", "make resolve accept it, or take the action out")
	}
	for _, s := range l.subjects {
		if s.name == "remove_member" && s.variant == "" && s.votes[5] == 5 {
			l.find(Note, "unanimous", s.decided["5"], "all members must vote for remove_member: one who lost the key, or leaves the others in the lurch, cannot be removed", "let a large majority do instead of all")
		}
	}
}

// smuggling tries what somebody may pass together with what they may not.
func (l *linter) smuggling() error {
	for _, k := range l.kinds {
		if k.absent {
			continue
		}
		var may, mayNot []*subject
		for _, s := range l.subjects {
			if slices.Contains(s.alone, k.name) {
				may = append(may, s)
			} else if s.valid {
				mayNot = append(mayNot, s)
			}
		}
		if len(may) == 0 || len(mayNot) == 0 {
			continue
		}
		people := l.svc.members(5)
		if k.name != "member" {
			people = append(people, k.person)
		}
		store, err := l.world(people)
		if err != nil {
			return err
		}
		var carried []*subject
		at := Place{}
		for _, s := range mayNot {
			for _, cover := range may[:min(3, len(may))] {
				for _, both := range [][]request{{cover.request, s.request}, {s.request, cover.request}} {
					answer, err := l.ask(s, scene{store, k.person, inFavour(k.person), both, ""})
					if err != nil {
						return err
					}
					if answer == "Accepted" && !slices.Contains(carried, s) {
						carried = append(carried, s)
						at = l.reached()
					}
				}
			}
		}
		if len(carried) > 0 {
			l.find(Error, "smuggled", at, fmt.Sprintf("a %s alone passes %s, when it stands in one proposal with %s", k.said(), list(carried), may[0].label()), "require of every action in the proposal, with every(), that its proposer may pass it")
		}
	}
	return l.diluted()
}

// diluted tries whether an action that takes more votes passes with fewer next
// to one that takes few.
func (l *linter) diluted() error {
	people := l.svc.members(5)
	store, err := l.world(people)
	if err != nil {
		return err
	}
	all := slices.DeleteFunc(slices.Clone(l.subjects), func(s *subject) bool { return s.votes[5] < 1 || !s.valid })
	if len(all) == 0 {
		return nil
	}
	cheap := slices.MinFunc(all, func(a, b *subject) int { return cmp.Compare(a.votes[5], b.votes[5]) })
	for _, s := range all {
		if s.votes[5] == cheap.votes[5] {
			continue
		}
		for _, both := range [][]request{{cheap.request, s.request}, {s.request, cheap.request}} {
			answer, err := l.ask(s, scene{store, people[0], inFavour(people[:cheap.votes[5]]...), both, ""})
			if err != nil {
				return err
			}
			if answer == "Accepted" {
				l.find(Error, "diluted", l.reached(), fmt.Sprintf("%s takes %d votes of 5, but only %d when it stands in one proposal with %s", s.label(), s.votes[5], cheap.votes[5], cheap.label()), "ask for the votes that the strictest of the proposal's actions needs")
			}
		}
	}
	return nil
}

// fill writes the table of actions and what was not reached.
func (l *linter) fill() {
	for _, s := range l.subjects {
		if s.odd != "" {
			continue
		}
		a := Action{
			Name: s.name, Variant: s.variant, Place: s.at, Valid: s.valid, Votes: []Votes{}, Alone: append([]string{}, s.alone...),
			Veto: s.veto, Powers: append([]string{}, s.powers...), Writes: append([]string{}, s.writes...), Outcomes: sorted(s.outcomes),
		}
		for _, n := range sizes {
			v := Votes{Members: n}
			if needed := s.votes[n]; needed >= 0 {
				v.Needed = &needed
			}
			a.Votes = append(a.Votes, v)
		}
		l.report.Actions = append(l.report.Actions, a)
	}
	if l.run.source != l.src.text {
		l.report.Unreached = l.probes.unreached(l.run.hit)
		l.report.Branches = l.probes.branches()
	}
}
