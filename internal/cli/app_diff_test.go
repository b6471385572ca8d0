package cli

import (
	"strings"
	"testing"
)

// A bundle's author must not hide a line from whoever votes for it.
func TestDiffHidesNothing(t *testing.T) {
	before := &appVersion{modules: map[string]string{"a.js": "one\n", "gone.js": "x\n"}}
	after := &appVersion{modules: map[string]string{"a.js": "one\n\x1b[2Ktwo\u202e\r\n", "long.js": strings.Repeat("x", diffTextMax+1)}}
	d := compareApps(before, after)
	var out strings.Builder
	if err := d.print(&printer{out: &out, format: formatTable}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"~ module a.js\n", "+<U+001B>[2Ktwo<U+202E><U+000D>\n", "- module gone.js\n", "-x\n",
		"+ module long.js\n0 bytes -> 1048577 bytes, too long to compare line by line\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}

// What the service spells differently from app.json is no difference.
func TestDiffEqual(t *testing.T) {
	local := manifestJSON{Endpoints: endpointsJSON{"/x": {"get": {"mode": []byte(`"readonly"`), "js_module": []byte(`"a.js"`), "openapi": []byte(`{"b": 1, "a": 2}`)}}}}
	stored := manifestJSON{Endpoints: endpointsJSON{"/x": {"GET": {"mode": []byte(`"readonly"`), "js_module": []byte(`"/a.js"`), "openapi": []byte(`{"a":2,"b":1}`)}}}}
	d := compareApps(&appVersion{endpoints: stored.byMethod()}, &appVersion{endpoints: local.byMethod()})
	if !d.Equal {
		t.Errorf("differences: %+v", d)
	}
}
