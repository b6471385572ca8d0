package conlint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dop251/goja/ast"
)

// probe is one place whose reaching is noticed, and what it opens: from and to
// are the part of the text that only runs if the probe is hit.
type probe struct {
	at       int // offset that people are told
	what     string
	from, to int
}

// probes is a text that tells where it passes. Each probe prints its number the
// first time.
type probes struct {
	text    string
	list    []probe
	tree    *tree
	inserts []insert
	names   map[ast.Node]string
}

type insert struct {
	at   int
	text string
}

// probeMark begins the line that a probe prints.
const probeMark = "\x01synod-probe "

// prologue goes before the first line, on that line. It keeps the function that
// prints, so that a text which replaces console.log is still seen.
const prologue = `var $synodSeen=[],$synodLog=console.log;` +
	`function $synodHit(n){if(!$synodSeen[n]){$synodSeen[n]=1;$synodLog("\u0001synod-probe "+n)}}` +
	`function $synodTest(n,v){$synodHit(v?n:n+1);return v}`

// instrument puts probes at functions, branches and statements of the top
// level. Lines stay where they are.
func instrument(t *tree) *probes {
	p := &probes{tree: t, names: map[ast.Node]string{}}
	for _, s := range t.program.Body {
		switch s.(type) {
		case *ast.FunctionDeclaration, *ast.ClassDeclaration:
		default:
			p.statement(s)
		}
	}
	walk(t.program, func(n ast.Node) bool {
		p.name(n)
		p.visit(n)
		return true
	})
	slices.SortStableFunc(p.inserts, func(a, b insert) int { return cmp.Compare(a.at, b.at) })
	var b strings.Builder
	b.WriteString(prologue)
	last := 0
	for _, i := range p.inserts {
		b.WriteString(t.src.text[last:i.at])
		b.WriteString(i.text)
		last = i.at
	}
	b.WriteString(t.src.text[last:])
	p.text = b.String()
	return p
}

func (p *probes) add(at int, what string, from, to int) int {
	p.list = append(p.list, probe{at, what, from, to})
	return len(p.list) - 1
}

func (p *probes) insert(at int, text string) { p.inserts = append(p.inserts, insert{at, text}) }

// statement marks one of the top level. `export` stands before its position;
// the tree does not have that of every kind of statement.
func (p *probes) statement(s ast.Statement) {
	at := begin(s)
	if at < 0 || at > len(p.tree.mask) {
		return
	}
	from := at
	if i := strings.LastIndex(p.tree.src.text[:at], "export"); i >= 0 && strings.TrimSpace(p.tree.mask[i:at]) == "" {
		from = i
	}
	p.insert(from, fmt.Sprintf("$synodHit(%d);", p.add(at, "", at, at)))
}

// name remembers what a function is called where it is bound.
func (p *probes) name(n ast.Node) {
	switch n := n.(type) {
	case *ast.Binding:
		if id, ok := n.Target.(*ast.Identifier); ok && n.Initializer != nil {
			p.names[n.Initializer] = string(id.Name)
		}
	case *ast.PropertyKeyed:
		if key, ok := n.Key.(*ast.StringLiteral); ok && n.Value != nil {
			p.names[n.Value] = string(key.Value)
		}
	case *ast.MethodDefinition:
		if key, ok := n.Key.(*ast.StringLiteral); ok {
			p.names[n.Body] = string(key.Value)
		}
	}
}

func (p *probes) visit(n ast.Node) {
	switch n := n.(type) {
	case *ast.FunctionLiteral:
		name := p.names[n]
		if n.Name != nil {
			name = string(n.Name.Name)
		}
		p.block(n.Body, begin(n), called(name))
	case *ast.ArrowFunctionLiteral:
		what := called(p.names[n])
		if body, ok := n.Body.(*ast.BlockStatement); ok {
			p.block(body, begin(n), what)
		} else if body, ok := n.Body.(*ast.ExpressionBody); ok {
			p.expression(body.Expression, "=>", begin(n), what)
		}
	case *ast.IfStatement:
		p.test(n)
	case *ast.WhileStatement:
		p.loop(n.Test, n.Body)
	case *ast.ForStatement:
		if n.Test != nil {
			p.loop(n.Test, n.Body)
		} else {
			p.body(n.Body)
		}
	case *ast.ForOfStatement:
		p.body(n.Body)
	case *ast.ForInStatement:
		p.body(n.Body)
	case *ast.ConditionalExpression:
		p.expression(n.Consequent, "?", begin(n.Consequent), "the condition is never true")
		p.expression(n.Alternate, ":", begin(n.Alternate), "the condition is never false")
	case *ast.CaseStatement:
		if len(n.Consequent) > 0 {
			first, last := n.Consequent[0], n.Consequent[len(n.Consequent)-1]
			if at := p.after(begin(first), ":"); at >= 0 {
				p.insert(at, fmt.Sprintf("$synodHit(%d);", p.add(begin(n), "this case is never taken", at, end(last))))
			}
		}
	case *ast.CatchStatement:
		p.block(n.Body, begin(n), "nothing is ever caught here")
	}
}

func called(name string) string {
	if name == "" {
		return "this function is never called"
	}
	return name + " is never called"
}

func end(n ast.Node) int { return int(n.Idx1()) - 1 }

// block marks the begin of a block.
func (p *probes) block(b *ast.BlockStatement, at int, what string) {
	if b == nil {
		return
	}
	from, to := int(b.LeftBrace), int(b.RightBrace)-1
	if p.is(from-1, '{') && to >= from {
		p.insert(from, fmt.Sprintf("$synodHit(%d);", p.add(at, what, from, to)))
	}
}

func (p *probes) is(at int, c byte) bool {
	return at >= 0 && at < len(p.tree.mask) && p.tree.mask[at] == c
}

// test marks both outcomes of an if.
func (p *probes) test(n *ast.IfStatement) {
	at, opening, closing := p.parentheses(n.Test, "if")
	if at < 0 {
		return
	}
	number := p.add(at, "the condition is never true", closing+1, end(n.Consequent))
	from, to := end(n), end(n)
	if n.Alternate != nil {
		from = begin(n.Alternate)
	}
	p.add(at, "the condition is never false", from, to)
	p.insert(opening+1, fmt.Sprintf("$synodTest(%d,(", number))
	p.insert(closing, "))")
}

// loop marks whether a loop's body is entered.
func (p *probes) loop(test ast.Expression, body ast.Statement) {
	if at, opening, closing := p.parentheses(test, "while"); at >= 0 {
		number := p.add(at, "the loop is never entered", closing+1, end(body))
		p.add(at, "", closing, closing)
		p.insert(opening+1, fmt.Sprintf("$synodTest(%d,(", number))
		p.insert(closing, "))")
		return
	}
	if from, to := p.extent(test, ";"); from >= 0 {
		number := p.add(begin(test), "the loop is never entered", to, end(body))
		p.add(begin(test), "", to, to)
		p.insert(from, fmt.Sprintf("$synodTest(%d,(", number))
		p.insert(to, "))")
	}
}

// body marks a loop's body that is a block.
func (p *probes) body(s ast.Statement) {
	if b, ok := s.(*ast.BlockStatement); ok {
		p.block(b, begin(b), "the loop is never entered")
	}
}

// expression marks an expression that stands after a token.
func (p *probes) expression(e ast.Expression, token string, at int, what string) {
	from, to := p.extent(e, token)
	if from < 0 {
		return
	}
	number := p.add(at, what, from, to)
	p.insert(from, fmt.Sprintf("($synodHit(%d),(", number))
	p.insert(to, "))")
}

// unreached lists the probes that were not hit, but for those inside another
// that was not.
func (p *probes) unreached(hit map[int]bool) []Unreached {
	var missed []probe
	for i, b := range p.list {
		if !hit[i] && b.what != "" {
			missed = append(missed, b)
		}
	}
	list := []Unreached{}
	for _, b := range missed {
		inside := slices.ContainsFunc(missed, func(o probe) bool {
			return o.from <= b.at && b.at < o.to && o != b
		})
		if !inside {
			list = append(list, Unreached{p.tree.src.at(b.at), b.what})
		}
	}
	slices.SortFunc(list, func(a, b Unreached) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.What, b.What))
	})
	return slices.Compact(list)
}

// branches is how many functions and branches have a probe.
func (p *probes) branches() int {
	n := 0
	for _, b := range p.list {
		if b.what != "" {
			n++
		}
	}
	return n
}
