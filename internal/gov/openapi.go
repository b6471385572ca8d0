package gov

import (
	_ "embed" // for the document
	"encoding/json"
	"strings"

	"synod"
	"synod/app"
)

// openAPI describes the latest version of the API.
//
//go:embed openapi/gov.json
var openAPI []byte

// Documented makes what /gov/api answers to a request that names an
// api-version: the document of that version, an error for one that is not
// known, and false for a request that names none, which gets the document that
// is generated for every application.
func Documented() (func(c *app.Context) (bool, error), error) {
	documents := map[string][]byte{}
	for v, name := range versions {
		doc, err := document(version(v))
		if err != nil {
			return nil, err
		}
		documents[name] = doc
	}
	return func(c *app.Context) (bool, error) {
		name, ok := c.Query("api-version")
		if !ok {
			return false, nil
		}
		if err := preview.check(c); err != nil {
			return true, err
		}
		c.Bytes("application/json", documents[name])
		return true, nil
	}, nil
}

// laterPaths are the paths that a version has and the ones before it have not.
var laterPaths = map[version][]string{
	v1: {"/service/javascript-app", "/service/javascript-modules", "/service/javascript-modules/{moduleName}"},
}

// document is openAPI without what came after version v.
func document(v version) ([]byte, error) {
	var doc struct {
		OpenAPI    string                     `json:"openapi"`
		Info       map[string]string          `json:"info"`
		Servers    []string                   `json:"servers"`
		Paths      map[string]json.RawMessage `json:"paths"`
		Components struct {
			Schemas         map[string]json.RawMessage `json:"schemas"`
			Parameters      map[string]map[string]any  `json:"parameters"`
			Responses       json.RawMessage            `json:"responses"`
			SecuritySchemes json.RawMessage            `json:"securitySchemes"`
		} `json:"components"`
	}
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		return nil, synod.Errorf(500, synod.CodeInternalError, "the OpenAPI document of governance: %s", err)
	}
	doc.Info["version"] = versions[v]
	doc.Components.Parameters["apiVersion"]["schema"] = map[string]any{"type": "string", "enum": []string{versions[v]}}
	for later, paths := range laterPaths {
		for _, path := range paths {
			if later > v {
				delete(doc.Paths, "/gov"+path)
			}
		}
	}
	// Schemas that nothing refers to any more go, and then those that only
	// they referred to.
	for {
		text, err := json.MarshalIndent(doc, "", "  ")
		if err != nil {
			return nil, err
		}
		unused := false
		for name := range doc.Components.Schemas {
			if !strings.Contains(string(text), `"#/components/schemas/`+name+`"`) {
				delete(doc.Components.Schemas, name)
				unused = true
			}
		}
		if !unused {
			return text, nil
		}
	}
}
