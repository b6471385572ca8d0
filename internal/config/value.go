package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// depthMax bounds nesting: a configuration has about eight levels.
const depthMax = 64

// value is one JSON value with its exact text. Which of the other fields is
// set depends on kind.
type value struct {
	kind   string // object, array, string, number, boolean, null: words for messages
	raw    json.RawMessage
	keys   []string // of object, in order of appearance, each once
	fields map[string]*value
	items  []*value
	text   string // string, or number as written
	truth  bool
}

// decode reads exactly one JSON value. Duplicate keys are faults; what is not
// JSON is an *Error too, with the offset.
func decode(text []byte) (*value, []Fault, error) {
	if len(text) > FileSizeMax {
		return nil, nil, &Error{Faults: []Fault{{Path: rootPath, Message: fmt.Sprintf("is longer than %d bytes", FileSizeMax)}}}
	}
	if !utf8.Valid(text) {
		return nil, nil, &Error{Syntax: true, Faults: []Fault{{Path: rootPath, Message: "is not UTF-8"}}}
	}
	var whole json.RawMessage
	if err := json.Unmarshal(text, &whole); err != nil { // also refuses trailing data
		msg := err.Error()
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			msg = fmt.Sprintf("at byte %d: %s", syntax.Offset, msg)
		}
		return nil, nil, &Error{Syntax: true, Faults: []Fault{{Path: rootPath, Message: msg}}}
	}
	d := &decoder{text: text, dec: json.NewDecoder(bytes.NewReader(text))}
	d.dec.UseNumber()
	v, err := d.value(rootPath, 0)
	if err != nil {
		return nil, nil, &Error{Syntax: true, Faults: []Fault{{Path: rootPath, Message: err.Error()}}}
	}
	return v, d.faults, nil
}

type decoder struct {
	text   []byte
	dec    *json.Decoder
	faults []Fault
}

func (d *decoder) value(path string, depth int) (*value, error) {
	if depth > depthMax {
		return nil, fmt.Errorf("%s: nested deeper than %d", path, depthMax)
	}
	tok, err := d.dec.Token()
	if err != nil {
		return nil, err
	}
	switch t := tok.(type) {
	case json.Delim:
		start := d.dec.InputOffset() - 1
		v := &value{kind: "array"}
		if t == '{' {
			v.kind, v.fields = "object", map[string]*value{}
		}
		for i := 0; d.dec.More(); i++ {
			if err := d.member(v, path, i, depth); err != nil {
				return nil, err
			}
		}
		if _, err := d.dec.Token(); err != nil {
			return nil, err
		}
		v.raw = json.RawMessage(d.text[start:d.dec.InputOffset()])
		return v, nil
	case string:
		return &value{kind: "string", text: t}, nil
	case json.Number:
		return &value{kind: "number", text: t.String()}, nil
	case bool:
		return &value{kind: "boolean", truth: t}, nil
	default:
		return &value{kind: "null"}, nil
	}
}

// member reads the i-th element of v, an array or an object.
func (d *decoder) member(v *value, path string, i, depth int) error {
	if v.kind == "array" {
		item, err := d.value(path+"["+strconv.Itoa(i)+"]", depth+1)
		v.items = append(v.items, item)
		return err
	}
	tok, err := d.dec.Token()
	if err != nil {
		return err
	}
	key, _ := tok.(string) // the syntax was checked before
	at := path + "." + key
	field, err := d.value(at, depth+1)
	if err != nil {
		return err
	}
	if _, twice := v.fields[key]; twice {
		d.faults = append(d.faults, Fault{Path: at, Message: "appears twice"})
		return nil
	}
	v.keys = append(v.keys, key)
	v.fields[key] = field
	return nil
}
