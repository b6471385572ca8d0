package conlint

import (
	"regexp"
	"slices"
	"strings"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/token"
)

const (
	// namesMax bounds how many words of a text are tried as names of actions.
	namesMax = 3000
	// marksMax bounds how many kinds of marked members are made up.
	marksMax = 5
	// idsMax bounds how many IDs in the text become members.
	idsMax = 3
)

// mark is a field of a member's data that the text looks at, with a value that
// makes a difference: true, or a text that it is compared with.
type mark struct {
	field string
	value any
}

func (m mark) String() string {
	if s, ok := m.value.(string); ok {
		return m.field + "=" + s
	}
	return m.field
}

// names are the words of a text that may matter.
type names struct {
	words  map[string]int // texts and keys, and where each first stands
	keyed  map[string]int // of these, keys of objects and arguments of set(), which is how actions are named
	fields []string       // properties that are read, in their order
	marks  []mark
	ids    []string // texts that look like the ID of a member
}

var (
	word     = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.\-]{0,63}$`)
	memberID = regexp.MustCompile(`^[0-9a-f]{64}$`)
	// usualMarks are fields that constitutions in use look at.
	usualMarks = []string{"is_operator", "isOperator", "is_operator_provisioner", "is_recovery_operator", "isRecoveryOperator"}
)

// harvest collects the names of a tree.
func harvest(t *tree) *names {
	n := &names{words: map[string]int{}, keyed: map[string]int{}}
	data := dataVariables(t)
	read := map[string]bool{}
	values := map[string][]string{} // of fields, what they are compared with
	var marks []string
	walk(t.program, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.StringLiteral:
			n.add(string(node.Value), int(node.Idx)-1)
		case *ast.PropertyKeyed:
			if key, ok := node.Key.(*ast.StringLiteral); ok && !node.Computed {
				n.addKey(string(key.Value), int(key.Idx)-1)
			}
		case *ast.CallExpression:
			if f, ok := node.Callee.(*ast.DotExpression); ok && f.Identifier.Name == "set" && len(node.ArgumentList) > 0 {
				if key, ok := node.ArgumentList[0].(*ast.StringLiteral); ok {
					n.addKey(string(key.Value), int(key.Idx)-1)
				}
			}
		case *ast.ArrayLiteral: // [name, action], for a Map
			if len(node.Value) == 2 && !isText(node.Value[1]) {
				if key, ok := node.Value[0].(*ast.StringLiteral); ok {
					n.addKey(string(key.Value), int(key.Idx)-1)
				}
			}
		case *ast.DotExpression:
			field := string(node.Identifier.Name)
			n.read(field, read)
			if t.isData(node.Left, data) {
				marks = append(marks, field)
			}
		case *ast.BracketExpression:
			if key, ok := node.Member.(*ast.StringLiteral); ok {
				n.read(string(key.Value), read)
				if t.isData(node.Left, data) {
					marks = append(marks, string(key.Value))
				}
			}
		case *ast.ObjectPattern:
			for _, p := range node.Properties {
				switch p := p.(type) {
				case *ast.PropertyShort:
					n.read(string(p.Name.Name), read)
				case *ast.PropertyKeyed:
					if key, ok := p.Key.(*ast.StringLiteral); ok {
						n.read(string(key.Value), read)
					}
				}
			}
		case *ast.BinaryExpression:
			if node.Operator == token.EQUAL || node.Operator == token.STRICT_EQUAL {
				compare(values, node.Left, node.Right)
				compare(values, node.Right, node.Left)
			}
		}
		return true
	})
	for _, m := range usualMarks {
		if _, ok := n.words[m]; ok || read[m] {
			marks = append(marks, m)
		}
	}
	n.mark(marks, values)
	return n
}

func isText(e ast.Expression) bool { _, ok := e.(*ast.StringLiteral); return ok }

func (n *names) add(s string, at int) {
	if memberID.MatchString(s) && len(n.ids) < idsMax && !slices.Contains(n.ids, s) {
		n.ids = append(n.ids, s)
	}
	if _, ok := n.words[s]; !ok && len(n.words) < namesMax && word.MatchString(s) {
		n.words[s] = at
	}
}

func (n *names) addKey(s string, at int) {
	n.add(s, at)
	if _, ok := n.keyed[s]; !ok && word.MatchString(s) {
		n.keyed[s] = at
	}
}

func (n *names) read(field string, seen map[string]bool) {
	if !seen[field] {
		seen[field] = true
		n.fields = append(n.fields, field)
	}
}

// mark makes the marks of fields, each with true and with what it is compared
// with.
func (n *names) mark(fields []string, values map[string][]string) {
	for _, field := range fields {
		options := []any{true}
		if len(values[field]) > 0 {
			options = nil
			for _, v := range values[field] {
				options = append(options, v)
			}
		}
		for _, v := range options {
			if m := (mark{field, v}); len(n.marks) < marksMax && !slices.Contains(n.marks, m) {
				n.marks = append(n.marks, m)
			}
		}
	}
}

// compare notes that a field is compared with a text.
func compare(values map[string][]string, field, with ast.Expression) {
	text, ok := with.(*ast.StringLiteral)
	if !ok {
		return
	}
	if name := fieldOf(field); name != "" && !slices.Contains(values[name], string(text.Value)) {
		values[name] = append(values[name], string(text.Value))
	}
}

// fieldOf is the property that an expression reads, or "".
func fieldOf(e ast.Expression) string {
	switch e := e.(type) {
	case *ast.DotExpression:
		return string(e.Identifier.Name)
	case *ast.BracketExpression:
		if key, ok := e.Member.(*ast.StringLiteral); ok {
			return string(key.Value)
		}
	case *ast.OptionalChain:
		return fieldOf(e.Expression)
	case *ast.Optional:
		return fieldOf(e.Expression)
	}
	return ""
}

// dataVariables are the variables that are made from a member's data.
func dataVariables(t *tree) map[string]bool {
	found := map[string]bool{}
	walk(t.program, func(n ast.Node) bool {
		b, ok := n.(*ast.Binding)
		if !ok || b.Initializer == nil {
			return true
		}
		if name, ok := b.Target.(*ast.Identifier); ok && isShort(b.Initializer) && endsWithData(t.textOf(b.Initializer)) {
			found[string(name.Name)] = true
		}
		return true
	})
	return found
}

// isShort leaves out functions, whose text says much.
func isShort(e ast.Expression) bool {
	switch e.(type) {
	case *ast.ArrowFunctionLiteral, *ast.FunctionLiteral, *ast.ClassLiteral, *ast.ObjectLiteral:
		return false
	}
	return true
}

// endsWithData says whether an expression's text is that of a member's data.
func endsWithData(text string) bool {
	text = strings.TrimRight(strings.TrimSuffix(strings.TrimRight(text, " )]};\n"), "?? {"), ` "')`)
	return strings.HasSuffix(text, "member_data") || strings.HasSuffix(text, "memberData")
}

// isData says whether an expression is a member's data.
func (t *tree) isData(e ast.Expression, variables map[string]bool) bool {
	if id, ok := e.(*ast.Identifier); ok {
		return variables[string(id.Name)] || id.Name == "member_data" || id.Name == "memberData"
	}
	switch fieldOf(e) {
	case "member_data", "memberData":
		return true
	}
	switch e := e.(type) {
	case *ast.Optional:
		return t.isData(e.Expression, variables)
	case *ast.OptionalChain:
		return t.isData(e.Expression, variables)
	case *ast.BinaryExpression: // (info.member_data ?? {})
		return t.isData(e.Left, variables)
	}
	return false
}

// textOf is the text of a node, as far as the tree knows its end.
func (t *tree) textOf(n ast.Node) string {
	from, to := begin(n), end(n)
	if from < 0 || to < from || to > len(t.src.text) {
		return ""
	}
	return t.src.text[from:to]
}
