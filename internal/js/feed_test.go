package js

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"synod/app"
)

func TestFeedOf(t *testing.T) {
	for _, tc := range []struct {
		openapi string
		maps    []string
		fault   string
	}{
		{``, nil, ""},
		{`{}`, nil, ""},
		{`[1]`, nil, ""},
		{`{"summary": "x", "x-synod-feed": {"maps": ["public:a", "b", "public:ccf.gov.members.info"]}}`, []string{"public:a", "b", "public:ccf.gov.members.info"}, ""},
		{`{"x-synod-feed": 1}`, nil, "x-synod-feed: "},
		{`{"x-synod-feed": {}}`, nil, "name 1 to 32 maps"},
		{`{"x-synod-feed": {"maps": ["` + strings.Repeat(`a","`, 32) + `a"]}}`, nil, "name 1 to 32 maps"},
		{`{"x-synod-feed": {"maps": ["ccf.internal.secrets"]}}`, nil, "is not the application's"},
		{`{"x-synod-feed": {"maps": ["ccf.gov.x"]}}`, nil, "is not the application's"},
	} {
		maps, err := feedOf(&app.Endpoint{Method: "GET", Mode: app.ReadOnly, OpenAPI: json.RawMessage(tc.openapi)})
		if !slices.Equal(maps, tc.maps) || (err == nil) != (tc.fault == "") || err != nil && !strings.Contains(err.Error(), tc.fault) {
			t.Errorf("%s: %v, %v", tc.openapi, maps, err)
		}
	}
	for _, e := range []*app.Endpoint{{Method: "POST", Mode: app.ReadOnly}, {Method: "GET", Mode: app.ReadWrite}} {
		e.OpenAPI = json.RawMessage(`{"x-synod-feed": {"maps": ["public:a"]}}`)
		if _, err := feedOf(e); err == nil {
			t.Errorf("%s of mode %s is a feed", e.Method, e.Mode)
		}
	}
}
