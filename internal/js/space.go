package js

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"synod/app"
	"synod/internal/tables"
)

// Space is where an application's scripts live and what they are given: the
// tables that hold them, the tables that they may not touch, and globals of
// the application. The zero Space is governance's, which members deploy to.
type Space struct {
	// Prefix begins the names of the tables: Prefix.modules and so on
	// (CCF: include/ccf/js/registry.h). "" means governance's.
	Prefix string
	// Restrict says what scripts may do with a table besides what is forbidden
	// to all, and if not everything, why. nil restricts nothing.
	Restrict func(table string) (read, write bool, why string)
	// Globals are objects that every script finds.
	Globals []Global
}

// Global is one object of an application for its scripts.
type Global struct {
	Name      string
	Constants map[string]any // as JSON
	Functions map[string]HostFunction
}

// HostFunction is a function of Go for scripts. Arguments and result are JSON;
// an error is thrown as an InternalError.
type HostFunction struct {
	Arguments int // how many it takes, exactly
	Call      func(c *app.Context, arguments []json.RawMessage) (any, error)
}

// SpaceTables are the names of a space's tables.
type SpaceTables struct {
	Modules, Endpoints, Flush, Version, Bytecode, Options string
}

// Tables are the space's.
func (s *Space) Tables() SpaceTables {
	if s == nil || s.Prefix == "" {
		return SpaceTables{
			tables.Modules, tables.Endpoints, tables.InterpreterFlush,
			tables.ModulesVersion, tables.ModulesBytecode, tables.JSRuntime,
		}
	}
	return SpaceTables{
		s.Prefix + ".modules", s.Prefix + ".metadata", s.Prefix + ".interpreter_flush",
		s.Prefix + ".modules_quickjs_version", s.Prefix + ".modules_quickjs_bytecode", s.Prefix + ".runtime_options",
	}
}

// realm is the kind of realm that the space's scripts run in.
func (s *Space) realm() realmKind {
	if len(s.Globals) == 0 {
		return realmApp
	}
	return realmHosted
}

// preamble is the script that makes the globals. It runs before any module and
// takes the way to the host away with it.
func (s *Space) preamble() (string, error) {
	var b strings.Builder
	b.WriteString("(function () {\n\"use strict\";\nconst call = globalThis.callHost;\ndelete globalThis.callHost;\n" +
		"const { stringify, parse } = JSON;\n" +
		"const host = (name, f) => { Object.defineProperty(f, 'name', { value: name.slice(name.indexOf('.') + 1) }); return f; };\n")
	for _, g := range s.Globals {
		if !isIdentifier(g.Name) {
			return "", fmt.Errorf("global %q is no identifier", g.Name)
		}
		fmt.Fprintf(&b, "{ const o = globalThis.%s = {};\n", g.Name)
		for _, name := range sortedNames(g.Constants) {
			text, err := json.Marshal(g.Constants[name])
			if err != nil || !isIdentifier(name) {
				return "", fmt.Errorf("constant %s.%s: %w", g.Name, name, err)
			}
			fmt.Fprintf(&b, "o.%s = parse(%q);\n", name, text)
		}
		for _, name := range sortedNames(g.Functions) {
			if !isIdentifier(name) {
				return "", fmt.Errorf("function %q of %s is no identifier", name, g.Name)
			}
			fmt.Fprintf(&b, "o.%[2]s = host('%[1]s.%[2]s', function (...a) { const r = call('%[1]s.%[2]s', stringify(a)); return r === '' ? undefined : parse(r); });\n", g.Name, name)
		}
		b.WriteString("}\n")
	}
	b.WriteString("})();\n")
	return b.String(), nil
}

func isIdentifier(s string) bool {
	for i, r := range s {
		letter := r == '_' || r == '$' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// function finds what callHost names.
func (s *Space) function(name string) (HostFunction, bool) {
	object, member, _ := strings.Cut(name, ".")
	for _, g := range s.Globals {
		if g.Name == object {
			f, ok := g.Functions[member]
			return f, ok
		}
	}
	return HostFunction{}, false
}

// hostOpOfSpace is callHost(name, arguments) of the globals of a space.
var hostOpOfSpace = hostOp{"host.call", 2, func(v *vm, c *call, a args) (value, bool) {
	v.effect()
	name, ok1 := v.text(a.at(0))
	text, ok2 := v.text(a.at(1))
	if !ok1 || !ok2 {
		return valExc, false
	}
	f, ok := c.space.function(name)
	if !ok {
		return v.throw(internalError, "there is no host function %s", name)
	}
	var arguments []json.RawMessage
	if err := json.Unmarshal([]byte(text), &arguments); err != nil {
		return v.throw(internalError, "%s: %s", name, err)
	}
	if len(arguments) != f.Arguments {
		return v.throw(typeError, "Passed %d arguments but expected %d", len(arguments), f.Arguments)
	}
	var result []byte
	var err error
	v.outsideDo(func() {
		var r any
		if r, err = f.Call(c.app, arguments); err == nil && r != nil {
			result, err = json.Marshal(r)
		}
	})
	if err != nil {
		return v.throw(internalError, "%s", err)
	}
	return owned(v.newString(string(result)))
}}
