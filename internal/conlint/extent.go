package conlint

import (
	"strings"

	"github.com/dop251/goja/ast"
)

// Where things stand in the text that the tree has no or no exact positions
// for. All of it looks at the mask, which has no texts and comments.

// parentheses are where a keyword stands and where the parentheses after it
// open and close, found from what is in them: the tree keeps neither. The
// keyword's offset is -1 if they are not found.
func (p *probes) parentheses(test ast.Expression, keyword string) (at, opening, closing int) {
	after := p.after(begin(test), keyword)
	if after < 0 {
		return -1, -1, -1
	}
	opening = after
	for opening < len(p.tree.mask) && p.tree.mask[opening] != '(' {
		opening++
	}
	if closing = p.match(opening); closing < end(test) {
		return -1, -1, -1
	}
	return after - len(keyword), opening, closing
}

// match is where the parenthesis that opens at an offset closes, or -1.
func (p *probes) match(at int) int {
	if !p.is(at, '(') {
		return -1
	}
	depth := 0
	for i := at; i < len(p.tree.mask); i++ {
		switch p.tree.mask[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// after is the offset after a token that stands before at, with nothing but
// space and opening parentheses between; -1 if there is none.
func (p *probes) after(at int, token string) int {
	before := strings.TrimRight(p.tree.mask[:min(max(at, 0), len(p.tree.mask))], " \t\r\n(")
	if !strings.HasSuffix(before, token) {
		return -1
	}
	return len(before)
}

// extent is where an expression that stands after a token begins and ends, -1
// if that is not clear. The tree's positions leave out parentheses around it,
// which are counted back in.
func (p *probes) extent(e ast.Expression, token string) (from, to int) {
	from, to = p.after(begin(e), token), end(e)
	if from < 0 || to < from || to > len(p.tree.mask) {
		return -1, -1
	}
	depth := strings.Count(p.tree.mask[from:to], "(") - strings.Count(p.tree.mask[from:to], ")")
	for ; depth > 0; depth-- {
		i := strings.IndexByte(p.tree.mask[to:], ')')
		if i < 0 {
			return -1, -1
		}
		to += i + 1
	}
	return from, to
}
