package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"

	"synod"
)

// None is the input of an endpoint that takes nothing and the output of one
// that answers nothing (204).
type None struct{}

// Typed declares an endpoint as a function from one Go type to another. In is
// None or a struct:
//
//	type transfer struct {
//		From   string `path:"account"`
//		Dry    bool   `query:"dry,optional"`
//		To     string `json:"to"`
//		Amount uint64 `json:"amount"`
//		Note   string `json:"note,omitempty"`
//	}
//
// A field with the tag path or query is that value of the request, text, an
// integer or a bool; the others are the body's JSON fields. What is not
// optional (omitempty, omitzero or a pointer for JSON) must be there. A GET or
// HEAD has no body. If In has a method Validate() error, it is asked too. What
// does not fit is 400 InvalidInput, in the query InvalidQueryParameterValue,
// in the path InvalidResourceName.
//
// Out is answered as JSON, a string as text/plain, None as 204; the function
// may set header fields and a status. It may also answer by itself, with
// Bytes or a status of 300 or more, and then Out is left out. Errors are those
// of a Handler. Both types appear in /api.
//
// Typed panics if In cannot be an input: that is a mistake of the program,
// found at its start.
func Typed[In, Out any](a *App, method, path string, f func(*Context, In) (Out, error), policies ...Policy) *Endpoint {
	in := inputOf(reflect.TypeFor[In]())
	for _, p := range in.params {
		if !settable(p.typ) {
			panic("app.Typed: field " + p.goName + " of " + reflect.TypeFor[In]().String() + " is neither text nor an integer nor a bool")
		}
	}
	e := a.Handle(method, path, func(c *Context) error {
		var input In
		if err := in.read(c, &input); err != nil {
			return err
		}
		out, err := f(c, input)
		if err != nil {
			return err
		}
		return answer(c, out)
	}, policies...)
	return Document[In, Out](e)
}

func answer(c *Context, out any) error {
	if c.resp.Body != nil || c.resp.Status >= 300 {
		return nil
	}
	switch out := out.(type) {
	case None:
		if c.resp.Status == 0 {
			c.Status(204)
		}
		return nil
	case string:
		c.Text(out)
		return nil
	default:
		return c.JSON(out)
	}
}

// input is how a request becomes a value of one type.
type input struct {
	params []field // from path and query
	body   reflect.Type
}

func inputOf(t reflect.Type) *input {
	in := &input{}
	if t == reflect.TypeFor[None]() {
		return in
	}
	if t.Kind() != reflect.Struct {
		in.body = t
		return in
	}
	for _, f := range fieldsOf(t) {
		if f.source == fromBody {
			in.body = t
			continue
		}
		in.params = append(in.params, f)
	}
	return in
}

func settable(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Uint, reflect.Uint64, reflect.Int32, reflect.Uint32:
		return true
	default:
		return false
	}
}

// read fills v, a pointer to the input's type.
func (in *input) read(c *Context, v any) error {
	if in.body != nil && c.Request.Method != "GET" && c.Request.Method != "HEAD" {
		if err := c.Decode(v); err != nil {
			return err
		}
		body := c.Request.Body
		if len(body) == 0 {
			body = []byte("{}")
		}
		if err := required(in.body, body, nestingMax); err != nil {
			return err
		}
	}
	value := reflect.ValueOf(v).Elem()
	for _, f := range in.params {
		if err := f.set(c, value.FieldByIndex(f.index)); err != nil {
			return err
		}
	}
	if checked, ok := v.(interface{ Validate() error }); ok {
		if err := checked.Validate(); err != nil {
			var wire *synod.Error
			if errors.As(err, &wire) {
				return err
			}
			return synod.Errorf(400, synod.CodeInvalidInput, "%s", err)
		}
	}
	return nil
}

// set fills one field from path or query. Texts are CCF's
// (CCF: include/ccf/http_query.h).
func (f *field) set(c *Context, v reflect.Value) error {
	if f.source == fromPath {
		if err := parseInto(v, c.Path(f.name)); err != nil {
			return synod.Errorf(400, synod.CodeInvalidResourceName, "Unable to parse value '%s' of '%s' in the path.", c.Path(f.name), f.name)
		}
		return nil
	}
	v.SetZero() // whatever the body said
	text, ok := c.Query(f.name)
	if !ok {
		if f.optional {
			return nil
		}
		return synod.Errorf(400, synod.CodeInvalidQueryParameterValue, "Missing query parameter '%s'", f.name)
	}
	if err := parseInto(v, text); err != nil {
		kind := ""
		if v.Kind() == reflect.Bool {
			kind = " as bool"
		}
		return synod.Errorf(400, synod.CodeInvalidQueryParameterValue, "Unable to parse value '%s'%s in parameter '%s'", text, kind, f.name)
	}
	return nil
}

var errNotBool = errors.New("neither true nor false")

func parseInto(v reflect.Value, text string) error {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return errNotBool
		}
		v.SetBool(text == "true")
	case reflect.Int, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil {
			return err
		}
		v.SetInt(n)
	default:
		n, err := strconv.ParseUint(text, 10, v.Type().Bits())
		if err != nil {
			return err
		}
		v.SetUint(n)
	}
	return nil
}

// nestingMax is how deep a body may nest lists and objects of a type that
// holds itself: each level is read again.
const nestingMax = 32

// required checks that the fields of a struct, and of structs in it, are there
// in JSON that has already been decoded into it.
func required(t reflect.Type, text json.RawMessage, levels int) error {
	if levels == 0 {
		return synod.Errorf(400, synod.CodeInvalidInput, "The request body is nested more than %d deep.", nestingMax)
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if bytes.Equal(bytes.TrimSpace(text), []byte("null")) || readsItself(t) {
		return nil
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		if !holdsStruct(t.Elem()) {
			return nil
		}
		var elements []json.RawMessage
		if err := json.Unmarshal(text, &elements); err != nil {
			return nil //nolint:nilerr // decoded before
		}
		for _, e := range elements {
			if err := required(t.Elem(), e, levels-1); err != nil {
				return err
			}
		}
	case reflect.Struct:
		var object map[string]json.RawMessage
		if err := json.Unmarshal(text, &object); err != nil {
			return nil //nolint:nilerr // decoded before
		}
		for _, f := range fieldsOf(t) {
			raw, ok := object[f.name]
			switch {
			case f.source != fromBody:
			case !ok && !f.optional:
				return synod.Errorf(400, synod.CodeInvalidInput, "Missing required field '%s' in the request body.", f.name)
			case ok && holdsStruct(f.typ):
				if err := required(f.typ, raw, levels-1); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// holdsStruct says whether there is anything to check below a type.
func holdsStruct(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Array {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct
}

// QueryUint reads a query parameter that is an unsigned integer. The error is
// 400 InvalidQueryParameterValue, as of a Typed endpoint.
func QueryUint(c *Context, name string) (uint64, error) {
	var n uint64
	f := field{name: name, source: fromQuery}
	err := f.set(c, reflect.ValueOf(&n).Elem())
	return n, err
}
