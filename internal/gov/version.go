package gov

import (
	"strings"

	"synod"
	"synod/app"
)

// version is an index into versions: an api-version and the later ones.
type version int

const (
	preview version = iota
	v1
)

var versions = [...]string{preview: "2023-06-01-preview", v1: "2024-07-01"}

// check demands an api-version query parameter not older than v
// (CCF: src/node/gov/api_version.h).
func (v version) check(c *app.Context) error {
	supported := "The supported api-versions are: " + strings.Join(versions[v:], ", ")
	asked, ok := c.Query("api-version")
	if !ok {
		return synod.Errorf(400, synod.CodeMissingAPIVersionParameter,
			"The api-version query parameter (?api-version=) is required for all requests. %s", supported)
	}
	for _, known := range versions[v:] {
		if asked == known {
			return nil
		}
	}
	return synod.Errorf(400, synod.CodeUnsupportedAPIVersionValue, "Unsupported api-version '%s'. %s", asked, supported)
}
