package node_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"synod/client"
)

// TestGovernanceDocument asks for the OpenAPI document of each version, and for
// the one that every application has.
func TestGovernanceDocument(t *testing.T) {
	s := start(t, nil)
	s.open()
	c := s.dial(nil)
	for query, title := range map[string]string{
		"?api-version=2024-07-01": "Governance of a service", "?api-version=2023-06-01-preview": "Governance of a service", "": "CCF Governance API",
	} {
		r, err := c.Do(t.Context(), client.Request{Method: http.MethodGet, Path: "/gov/api" + query})
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Info  map[string]string         `json:"info"`
			Paths map[string]map[string]any `json:"paths"`
		}
		if err := json.Unmarshal(r.Body, &doc); err != nil {
			t.Fatal(err)
		}
		if doc.Info["title"] != title || query != "" && !strings.HasSuffix(query, doc.Info["version"]) {
			t.Errorf("%q: %v", query, doc.Info)
		}
		path := "/gov/service/info"
		if query == "" {
			path = "/gov/commit"
		}
		if doc.Paths[path] == nil {
			t.Errorf("%q: no %s", query, path)
		}
	}
	if _, err := c.Do(t.Context(), client.Request{Method: http.MethodGet, Path: "/gov/api?api-version=1"}); err == nil || !strings.Contains(err.Error(), "UnsupportedApiVersionValue") {
		t.Error(err)
	}
}
