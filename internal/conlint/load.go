package conlint

import (
	"errors"
	"strings"

	"github.com/dop251/goja/ast"

	"synod/internal/js"
)

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
