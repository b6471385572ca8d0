package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// shorthandDepth bounds how deep objects and lists may stand in each other.
const shorthandDepth = 16

// parseShorthand reads a value in the Azure CLI's shorthand syntax, or in JSON:
//
//	{certificate:member0_cert.pem,identifier:'it@example.com'}
//	[{…},{…}]
//
// Words without quotes end at a comma, colon or bracket; between single quotes
// everything is text, and '/ stands for a quote. The word null is nil. Objects
// are map[string]any, lists []any, all else strings, as the Azure CLI leaves
// numbers to the argument's type (Azure/azure-cli: aaz, "shorthand syntax").
func parseShorthand(s string) (any, error) {
	var v any
	if err := json.Unmarshal([]byte(s), &v); err == nil {
		return v, nil
	}
	p := &shorthand{rest: s}
	v, err := p.value(0)
	if err != nil {
		return nil, fmt.Errorf("%w, before %q", err, beginning(p.rest))
	}
	if p.space(); p.rest != "" {
		return nil, fmt.Errorf("something follows the value: %q", beginning(p.rest))
	}
	return v, nil
}

func beginning(s string) string {
	if len(s) > 20 {
		return s[:20] + "…"
	}
	return s
}

type shorthand struct{ rest string }

func (p *shorthand) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

// take consumes a character if it is next.
func (p *shorthand) take(c string) bool {
	p.space()
	rest, ok := strings.CutPrefix(p.rest, c)
	if ok {
		p.rest = rest
	}
	return ok
}

func (p *shorthand) value(depth int) (any, error) {
	if depth > shorthandDepth {
		return nil, errors.New("objects and lists stand too deep in each other")
	}
	switch {
	case p.take("{"):
		return p.object(depth)
	case p.take("["):
		return p.list(depth)
	}
	word, quoted, err := p.word()
	if err != nil {
		return nil, err
	}
	if word == "null" && !quoted {
		return nil, nil
	}
	return word, nil
}

func (p *shorthand) object(depth int) (any, error) {
	object := map[string]any{}
	if p.take("}") {
		return object, nil
	}
	for {
		key, _, err := p.word()
		if err != nil {
			return nil, err
		}
		if !p.take(":") {
			return nil, fmt.Errorf("no colon after %q", beginning(key))
		}
		if _, twice := object[key]; twice {
			return nil, fmt.Errorf("%q is there twice", beginning(key))
		}
		if object[key], err = p.value(depth + 1); err != nil {
			return nil, err
		}
		if p.take("}") {
			return object, nil
		}
		if !p.take(",") {
			return nil, errors.New("a comma or a closing brace is missing")
		}
	}
}

func (p *shorthand) list(depth int) (any, error) {
	list := []any{}
	if p.take("]") {
		return list, nil
	}
	for {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		if p.take("]") {
			return list, nil
		}
		if !p.take(",") {
			return nil, errors.New("a comma or a closing bracket is missing")
		}
	}
}

func (p *shorthand) word() (word string, quoted bool, err error) {
	p.space()
	if p.take("'") {
		word, err := p.quoted()
		return word, true, err
	}
	end := strings.IndexAny(p.rest, ",:{}[]'")
	if end < 0 {
		end = len(p.rest)
	}
	word = strings.TrimRight(p.rest[:end], " \t\r\n")
	if word == "" {
		return "", false, errors.New("a value is missing")
	}
	p.rest = p.rest[end:]
	return word, false, nil
}

func (p *shorthand) quoted() (string, error) {
	var b strings.Builder
	for {
		text, rest, ok := strings.Cut(p.rest, "'")
		if !ok {
			return "", errors.New("a quote is not closed")
		}
		b.WriteString(text)
		p.rest = rest
		if rest, ok = strings.CutPrefix(rest, "/"); !ok {
			return b.String(), nil
		}
		b.WriteByte('\'')
		p.rest = rest
	}
}
