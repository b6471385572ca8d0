package gov

import (
	"encoding/json"
	"fmt"
	"strings"

	"synod"
	"synod/app"
	"synod/internal/tables"
)

// operationJSON is one endpoint of the JavaScript application as the API
// shows it.
type operationJSON struct {
	AuthnPolicies       []any  `json:"authnPolicies"`
	ForwardingRequired  string `json:"forwardingRequired"`
	JSFunction          string `json:"jsFunction"`
	JSModule            string `json:"jsModule"`
	Mode                string `json:"mode"`
	OpenAPI             any    `json:"openApi"`
	RedirectionStrategy string `json:"redirectionStrategy"`
}

// javascriptApp lists the endpoints by path and method; with case=original
// each is the record as the bundle had it.
func (g *gov) javascriptApp(c *app.Context) error {
	original := false
	if want, ok := c.Query("case"); ok {
		if want != "original" {
			return synod.Errorf(400, synod.CodeInvalidQueryParameterValue,
				"Accepted values for the 'case' query parameter are: original")
		}
		original = true
	}
	endpoints := map[string]map[string]any{}
	var failed error
	c.Tx().ForEach(tables.Endpoints, func(key, value []byte) bool {
		method, path, ok := strings.Cut(string(key), " ")
		var shown any
		switch {
		case !ok:
			failed = fmt.Errorf("table %s: key %q", tables.Endpoints, key)
		case original:
			shown, failed = canonical(value)
		default:
			shown, failed = operation(value)
		}
		if failed != nil {
			return false
		}
		if endpoints[path] == nil {
			endpoints[path] = map[string]any{}
		}
		endpoints[path][method] = shown
		return true
	})
	if failed != nil {
		return broken(failed)
	}
	return c.JSON(map[string]any{"endpoints": endpoints})
}

func operation(value []byte) (any, error) {
	var p tables.EndpointProperties
	if err := json.Unmarshal(value, &p); err != nil {
		return nil, err
	}
	o := operationJSON{
		AuthnPolicies: []any{}, ForwardingRequired: p.ForwardingRequired,
		JSFunction: p.JSFunction, JSModule: p.JSModule, Mode: p.Mode,
		RedirectionStrategy: p.RedirectionStrategy,
	}
	if o.Mode == "" {
		o.Mode = string(app.ReadWrite)
	}
	if o.RedirectionStrategy == "" {
		o.RedirectionStrategy = string(app.RedirectToPrimary)
	}
	var err error
	if o.OpenAPI, err = canonical(p.OpenAPI); err != nil {
		return nil, err
	}
	for _, raw := range p.AuthnPolicies {
		policy, err := canonical(raw)
		if err != nil {
			return nil, err
		}
		o.AuthnPolicies = append(o.AuthnPolicies, policy)
	}
	return o, nil
}

func (g *gov) listModules(c *app.Context) error {
	list := []map[string]string{}
	c.Tx().ForEach(tables.Modules, func(key, _ []byte) bool {
		list = append(list, map[string]string{"moduleName": string(key)})
		return true
	})
	return c.JSON(values(list))
}

func (g *gov) getModule(c *app.Context) error {
	name := c.Path("moduleName")
	source, ok := c.Tx().Get(tables.Modules, []byte(name))
	if !ok {
		return synod.Errorf(404, synod.CodeResourceNotFound, "Module %s does not exist.", name)
	}
	c.Bytes(contentTypeJavaScript, source)
	return nil
}
