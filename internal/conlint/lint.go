package conlint

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dop251/goja/ast"

	"synod/internal/js"
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
	if l.base, err = l.world(members(3)); err != nil {
		return err
	}
	for _, step := range []func() error{l.load, l.contract, l.words, l.validate, l.resolve, l.apply, l.judge} {
		if err = step(); err != nil {
			break
		}
	}
	l.oddThrows()
	if errors.Is(err, errSpent) {
		l.spent()
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

// load makes the tree and sees whether the engine takes the text.
func (l *linter) load() error {
	tree, parseErr := parse(l.src)
	if tree != nil && len(tree.imports) > 0 {
		l.find(Error, "import", l.src.at(tree.imports[0]), "a constitution cannot import: it is one module, and the engine loads no other", "copy what is needed into one of the files")
		return errStop
	}
	if tree != nil {
		l.tree, l.probes = tree, instrument(tree)
		l.run.source = l.probes.text
		if out, err := l.first(l.probes.text); err != nil || failsWith(out, "Failed to compile") {
			l.run.source = l.src.text
		}
	}
	out, err := l.first(l.src.text)
	if err != nil {
		return err
	}
	var syntax *syntaxError
	switch {
	case failsWith(out, "Failed to compile"):
		at, reason := Place{}, reasonAfter(out.thrown.Reason, "': ")
		if errors.As(parseErr, &syntax) {
			at, reason = l.src.at(syntax.offset), reason+": "+syntax.reason
		} else if twice, name, ok := l.twice(); ok {
			at, reason = twice, reason+": "+name+" is declared before"
		}
		l.find(Error, "syntax", at, "the text does not compile ("+reason+"), so no service takes it", "correct it; remember that all files become one module and share their names")
		return errStop
	case failsWith(out, "Failed to execute"):
		l.find(Error, "top-level", l.topLevel(), "the text throws before any function is called ("+reasonAfter(out.thrown.Reason, module+": ")+"), so no proposal could be made", "at the top level only define things")
		return errStop
	case errors.As(parseErr, &syntax):
		l.find(Warning, "not-read", l.src.at(syntax.offset), "the engine takes this text and this tool cannot read it ("+syntax.reason+"): branches and names are not known", "write it in a simpler way, or read the text by eye")
		return errStop
	case l.run.source == l.src.text:
		l.find(Note, "not-counted", Place{}, "branches of this text cannot be counted: what is never reached is not known", "read the text by eye")
	}
	return nil
}

// first is a first call of a text.
func (l *linter) first(text string) (outcome, error) {
	tx := l.base.Begin()
	defer tx.Release()
	return l.run.run(tx, text, "validate", js.GovReadOnly, nil, proposal())
}

func failsWith(o outcome, begin string) bool {
	return o.thrown != nil && strings.HasPrefix(o.thrown.Reason, begin)
}

func reasonAfter(reason, mark string) string {
	if _, after, ok := strings.Cut(reason, mark); ok {
		return after
	}
	return reason
}

// topLevel is the last statement of the top level that was begun.
func (l *linter) topLevel() Place {
	if l.probes == nil {
		return Place{}
	}
	clear(l.run.hit)
	_, _ = l.first(l.run.source) // fails as it did before
	last := -1
	for i, b := range l.probes.list {
		if l.run.hit[i] && b.what == "" {
			last = max(last, b.at)
		}
	}
	return l.src.at(last)
}

// twice finds a name that the top level declares twice.
func (l *linter) twice() (Place, string, bool) {
	if l.tree == nil {
		return Place{}, "", false
	}
	known := map[string]bool{}
	for _, s := range l.tree.program.Body {
		for _, d := range declared(s) {
			if known[string(d.Name)] {
				return l.src.at(int(d.Idx) - 1), string(d.Name), true
			}
			known[string(d.Name)] = true
		}
	}
	return Place{}, "", false
}

// declared are the names that a statement of the top level declares.
func declared(s ast.Statement) []*ast.Identifier {
	switch s := s.(type) {
	case *ast.FunctionDeclaration:
		return []*ast.Identifier{s.Function.Name}
	case *ast.ClassDeclaration:
		return []*ast.Identifier{s.Class.Name}
	case *ast.LexicalDeclaration:
		var all []*ast.Identifier
		for _, b := range s.List {
			if id, ok := b.Target.(*ast.Identifier); ok {
				all = append(all, id)
			}
		}
		return all
	}
	return nil
}

// contract asks the engine, as set_constitution does, whether the functions are
// there and take what they are given.
func (l *linter) contract() error {
	tx := l.base.Begin()
	defer tx.Release()
	const ask = `export function ask(text) { return ccf.gov.validateConstitution(text); }`
	out, err := l.run.run(tx, ask, "ask", js.GovReadOnly, nil, l.src.text)
	if err != nil || out.thrown == nil {
		return err
	}
	at := Place{}
	for _, name := range []string{"validate", "resolve", "apply"} {
		if strings.Contains(out.thrown.Reason, "function "+name) || strings.Contains(out.thrown.Reason, "named "+name) {
			at = l.function(name)
		}
	}
	l.find(Error, "contract", at, reasonAfter(out.thrown.Reason, "TypeError: "), "export validate(input), resolve(proposal, proposerId, votes, proposalId) and apply(proposal, proposalId)")
	return errStop
}

// function is where a function of the top level is declared.
func (l *linter) function(name string) Place {
	for _, s := range l.tree.program.Body {
		for _, d := range declared(s) {
			if string(d.Name) == name {
				return l.src.at(int(d.Idx) - 1)
			}
		}
	}
	return Place{}
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
