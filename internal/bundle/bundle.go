package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
)

// Bundle is what the set_js_app action takes
// (CCF: include/ccf/js/bundle.h).
type Bundle struct {
	Metadata json.RawMessage `json:"metadata"`
	Modules  []Module        `json:"modules"`
}

// Module is one source file: Name is its path relative to src without a
// leading slash, Source its text.
type Module struct {
	Name   string `json:"name"`
	Source string `json:"module"`
}

// Parse reads an encoded bundle and checks it as far as that is possible
// without its sources: the shape of the metadata, and that every endpoint's
// module is there. All faults are reported together as an *Error.
func Parse(b []byte) (*Bundle, error) {
	var out Bundle
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&out); err != nil {
		return nil, &Error{Faults: []Fault{{
			Text: fmt.Sprintf("not a bundle: %s", err),
			Hint: `a bundle is {"metadata":{"endpoints":{…}},"modules":[{"name":…,"module":…},…]}, as synod app build writes it`,
		}}}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, &Error{Faults: []Fault{{Text: "not a bundle: there is data after the JSON value"}}}
	}
	var fs faults
	names := make(map[string]bool, len(out.Modules))
	for i, m := range out.Modules {
		name := strings.TrimPrefix(m.Name, "/")
		switch {
		case name == "":
			fs.add(Fault{Where: fmt.Sprintf("modules[%d].name", i), Text: "is empty"})
		case names[name]:
			fs.add(Fault{Where: fmt.Sprintf("modules[%d].name", i), Text: fmt.Sprintf("%q occurs twice", m.Name)})
		}
		names[name] = true
	}
	man := parseManifest(out.Metadata, "", &fs)
	for _, e := range man {
		if e.module != "" && !names[strings.TrimPrefix(e.module, "/")] {
			fs.add(Fault{
				Where: "metadata." + e.where + ".js_module",
				Text:  fmt.Sprintf("the bundle has no module %q", e.module),
			})
		}
	}
	if err := fs.err(); err != nil {
		return nil, err
	}
	return &out, nil
}

// Encode is the JSON text of the bundle: modules sorted by name, no HTML
// escapes, so that equal sources give equal bytes.
func (b *Bundle) Encode() ([]byte, error) {
	sorted := Bundle{Metadata: b.Metadata, Modules: append([]Module{}, b.Modules...)}
	sort.Slice(sorted.Modules, func(i, j int) bool { return sorted.Modules[i].Name < sorted.Modules[j].Name })
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(sorted); err != nil {
		return nil, fmt.Errorf("encode bundle: %w", err)
	}
	return out.Bytes(), nil
}
