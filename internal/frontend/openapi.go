package frontend

import (
	"encoding/json"
	"strings"

	"synod/app"
)

// api answers with an OpenAPI 3.0 document of every endpoint that is not
// hidden (CCF: src/endpoints/endpoint_registry.cpp).
func (s *Server) api(c *app.Context, m *mount) error {
	if m.Documented != nil {
		if answered, err := m.Documented(c); answered || err != nil {
			return err
		}
	}
	endpoints := append([]*app.Endpoint(nil), m.App.Endpoints()...)
	endpoints = append(endpoints, s.common(m)...)
	if r := m.App.Resolver(); r != nil {
		dynamic, err := r.List(c.Tx())
		if err != nil {
			return err
		}
		endpoints = append(endpoints, dynamic...)
	}
	title, description, version := m.App.Info()
	schemas := app.NewSchemas()
	paths := map[string]map[string]any{}
	for _, e := range endpoints {
		if e.Hidden {
			continue
		}
		path := m.Prefix + e.Path
		if paths[path] == nil {
			paths[path] = map[string]any{}
			if params := pathParameters(e.Path); params != nil {
				paths[path]["parameters"] = params
			}
		}
		operation, err := operationOf(e, path, schemas)
		if err != nil {
			return err
		}
		paths[path][strings.ToLower(e.Method)] = operation
	}
	return c.JSON(map[string]any{
		"openapi":    "3.0.0",
		"info":       map[string]any{"title": title, "description": description, "version": version},
		"servers":    []any{},
		"components": components(schemas),
		"paths":      paths,
	})
}

func operationOf(e *app.Endpoint, path string, schemas *app.Schemas) (map[string]any, error) {
	operation := schemas.Operation(e)
	if len(e.OpenAPI) > 0 {
		if err := json.Unmarshal(e.OpenAPI, &operation); err != nil {
			return nil, err
		}
	}
	setDefault(operation, "operationId", operationID(e.Method, path))
	setDefault(operation, "responses", map[string]any{
		"200":     map[string]any{"description": "Default response description"},
		"default": map[string]any{"$ref": "#/components/responses/default"},
	})
	setDefault(operation, "x-ccf-forwarding", map[string]any{"$ref": "#/components/x-ccf-forwarding/" + string(e.Forwarding)})
	if security := securityOf(e.Policies); security != nil {
		setDefault(operation, "security", security)
	}
	return operation, nil
}

func setDefault(m map[string]any, key string, value any) {
	if _, ok := m[key]; !ok {
		m[key] = value
	}
}

// operationID is the method and the camel-cased path without braces.
func operationID(method, path string) string {
	var b strings.Builder
	b.WriteString(method[:1] + strings.ToLower(method[1:]))
	upper := true
	for _, r := range path {
		switch {
		case r == '/' || r == '_' || r == '-' || r == ':' || r == '.':
			upper = true
		case r == '{' || r == '}':
		case upper:
			b.WriteString(strings.ToUpper(string(r)))
			upper = false
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func pathParameters(template string) []any {
	var params []any
	for rest := template; ; {
		_, after, ok := strings.Cut(rest, "{")
		if !ok {
			return params
		}
		name, tail, _ := strings.Cut(after, "}")
		params = append(params, map[string]any{
			"in": "path", "name": name, "required": true,
			"schema": map[string]any{"type": "string"},
		})
		rest = tail
	}
}

// securityOf lists the schemes that OpenAPI can express.
func securityOf(policies []app.Policy) []any {
	var list []any
	for _, p := range policies {
		switch p.Name() {
		case "jwt", "user_cose_sign1", "member_cose_sign1":
			list = append(list, map[string]any{p.Name(): []any{}})
		case "no_auth":
			list = append(list, map[string]any{})
		}
	}
	return list
}

// components is what operations refer to. Texts are CCF's, whose suites
// compare documents (CCF: src/endpoints/endpoint_registry.cpp, src/ds/openapi.h).
func components(schemas *app.Schemas) map[string]any {
	forwarding := func(value, text string) map[string]any { return map[string]any{"description": text, "value": value} }
	cose := func(who string) map[string]any {
		return map[string]any{"type": "http", "scheme": "cose_sign1", "description": "Request payload must be a COSE Sign1 document, with expected protected headers. " +
			"Signer must be a " + who + " identity registered with this service."}
	}
	schemas.All()["CCFError"] = map[string]any{
		"type": "object",
		"properties": map[string]any{"error": map[string]any{
			"type": "object",
			"properties": map[string]any{
				"code":    map[string]any{"type": "string", "description": "Response error code. CCF error codes: https://microsoft.github.io/CCF/main/operations/troubleshooting.html#error-codes"},
				"message": map[string]any{"type": "string", "description": "Response error message"},
			},
		}},
	}
	return map[string]any{
		"responses": map[string]any{"default": map[string]any{
			"description": "An error occurred",
			"content": map[string]any{"application/json": map[string]any{
				"schema": map[string]any{"$ref": "#/components/schemas/CCFError"},
			}},
		}},
		"schemas": schemas.All(),
		"securitySchemes": map[string]any{
			"jwt":               map[string]any{"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
			"user_cose_sign1":   cose("user"),
			"member_cose_sign1": cose("member"),
		},
		"x-ccf-forwarding": map[string]any{
			"always":    forwarding("always", "If this request is made to a backup node, it will be forwarded to the primary node for execution."),
			"sometimes": forwarding("sometimes", "If this request is made to a backup node, it may be forwarded to the primary node for execution. Specifically, if this request is sent as part of a session which was already forwarded, then it will also be forwarded."),
			"never":     forwarding("never", "This call will never be forwarded, and is always executed on the receiving node, potentially breaking session consistency. If this attempts to write on a backup, this will fail."),
		},
	}
}
