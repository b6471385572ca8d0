package jsapp

import (
	"encoding/json"
	"fmt"
	"strings"

	"synod/internal/tables"
)

// Bundle is endpoints and the modules behind them
// (CCF: include/ccf/bundle.h).
type Bundle struct {
	Metadata Metadata `json:"metadata"`
	Modules  []Module `json:"modules"`
}

// Metadata is a bundle's app.json: properties by path and method.
type Metadata struct {
	Endpoints map[string]map[string]json.RawMessage `json:"endpoints"`
}

// Module is one module's source.
type Module struct {
	Module string `json:"module"`
	Name   string `json:"name"`
}

const (
	// modulesMax and endpointsMax bound a bundle.
	modulesMax   = 10000
	endpointsMax = 4096
)

// rows checks a bundle and returns the rows of the table of endpoints.
func (b *Bundle) rows() (map[string][]byte, error) {
	if len(b.Modules) > modulesMax {
		return nil, fmt.Errorf("%d modules, at most %d", len(b.Modules), modulesMax)
	}
	modules := map[string]bool{}
	for _, m := range b.Modules {
		if m.Name == "" || modules[slashed(m.Name)] {
			return nil, fmt.Errorf("module %q is there twice or has no name", m.Name)
		}
		modules[slashed(m.Name)] = true
	}
	rows := map[string][]byte{}
	for path, methods := range b.Metadata.Endpoints {
		if !strings.HasPrefix(path, "/") {
			return nil, fmt.Errorf("endpoint %q does not begin with a slash", path)
		}
		for method, raw := range methods {
			key := strings.ToUpper(method) + " " + path
			if rows[key] != nil {
				return nil, fmt.Errorf("endpoint %s is there twice", key)
			}
			row, err := rowOf(raw, modules)
			if err != nil {
				return nil, fmt.Errorf("endpoint %s: %w", key, err)
			}
			rows[key] = row
		}
	}
	if len(rows) > endpointsMax {
		return nil, fmt.Errorf("%d endpoints, at most %d", len(rows), endpointsMax)
	}
	return rows, nil
}

// names are those of the modules, in the bundle's order.
func (b *Bundle) names() []string {
	names := make([]string, len(b.Modules))
	for i, m := range b.Modules {
		names[i] = slashed(m.Name)
	}
	return names
}

// rowOf checks an endpoint's properties and returns them as they are stored: as
// they came, but for unknown fields.
func rowOf(raw json.RawMessage, modules map[string]bool) ([]byte, error) {
	var p tables.EndpointProperties
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, err
	}
	for _, e := range []struct {
		name, value string
		allowed     []string
	}{
		{"mode", p.Mode, []string{"", "readwrite", "readonly", "historical"}},
		{"forwarding_required", p.ForwardingRequired, []string{"always", "sometimes", "never"}},
		{"redirection_strategy", p.RedirectionStrategy, []string{"", "none", "to_primary", "to_backup"}},
	} {
		if !contains(e.allowed, e.value) {
			return nil, fmt.Errorf("%s is %q", e.name, e.value)
		}
	}
	if p.AuthnPolicies == nil {
		return nil, fmt.Errorf("authn_policies is missing; an empty list lets anybody call")
	}
	if !modules[slashed(p.JSModule)] || p.JSFunction == "" {
		return nil, fmt.Errorf("js_module %q is not in the bundle, or js_function is missing", p.JSModule)
	}
	return json.Marshal(p)
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
