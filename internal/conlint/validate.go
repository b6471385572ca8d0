package conlint

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"synod/internal/tables"
)

// subject is a request under study.
type subject struct {
	request
	at      Place
	valid   bool
	guessed bool // its arguments are this tool's invention
	refused string

	votes    map[int]int // by size of the consortium, fewest votes; -1 for none
	decided  map[string]Place
	alone    []string // kinds
	counted  map[string]bool
	veto     bool
	outcomes map[string]bool
	powers   []string
	writes   []string
}

func (s *subject) label() string { return (&Action{Name: s.name, Variant: s.variant}).label() }

// verdict is what validate says.
type verdict struct {
	valid       bool
	description string
	thrown      string
}

// validity asks validate about a text.
func (l *linter) validity(body string) (verdict, error) {
	tx := l.base.Begin()
	defer tx.Release()
	out, err := l.run.call(tx, "validate", body)
	if err != nil {
		return verdict{}, err
	}
	if out.thrown != nil {
		return verdict{thrown: out.thrown.Reason}, nil
	}
	var v struct {
		Valid       any    `json:"valid"`
		Description string `json:"description"`
	}
	if json.Unmarshal(out.value, &v) != nil || len(out.value) == 0 || out.value[0] != '{' {
		l.find(Error, "validate-result", l.function("validate"), "validate does not return an object, so no proposal could be made", "return { valid, description }")
	} else if _, ok := v.Valid.(bool); !ok {
		l.find(Error, "validate-result", l.function("validate"), fmt.Sprintf("validate returns %v as valid: only the boolean true makes a proposal valid", v.Valid), "return { valid, description } with a boolean")
	}
	return verdict{valid: v.Valid == true, description: v.Description}, nil
}

// inherited are names that every object of JavaScript has.
var inherited = []string{"constructor", "toString", "__proto__", "hasOwnProperty"}

// noSuchAction is a name that no constitution knows.
const noSuchAction = "synod_lint_no_such_action"

// validate finds out what may be proposed and what else validate takes.
func (l *linter) validate() error {
	if err := l.malformed(); err != nil {
		return err
	}
	unknown, err := l.validity(proposal(request{name: noSuchAction}))
	if err != nil {
		return err
	}
	if unknown.valid {
		l.find(Error, "unknown-action", l.function("validate"), "validate takes an action that there is not: such a proposal could be accepted and then fails in apply, or silently does nothing", "refuse each action that is not known by name")
	}
	for _, name := range inherited {
		v, err := l.validity(proposal(request{name: name}))
		if err != nil {
			return err
		}
		if v.valid && !unknown.valid {
			l.find(Error, "unknown-action", l.function("validate"), "validate takes "+name+" as an action, which every object has: actions are looked up in an object that inherits", "keep actions in a Map, or look with Object.hasOwn")
			break
		}
	}
	for _, name := range l.candidates() {
		v, err := l.validity(proposal(request{name: name, args: args{}}))
		if err != nil {
			return err
		}
		strange := strings.ReplaceAll(unknown.description+unknown.thrown, noSuchAction, name)
		if _, keyed := l.names.keyed[name]; unknown.valid && !(keyed && l.isKnown(name)) || !unknown.valid && !v.valid && v.description+v.thrown == strange {
			continue
		}
		if err := l.study(name); err != nil {
			return err
		}
	}
	if len(l.subjects) == 0 {
		l.find(Error, "no-actions", l.function("validate"), "no action was found that validate knows: nothing could be proposed, not even another constitution", "check that the file with the actions is among the files, and before the one with validate")
		return errStop
	}
	return nil
}

func (l *linter) isKnown(name string) bool { _, ok := l.svc.known()[name]; return ok }

// malformed gives validate what is no proposal.
func (l *linter) malformed() error {
	var throws []string
	for _, body := range []string{`{}`, `null`, `[]`, `7`, `{"actions":null}`, `{"actions":7}`, `{"actions":{}}`, `{"actions":[null]}`, `{"actions":["x"]}`, `{"actions":[{}]}`} {
		v, err := l.validity(body)
		if err != nil {
			return err
		}
		if v.valid {
			l.find(Error, "malformed-proposal", l.function("validate"), "validate takes "+body+", which is no list of actions", "check that actions is an array of objects that have a known name")
		}
		if v.thrown != "" {
			throws = append(throws, body)
		}
	}
	if len(throws) > 0 {
		l.find(Note, "validate-throws", l.function("validate"), "validate throws on "+strings.Join(throws, " ")+": the member is told of an internal error instead of what is wrong", "return { valid: false, description } instead")
	}
	return nil
}

// candidates are words that may be the name of an action, in order.
func (l *linter) candidates() []string {
	all := map[string]bool{}
	for name := range l.names.words {
		all[name] = true
	}
	for name := range l.svc.known() {
		all[name] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// study makes the requests of an action and finds arguments that they take.
func (l *linter) study(name string) error {
	at := l.function("validate")
	if offset, ok := l.names.keyed[name]; ok {
		at = l.src.at(offset)
	} else if offset, ok := l.names.words[name]; ok {
		at = l.src.at(offset)
	}
	given, isKnown := l.svc.known()[name]
	first := &subject{request: request{name: name, args: given}, at: at}
	ask := func(a any) (string, error) {
		v, err := l.validity(proposal(request{name: name, args: a}))
		if v.valid {
			return "", err
		}
		return v.description + v.thrown + "!", err
	}
	var err error
	if first.refused, err = ask(given); err != nil {
		return err
	}
	first.valid = first.refused == ""
	if !first.valid || !isKnown {
		if a, ok, err := l.svc.guess(l.names.fields, ask); err != nil {
			return err
		} else if ok {
			first.args, first.valid, first.guessed = a, true, true
		}
	}
	l.subjects = append(l.subjects, first)
	if !first.valid {
		l.find(Note, "no-arguments", at, name+": no arguments were found that validate takes ("+strings.TrimSuffix(first.refused, "!")+"), so apply was not tried", "see whether the action is meant to be refused always")
	}
	for _, r := range l.svc.variants(name, l.kinds, l.names.marks) {
		refused, err := ask(r.args)
		if err != nil {
			return err
		}
		if refused == "" {
			l.subjects = append(l.subjects, &subject{request: r, at: at, valid: true})
		}
	}
	return l.wrong(first, ask)
}

// wrong gives an action arguments that it cannot mean.
func (l *linter) wrong(s *subject, ask func(any) (string, error)) error {
	wrong := s.wrongTypes()
	for _, name := range slices.Sorted(maps.Keys(wrong)) {
		refused, err := ask(wrong[name])
		if err != nil {
			return err
		}
		if refused == "" && !s.guessed {
			l.find(Warning, "wrong-type", s.at, s.name+": validate takes a number as "+name+", which must be a text", "check the type of "+name+" in the action's validation")
		}
	}
	for _, a := range s.unusual() { // for what is reached
		if _, err := ask(a); err != nil {
			return err
		}
	}
	if s.name != "set_constitution" {
		return nil
	}
	refused, err := ask(args{"constitution": "this is no JavaScript"})
	if refused == "" && err == nil {
		l.find(Error, "broken-constitution", s.at, "validate takes a text as the new constitution that does not compile: once accepted, nothing can ever be proposed again", "call ccf.gov.validateConstitution(args.constitution)")
	}
	return err
}

// critical are the powers by which somebody can take the service over.
var critical = []string{"constitution", "application", "members", "what may join", "service identity"}

// powerOf is what a table decides.
func powerOf(table string) string {
	for _, p := range []struct{ prefix, power string }{
		{tables.Constitution, "constitution"},
		{tables.Modules, "application"},
		{tables.Endpoints, "application"},
		{tables.InterpreterFlush, "application"},
		{tables.JSRuntime, "limits"},
		{"public:ccf.gov.members.", "members"},
		{"public:ccf.gov.users.", "users"},
		{tables.Nodes, "nodes"},
		{tables.NodeEndorsedCertificates, "nodes"},
		{"public:ccf.gov.nodes.", "what may join"},
		{tables.ServiceConfiguration, "service configuration"},
		{tables.Service, "service identity"},
		{"public:ccf.gov.jwt.", "tokens"},
		{"public:ccf.gov.tls.", "tokens"},
		{tables.Proposals, ""},
		{tables.ProposalsInfo, ""},
		{"public:ccf.gov.cose_", ""},
		{tables.GovHistory, ""},
		{tables.GovPrefix, "other governance"},
	} {
		if strings.HasPrefix(table, p.prefix) {
			return p.power
		}
	}
	return "application's tables"
}
