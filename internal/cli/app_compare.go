package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"synod/internal/bundle"
)

// diffTextMax is the largest module of which lines are compared, in bytes.
const diffTextMax = 1 << 20

// What happened to an endpoint or a module.
const (
	added   = "added"
	removed = "removed"
	changed = "changed"
)

var sign = map[string]string{added: "+", removed: "-", changed: "~"}

// manifestJSON is app.json: properties by path and method.
type manifestJSON struct {
	Endpoints endpointsJSON `json:"endpoints"`
}

type endpointsJSON map[string]map[string]map[string]json.RawMessage

// byMethod names endpoints as the service's table does, GET /path, and modules
// without a leading slash.
func (m manifestJSON) byMethod() map[string]map[string]string {
	out := map[string]map[string]string{}
	for path, methods := range m.Endpoints {
		for method, properties := range methods {
			out[strings.ToUpper(method)+" "+path] = shownProperties(properties)
		}
	}
	return out
}

// shownProperties are an endpoint's as JSON texts.
func shownProperties(properties map[string]json.RawMessage) map[string]string {
	shown := map[string]string{}
	for name, value := range properties {
		shown[name] = canonicalText(value)
	}
	if module := shown["js_module"]; strings.HasPrefix(module, `"/`) {
		shown["js_module"] = `"` + module[2:]
	}
	return shown
}

// canonicalText is JSON with sorted names and without spaces.
func canonicalText(value json.RawMessage) string {
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return string(value)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return string(value)
	}
	return string(text)
}

// appVersion is an application to compare: properties by endpoint, sources by
// module, whose names have no leading slash.
type appVersion struct {
	endpoints map[string]map[string]string
	modules   map[string]string
}

func versionOf(b *bundle.Bundle) (*appVersion, error) {
	var m manifestJSON
	if err := json.Unmarshal(b.Metadata, &m); err != nil {
		return nil, fmt.Errorf("read endpoints: %w", err)
	}
	v := &appVersion{endpoints: m.byMethod(), modules: map[string]string{}}
	for _, module := range b.Modules {
		v.modules[strings.TrimPrefix(module.Name, "/")] = module.Source
	}
	return v, nil
}

type appDiff struct {
	Equal     bool           `json:"equal"`
	Endpoints []endpointDiff `json:"endpoints"`
	Modules   []moduleDiff   `json:"modules"`

	endpoints, modules int
}

type endpointDiff struct {
	Endpoint   string         `json:"endpoint"`
	Change     string         `json:"change"`
	Properties []propertyDiff `json:"properties,omitempty"`
}

type propertyDiff struct {
	Property  string `json:"property"`
	Before    string `json:"before"` // JSON, or "none"
	After     string `json:"after"`
	Important bool   `json:"important"`
}

type moduleDiff struct {
	Module string `json:"module"`
	Change string `json:"change"`
	Diff   string `json:"diff"`
}

func compareApps(before, after *appVersion) *appDiff {
	d := &appDiff{
		Endpoints: []endpointDiff{}, Modules: []moduleDiff{},
		endpoints: len(after.endpoints), modules: len(after.modules),
	}
	for _, name := range names(before.endpoints, after.endpoints) {
		old, had := before.endpoints[name]
		new, has := after.endpoints[name]
		e := endpointDiff{Endpoint: name, Change: change(had, has)}
		if has {
			e.Properties = compareProperties(old, new)
		}
		if e.Change != changed || len(e.Properties) > 0 {
			d.Endpoints = append(d.Endpoints, e)
		}
	}
	for _, name := range names(before.modules, after.modules) {
		old, had := before.modules[name]
		new, has := after.modules[name]
		if had != has || old != new {
			d.Modules = append(d.Modules, moduleDiff{name, change(had, has), compareText(name, old, new)})
		}
	}
	d.Equal = len(d.Endpoints)+len(d.Modules) == 0
	return d
}

func change(had, has bool) string {
	switch {
	case !had:
		return added
	case !has:
		return removed
	}
	return changed
}

// names are the keys of both, sorted.
func names[V any](a, b map[string]V) []string {
	all := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(all)
	return slices.Compact(all)
}

// important are the properties that decide who may call, what the call may
// write, and which code answers.
var important = []string{"authn_policies", "js_function", "js_module", "mode"}

func compareProperties(old, new map[string]string) []propertyDiff {
	var out []propertyDiff
	for _, name := range names(old, new) {
		if old[name] != new[name] {
			out = append(out, propertyDiff{name, orDefault(old[name], "none"), orDefault(new[name], "none"), slices.Contains(important, name)})
		}
	}
	return out
}

// compareText is a unified diff, or a remark where that would be too long.
func compareText(name, old, new string) string {
	if len(old) > diffTextMax || len(new) > diffTextMax {
		return fmt.Sprintf("%d bytes -> %d bytes, too long to compare line by line\n", len(old), len(new))
	}
	return string(diff.Diff("deployed/"+name, []byte(old), "local/"+name, []byte(new)))
}
