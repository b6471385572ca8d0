package js

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"synod/internal/tables"
)

// Bundle is a JavaScript application as `set_js_app` takes it
// (CCF: include/ccf/js/bundle.h).
type Bundle struct {
	Metadata BundleMetadata `json:"metadata"`
	Modules  []BundleModule `json:"modules"`
}

// BundleMetadata is the content of an application's app.json. Endpoints are
// by path, then by method in any case.
type BundleMetadata struct {
	Endpoints map[string]map[string]tables.EndpointProperties `json:"endpoints"`
}

// BundleModule is one source file; its name has no leading slash.
type BundleModule struct {
	Name   string `json:"name"`
	Module string `json:"module"`
}

// ParseBundle reads a bundle and checks what a service would refuse or fail
// at when it is called: parts missing, an endpoint whose js_module is no
// module of the bundle, two modules of one name. It does not compile.
func ParseBundle(b []byte) (*Bundle, error) {
	var raw struct {
		Metadata *struct {
			Endpoints map[string]map[string]tables.EndpointProperties `json:"endpoints"`
		} `json:"metadata"`
		Modules *[]struct {
			Name   *string `json:"name"`
			Module *string `json:"module"`
		} `json:"modules"`
	}
	dec := json.NewDecoder(strings.NewReader(string(b)))
	if err := dec.Decode(&raw); err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("bundle: data after the JSON value")
	}
	switch {
	case raw.Metadata == nil:
		return nil, errors.New("bundle: metadata is missing")
	case raw.Metadata.Endpoints == nil:
		return nil, errors.New("bundle: metadata.endpoints is missing")
	case raw.Modules == nil:
		return nil, errors.New("bundle: modules is missing")
	}
	out := &Bundle{Metadata: BundleMetadata{Endpoints: raw.Metadata.Endpoints}}
	names := map[string]bool{}
	for i, m := range *raw.Modules {
		if m.Name == nil || m.Module == nil {
			return nil, fmt.Errorf("bundle: modules[%d]: name or module is missing", i)
		}
		if names[*m.Name] {
			return nil, fmt.Errorf("bundle: modules[%d]: second module named %q", i, *m.Name)
		}
		names[*m.Name] = true
		out.Modules = append(out.Modules, BundleModule{Name: *m.Name, Module: *m.Module})
	}
	for path, methods := range out.Metadata.Endpoints {
		for method, p := range methods {
			if !names[p.JSModule] {
				return nil, fmt.Errorf("bundle: endpoint %s %s: no module named %q", method, path, p.JSModule)
			}
		}
	}
	return out, nil
}
