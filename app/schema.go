package app

import (
	"encoding"
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"synod"
)

// where a field of a typed endpoint's input comes from.
type source int

const (
	fromBody source = iota
	fromPath
	fromQuery
)

// field is one field of a struct, as JSON, path or query name it.
type field struct {
	name, goName string
	index        []int
	typ          reflect.Type
	source       source
	optional     bool
}

// knownFields holds []field by reflect.Type: a program has few types, and each
// request asks for the same.
var knownFields sync.Map

// fieldsOf lists the fields of a struct that have a name outside. The list is
// shared.
func fieldsOf(t reflect.Type) []field {
	if known, ok := knownFields.Load(t); ok {
		return known.([]field) //nolint:forcetypeassert // nothing else is in it
	}
	list := listFields(t)
	knownFields.Store(t, list)
	return list
}

func listFields(t reflect.Type) []field {
	var list []field
	for _, f := range reflect.VisibleFields(t) {
		if !f.IsExported() || f.Anonymous {
			continue
		}
		out := field{name: f.Name, goName: f.Name, index: f.Index, typ: f.Type}
		tag := f.Tag.Get("json")
		if path, ok := f.Tag.Lookup("path"); ok {
			out.source, tag = fromPath, path
		} else if query, ok := f.Tag.Lookup("query"); ok {
			out.source, tag = fromQuery, query
		} else if tag == "-" {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if name != "" {
			out.name = name
		}
		for option := range strings.SplitSeq(options, ",") {
			out.optional = out.optional || option == "omitempty" || option == "omitzero" || option == "optional"
		}
		out.optional = out.optional || f.Type.Kind() == reflect.Pointer
		list = append(list, out)
	}
	return list
}

// Document says what an endpoint takes and gives, as Typed does, for one whose
// handler reads and answers by itself. It changes only /api.
func Document[In, Out any](e *Endpoint) *Endpoint {
	e.in, e.out = reflect.TypeFor[In](), reflect.TypeFor[Out]()
	return e
}

// Returns sets the status that /api documents for success; without it it is
// 200, or 204 if the endpoint answers nothing.
func (e *Endpoint) Returns(status int) *Endpoint { e.success = status; return e }

// Schemas are the named schemas of an OpenAPI document, made from Go types
// (CCF: include/ccf/ds/openapi.h). It belongs to one goroutine.
type Schemas struct {
	byName map[string]any
	names  map[reflect.Type]string
}

// NewSchemas makes an empty collection; it is for front ends.
func NewSchemas() *Schemas {
	return &Schemas{byName: map[string]any{}, names: map[reflect.Type]string{}}
}

// All returns the schemas by name.
func (s *Schemas) All() map[string]any { return s.byName }

// Operation returns the parts of an OpenAPI operation that follow from the
// endpoint's types: parameters, requestBody and responses. It is empty for an
// endpoint without types.
func (s *Schemas) Operation(e *Endpoint) map[string]any {
	op := map[string]any{}
	for key, text := range map[string]string{"summary": e.summary, "description": e.description} {
		if text != "" {
			op[key] = text
		}
	}
	if e.in == nil {
		return op
	}
	in := inputOf(e.in)
	var params []any
	for _, p := range in.params {
		if p.source == fromQuery {
			params = append(params, map[string]any{"in": "query", "name": p.name, "required": !p.optional, "schema": s.ref(p.typ)})
		}
	}
	if params != nil {
		op["parameters"] = params
	}
	if in.body != nil && e.Method != "GET" && e.Method != "HEAD" {
		op["requestBody"] = map[string]any{
			"description": "Auto-generated request body schema",
			"content":     map[string]any{"application/json": map[string]any{"schema": s.ref(in.body)}},
		}
	}
	response := map[string]any{"description": "Default response description"}
	status := 204
	if e.out != reflect.TypeFor[None]() {
		status = 200
		contentType := "application/json"
		if e.out.Kind() == reflect.String {
			contentType = "text/plain"
		}
		response["content"] = map[string]any{contentType: map[string]any{"schema": s.ref(e.out)}}
	}
	if e.success != 0 {
		status = e.success
	}
	op["responses"] = map[string]any{
		strconv.Itoa(status): response,
		"default":            map[string]any{"$ref": "#/components/responses/default"},
	}
	return op
}

// ref returns a reference to a type's schema, which it adds if it is new.
func (s *Schemas) ref(t reflect.Type) map[string]any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name, known := s.names[t]
	if !known {
		name = s.nameOf(t)
		s.names[t] = name
		s.byName[name] = nil // a type that holds itself ends here
		s.byName[name] = s.schemaOf(t)
	}
	return map[string]any{"$ref": "#/components/schemas/" + name}
}

// nameOf is the type's OpenAPIName if it has that method, else its Go name,
// with its package's if another type has the name already.
func (s *Schemas) nameOf(t reflect.Type) string {
	if named, ok := reflect.Zero(t).Interface().(interface{ OpenAPIName() string }); ok {
		return named.OpenAPIName()
	}
	if name, _ := basic(t); name != "" {
		return name
	}
	name := t.Name()
	switch {
	case t.Kind() == reflect.Slice || t.Kind() == reflect.Array:
		return s.refName(t.Elem()) + "_array"
	case t.Kind() == reflect.Map:
		return "string_to_" + s.refName(t.Elem())
	case name == "":
		name = "object_" + strconv.Itoa(len(s.names))
	}
	name = strings.NewReplacer("[", "_", "]", "", "/", "_", ".", "_", ",", "_", "*", "").Replace(name)
	if _, taken := s.byName[name]; taken {
		pkg := t.PkgPath()
		name = pkg[strings.LastIndexByte(pkg, '/')+1:] + "_" + name
	}
	return name
}

func (s *Schemas) refName(t reflect.Type) string {
	return strings.TrimPrefix(s.ref(t)["$ref"].(string), "#/components/schemas/")
}

func (s *Schemas) schemaOf(t reflect.Type) map[string]any {
	if _, schema := basic(t); schema != nil {
		return schema
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		return map[string]any{"type": "array", "items": s.ref(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": s.ref(t.Elem())}
	}
	properties, needed := map[string]any{}, []any{}
	for _, f := range fieldsOf(t) {
		if f.source != fromBody {
			continue
		}
		properties[f.name] = s.ref(f.typ)
		if !f.optional {
			needed = append(needed, f.name)
		}
	}
	schema := map[string]any{"type": "object", "properties": properties}
	if len(needed) > 0 {
		schema["required"] = needed
	}
	return schema
}

// readsItself says whether JSON of the type is what its own methods say.
func readsItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// basic returns name and schema of a type that is no struct, map or list of
// others, with CCF's names (CCF: include/ccf/ds/json_schema.h).
func basic(t reflect.Type) (string, map[string]any) {
	integer := func(name string, lo, hi any) (string, map[string]any) {
		return name, map[string]any{"type": "integer", "minimum": lo, "maximum": hi}
	}
	p := reflect.PointerTo(t)
	switch {
	case t == reflect.TypeFor[synod.TxID]():
		return "TransactionId", map[string]any{"type": "string", "pattern": `^[0-9]+\.[0-9]+$`}
	case t == reflect.TypeFor[synod.TxStatus]():
		return "TxStatus", map[string]any{"type": "string", "enum": []any{synod.TxUnknown, synod.TxPending, synod.TxCommitted, synod.TxInvalid}}
	case t == reflect.TypeFor[json.RawMessage]() || t.Kind() == reflect.Interface:
		return "json", map[string]any{}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return "base64string", map[string]any{"type": "string", "format": "base64"}
	case p.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return "string", map[string]any{"type": "string"}
	case p.Implements(reflect.TypeFor[json.Marshaler]()):
		return "json", map[string]any{}
	}
	switch t.Kind() {
	case reflect.Bool:
		return "boolean", map[string]any{"type": "boolean"}
	case reflect.String:
		return "string", map[string]any{"type": "string"}
	case reflect.Float32, reflect.Float64:
		return "number", map[string]any{"type": "number"}
	case reflect.Uint, reflect.Uint64:
		return integer("uint64", 0, uint64(math.MaxUint64))
	case reflect.Int, reflect.Int64:
		return integer("int64", math.MinInt64, math.MaxInt64)
	case reflect.Uint32:
		return integer("uint32", 0, math.MaxUint32)
	case reflect.Int32:
		return integer("int32", math.MinInt32, math.MaxInt32)
	case reflect.Uint16:
		return integer("uint16", 0, math.MaxUint16)
	case reflect.Int16:
		return integer("int16", math.MinInt16, math.MaxInt16)
	case reflect.Uint8:
		return integer("uint8", 0, math.MaxUint8)
	case reflect.Int8:
		return integer("int8", math.MinInt8, math.MaxInt8)
	default:
		return "", nil
	}
}
