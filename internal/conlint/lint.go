package conlint

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dop251/goja/ast"

	"synod/internal/kv"
)

// Options are a lint's choices.
type Options struct {
	// OperatorMay are actions that an operator may pass alone, besides
	// OperatorActions.
	OperatorMay []string

	callTime time.Duration // 0 for the usual
}

// OperatorActions are what whoever runs a service must be able to do, and what
// an operator may pass alone without a finding: none of them decides what code
// runs, who is a member or what the rules are.
func OperatorActions() []string {
	return []string{
		"transition_node_to_trusted", "remove_node", "set_node_data",
		"set_node_certificate_validity", "set_all_nodes_certificate_validity", "set_service_certificate_validity",
		"trigger_ledger_chunk", "trigger_snapshot",
	}
}

// linter is one lint at work.
type linter struct {
	src      *source
	tree     *tree
	names    *names
	probes   *probes
	run      *runner
	svc      *service
	kinds    []kind
	may      []string
	callTime time.Duration
	base     *kv.Store // three members
	subjects []*subject
	odd      map[string]*oddThrow
	report   *Report
	seen     map[string]bool // findings, so that one is told once
}

// errStop ends a lint whose findings say why.
var errStop = errors.New("nothing more can be said")

// Lint reads and runs a constitution made of files, in the order in which a
// node would join them. What is wrong with the constitution is in the report;
// an error is anything else.
func Lint(ctx context.Context, files []File, o Options) (*Report, error) {
	src := join(files)
	sum := sha256.Sum256([]byte(src.text))
	l := &linter{
		src: src, may: append(OperatorActions(), o.OperatorMay...), callTime: cmp.Or(o.callTime, callTime),
		seen: map[string]bool{}, odd: map[string]*oddThrow{},
		report: &Report{SHA256: hex.EncodeToString(sum[:]), Files: []string{}, Kinds: []string{}, Actions: []Action{}, Findings: []Finding{}, Unreached: []Unreached{}},
	}
	for _, f := range files {
		l.report.Files = append(l.report.Files, f.Name)
	}
	err := l.lint(ctx)
	if l.run != nil {
		l.run.engine.Close()
	}
	if err != nil && !errors.Is(err, errStop) {
		return nil, err
	}
	slices.SortFunc(l.report.Findings, byWeight)
	return l.report, nil
}

func (l *linter) lint(ctx context.Context) error {
	var err error
	if l.run, err = newRunner(ctx, l.src.text, l.callTime); err != nil {
		return err
	}
	if l.svc, err = newService(); err != nil {
		return err
	}
	if l.base, err = l.world(l.svc.members(3)); err != nil {
		return err
	}
	for _, step := range []func() error{l.load, l.contract, l.words, l.validate, l.resolve, l.apply, l.judge} {
		if err = step(); err != nil {
			break
		}
	}
	l.oddThrows()
	switch {
	case errors.Is(err, errSpent):
		l.spent()
		return errStop
	case errors.Is(err, errUnfinished):
		l.find(Warning, "unfinished", Place{}, fmt.Sprintf("calls take so long that not everything was tried within %s; what is said here is not all", lintMax), "make it faster: a call of a usual constitution takes less than a millisecond")
		return errStop
	}
	return err
}

// find adds a finding; places without a file are those of the whole text.
func (l *linter) find(s Severity, id string, at Place, what, do string) {
	if at.File == "" {
		at = l.src.line(1)
	}
	key := fmt.Sprint(id, at, what)
	if !l.seen[key] {
		l.seen[key] = true
		l.report.Findings = append(l.report.Findings, Finding{ID: id, Severity: s, Place: at, What: what, Do: do})
	}
}

// spent tells of a text that loops or takes all memory.
func (l *linter) spent() {
	at, ok := l.src.traced(l.run.spent.Trace)
	if !ok {
		at = l.topLevel()
	} else if last := l.reached(); last.File == at.File && last.Line > at.Line {
		at = last // a loop without statements has no line of its own
	}
	if !l.run.spent.Timeout {
		l.find(Error, "memory", at, "a call takes all the memory that it may have: every proposal that comes here fails", "keep what is collected in proportion to the members and votes")
		return
	}
	l.find(Error, "endless", at, fmt.Sprintf("a call does not end within %s: every proposal that comes here fails, after the service has waited for it", l.callTime),
		"bound the loop; a constitution's call takes less than a thousandth of this")
}

// words reads the names and makes up the people that they tell apart.
func (l *linter) words() error {
	l.names = harvest(l.tree)
	l.kinds = kindsOf(l.names)
	for _, k := range l.kinds {
		l.report.Kinds = append(l.report.Kinds, k.name)
	}
	for _, id := range l.names.ids {
		l.find(Warning, "fixed-member", l.src.at(l.names.words[id]), "an ID is written into the text: whoever has it is treated apart for as long as this constitution is in force", "mark members in their member_data instead, which a proposal can change")
	}
	walk(l.tree.program, func(n ast.Node) bool {
		what := ""
		switch n := n.(type) {
		case *ast.DotExpression:
			if l.tree.textOf(n) == "Math.random" {
				what = "Math.random"
			}
		case *ast.Identifier:
			if n.Name == "Date" {
				what = "Date"
			}
		}
		if what != "" {
			l.find(Warning, "not-repeatable", l.src.at(begin(n)), what+" makes the outcome depend on more than the tables: an auditor who runs the proposal again may get another", "decide from the proposal, the votes and the tables alone")
		}
		return true
	})
	return nil
}
