package conlint

import (
	"fmt"
	"slices"
	"strings"

	"synod/internal/js"
	"synod/internal/kv"
	"synod/internal/tables"
)

// effectPowers are what effects of apply decide; others decide nothing that
// lasts.
var effectPowers = map[string]string{
	"opens the service":   "service identity",
	"service certificate": "service certificate",
	"new ledger secret":   "recovery", "sealed keys": "recovery", "new recovery shares": "recovery",
	"node certificate":   "nodes",
	"token signing keys": "tokens",
}

// apply carries every valid request out, to see what it can change.
func (l *linter) apply() error {
	people := l.svc.members(5)
	for _, k := range l.kinds {
		if k.name != "member" {
			people = append(people, k.person)
		}
	}
	store, err := l.world(people)
	if err != nil {
		return err
	}
	for _, s := range l.subjects {
		if !s.valid {
			continue
		}
		if err := l.carryOut(store, s); err != nil {
			return err
		}
		if err := l.surprise(store, s); err != nil {
			return err
		}
		if err := l.missing(s); err != nil {
			return err
		}
	}
	return nil
}

// missing runs apply on a service without members, nodes and so on: what a proposal names may
// have gone by the time that it is accepted. To refuse then is right, to fall
// over is not.
func (l *linter) missing(s *subject) error {
	var did []string
	tx := kv.New().Begin()
	defer tx.Release()
	l.svc.foundation(tx)
	out, err := l.applyOn(tx, s.request, &did)
	if err == nil && out.thrown != nil && isMistake(out.thrown.Reason) && s.variant == "" && !s.guessed {
		at, ok := l.src.traced(out.thrown.Trace)
		if !ok {
			at = s.at
		}
		l.find(Note, "apply-unsure", at, fmt.Sprintf("apply throws on %s when the rows that it reads are not there (%s), instead of saying what is missing", s.label(), out.thrown.Reason), "look whether a row is there before reading it")
	}
	return err
}

// carryOut runs apply and notes what it did.
func (l *linter) carryOut(store *kv.Store, s *subject) error {
	var did []string
	tx := store.Begin()
	defer tx.Release()
	out, err := l.applyOn(tx, s.request, &did)
	if err != nil {
		return err
	}
	if out.thrown != nil {
		l.applyThrows(s, out)
	}
	powers, writes := map[string]bool{}, map[string]bool{}
	for _, effect := range did {
		powers[effectPowers[effect]] = true
	}
	if ws := tx.WriteSet(); ws != nil {
		for _, m := range ws.Maps {
			power := powerOf(m.Name)
			if m.Name == tables.Service && slices.Contains(did, "service certificate") {
				power = "service certificate"
			}
			if power != "" {
				powers[power], writes[m.Name] = true, true
			}
			if power == "application's tables" {
				l.find(Note, "application-table", s.at, s.name+" writes "+m.Name+", a table of the application", "make sure that the application expects it")
			}
		}
	}
	delete(powers, "")
	if s.mayMark && powers["members"] {
		delete(powers, "members")
		powers["operators"] = true
	}
	s.powers, s.writes = sorted(powers), sorted(writes)
	return nil
}

func (l *linter) applyOn(tx *kv.Tx, r request, did *[]string) (outcome, error) {
	body := proposal(r)
	tx.Put(tables.Proposals, []byte(proposalID), []byte(body))
	return l.run.run(tx, l.run.source, "apply", js.GovReadWrite, effects(did), body, proposalID)
}

// isMistake says whether what was thrown is thrown by the engine for code that
// is wrong, and not by the text on purpose.
func isMistake(reason string) bool {
	for _, kind := range []string{"TypeError", "ReferenceError", "RangeError", "SyntaxError", "InternalError"} {
		if strings.HasPrefix(reason, kind) {
			return true
		}
	}
	return false
}

func (l *linter) applyThrows(s *subject, out outcome) {
	at, ok := l.src.traced(out.thrown.Trace)
	if !ok {
		at = s.at
	}
	if strings.Contains(out.thrown.Reason, "This table is inaccessible") || strings.Contains(out.thrown.Reason, "This table is read-only") {
		reason, _, _ := strings.Cut(out.thrown.Reason, ". ")
		l.find(Error, "forbidden-table", at, fmt.Sprintf("apply throws on %s (%s): governance may not do that to this table", s.label(), reason), "keep what governance decides in tables public:ccf.gov.* or in public tables of the application")
		return
	}
	severity, do := Warning, "let validate refuse what apply cannot do"
	if isMistake(out.thrown.Reason) && !s.guessed {
		severity, do = Error, "correct it: whoever votes for such a proposal sees it fail"
	}
	l.find(severity, "apply-throws", at, fmt.Sprintf("apply throws on %s (%s) although validate takes it", s.label(), out.thrown.Reason), do)
}

// surprise gives apply the arguments that validate takes and should not: an
// engine's own complaint then says that validate looked too little.
func (l *linter) surprise(store *kv.Store, s *subject) error {
	if s.variant != "" {
		return nil
	}
	for _, a := range garbage {
		r := request{name: s.name, args: a}
		v, err := l.validity(proposal(r))
		if err != nil {
			return err
		}
		if !v.valid {
			continue
		}
		tx := store.Begin()
		var did []string
		out, err := l.applyOn(tx, r, &did)
		tx.Release()
		if err != nil {
			return err
		}
		if out.thrown != nil && isMistake(out.thrown.Reason) && !strings.Contains(out.thrown.Reason, "this node does not offer it") {
			l.find(Warning, "takes-garbage", s.at, fmt.Sprintf("%s: validate takes %s as arguments, on which apply throws (%s)", s.name, jsonText(a), out.thrown.Reason), "check in validate every argument that apply reads")
			return nil
		}
	}
	return nil
}
