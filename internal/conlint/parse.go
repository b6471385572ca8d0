package conlint

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/parser"
)

const (
	// sourceMax bounds the joined text, in bytes: several times the largest
	// constitution known, and little enough for a recursive parser.
	sourceMax = 512 << 10
	// nestingMax bounds how deep brackets may be nested in it.
	nestingMax = 400
)

// tree is a parsed constitution.
type tree struct {
	src     *source
	program *ast.Program
	mask    string // the text with literals and comments as spaces
	imports []int  // offsets of import declarations
}

// syntaxError is a text that does not parse.
type syntaxError struct {
	offset int
	reason string
}

// Error returns the reason.
func (e *syntaxError) Error() string { return e.reason }

var (
	exportWord = regexp.MustCompile(`(?m)(?:^|[;}])[ \t]*(export(?:[ \t]+default)?)[ \t\n]+(?:async\b|function\b|const\b|let\b|var\b|class\b)`)
	exportList = regexp.MustCompile(`(?m)^[ \t]*export[ \t]*\{[^}]*\}[ \t]*;?`)
	importDecl = regexp.MustCompile(`(?m)^[ \t]*(import\b[ \t\n]*["'{*\w][^;\n]*;?)`)
)

// parse makes a tree. The parser knows scripts and no modules: what makes the
// text a module is blanked, which keeps every position.
func parse(src *source) (*tree, error) {
	if len(src.text) > sourceMax {
		return nil, &syntaxError{0, fmt.Sprintf("the constitution has %d bytes; this tool reads at most %d", len(src.text), sourceMax)}
	}
	if at := tooDeep(src.text); at >= 0 {
		return nil, &syntaxError{at, fmt.Sprintf("brackets are nested more than %d deep", nestingMax)}
	}
	t := &tree{src: src}
	b := []byte(src.text)
	for _, m := range exportWord.FindAllStringSubmatchIndex(src.text, -1) {
		blank(b, m[2], m[3])
	}
	for _, m := range exportList.FindAllStringIndex(src.text, -1) {
		blank(b, m[0], m[1])
	}
	for _, m := range importDecl.FindAllStringSubmatchIndex(src.text, -1) {
		t.imports = append(t.imports, m[2])
		blank(b, m[2], m[3])
	}
	program, err := parseScript(string(b))
	if err != nil {
		return nil, err
	}
	t.program = program
	t.mask = maskOf(string(b), program)
	return t, nil
}

// tooDeep is where brackets are nested too deep, or -1. Brackets in texts
// count too: what is refused then is no constitution either.
func tooDeep(text string) int {
	depth := 0
	for i := range len(text) {
		switch text[i] {
		case '(', '[', '{':
			if depth++; depth > nestingMax {
				return i
			}
		case ')', ']', '}':
			depth = max(0, depth-1)
		}
	}
	return -1
}

// parseScript parses and makes what the parser panics with an error: its input
// comes from outside.
func parseScript(text string) (program *ast.Program, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &syntaxError{0, fmt.Sprintf("the parser gave up: %v", r)}
		}
	}()
	program, err = parser.ParseFile(nil, "", text, parser.IgnoreRegExpErrors, parser.WithDisableSourceMaps)
	var list parser.ErrorList
	if errors.As(err, &list) && len(list) > 0 {
		return nil, &syntaxError{offsetOf(text, list[0].Position.Line, list[0].Position.Column), list[0].Message}
	}
	if err != nil {
		return nil, &syntaxError{0, err.Error()}
	}
	return program, nil
}

// offsetOf is the offset of a line and column, both from 1.
func offsetOf(text string, line, column int) int {
	at := 0
	for range line - 1 {
		i := strings.IndexByte(text[at:], '\n')
		if i < 0 {
			break
		}
		at += i + 1
	}
	return min(at+max(0, column-1), len(text))
}

// walk visits every node of a tree below v; visit returns whether to go on
// below it.
func walk(v any, visit func(n ast.Node) bool) { walkValue(reflect.ValueOf(v), visit) }

var nodeType = reflect.TypeFor[ast.Node]()

func walkValue(v reflect.Value, visit func(n ast.Node) bool) {
	switch v.Kind() {
	case reflect.Interface:
		walkValue(v.Elem(), visit)
	case reflect.Pointer:
		if v.IsNil() || !strings.HasSuffix(v.Type().Elem().PkgPath(), "goja/ast") {
			return
		}
		if v.Type().Implements(nodeType) {
			if n, ok := v.Interface().(ast.Node); ok && !visit(n) {
				return
			}
		}
		walkValue(v.Elem(), visit)
	case reflect.Struct:
		for i := range v.NumField() {
			// A list of declarations repeats what statements hold.
			if v.Type().Field(i).Name != "DeclarationList" && v.Type().Field(i).IsExported() {
				walkValue(v.Field(i), visit)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			walkValue(v.Index(i), visit)
		}
	}
}

// begin is the offset of a node, as its own positions tell.
func begin(n ast.Node) int { return int(n.Idx0()) - 1 }

// maskOf blanks texts, templates, regular expressions and comments, so that
// what is left can be scanned byte by byte.
func maskOf(text string, program *ast.Program) string {
	b := []byte(text)
	cut := func(from, length int) {
		if from >= 0 && from+length <= len(b) {
			blank(b, from, from+length)
		}
	}
	walk(program, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.StringLiteral:
			cut(int(n.Idx)-1, len(n.Literal))
		case *ast.RegExpLiteral:
			cut(int(n.Idx)-1, len(n.Literal))
		case *ast.TemplateLiteral:
			for _, e := range n.Elements {
				cut(int(e.Idx)-1, len(e.Literal))
			}
		}
		return true
	})
	for i := 0; i+1 < len(b); i++ {
		end := -1
		switch {
		case b[i] == '/' && b[i+1] == '/':
			if end = bytes.IndexByte(b[i:], '\n'); end < 0 {
				end = len(b) - i
			}
		case b[i] == '/' && b[i+1] == '*':
			if end = bytes.Index(b[i+2:], []byte("*/")); end < 0 {
				end = len(b) - i
			} else {
				end += 4
			}
		}
		if end > 0 {
			blank(b, i, i+end)
			i += end - 1
		}
	}
	return string(b)
}
