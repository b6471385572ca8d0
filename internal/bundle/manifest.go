package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
)

// endpoint is what the packer needs to know of one entry of app.json.
type endpoint struct {
	where    string // endpoints.<path>.<method>
	module   string // js_module as written, "" if it was missing
	function string
}

// properties is an endpoint's entry; members that are not named here are kept
// in the bundle but not looked at (CCF: include/ccf/endpoint.h).
type properties struct {
	JSModule            *string           `json:"js_module"`
	JSFunction          *string           `json:"js_function"`
	ForwardingRequired  *string           `json:"forwarding_required"`
	RedirectionStrategy *string           `json:"redirection_strategy"`
	AuthnPolicies       []json.RawMessage `json:"authn_policies"`
	Mode                *string           `json:"mode"`
	OpenAPI             json.RawMessage   `json:"openapi"`
}

var (
	methods      = []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}
	modes        = []string{"readwrite", "readonly", "historical"}
	forwarding   = []string{"sometimes", "always", "never"}
	redirections = []string{"none", "to_primary", "to_backup"}
	policies     = []string{"user_cert", "member_cert", "any_cert", "jwt", "user_cose_sign1", "no_auth"}
)

// parseManifest reads the content of app.json, adding what is wrong to fs
// under the given file name. Endpoints come in order of path and method.
func parseManifest(b []byte, file string, fs *faults) []endpoint {
	fault := func(where, text, hint string) {
		fs.add(Fault{File: file, Where: where, Text: text, Hint: hint})
	}
	var top struct {
		Endpoints map[string]map[string]json.RawMessage `json:"endpoints"`
	}
	if err := decodeOne(b, &top); err != nil {
		line, col := position(b, err)
		fs.add(Fault{
			File: file, Line: line, Column: col, Text: err.Error(),
			Hint: `app.json is {"endpoints":{"/path":{"get":{"js_module":…,"js_function":…,…}}}}`,
		})
		return nil
	}
	if top.Endpoints == nil {
		fault("endpoints", "is missing", `list the application's endpoints by path and method`)
		return nil
	}
	var out []endpoint
	for _, path := range sortedKeys(top.Endpoints) {
		if !strings.HasPrefix(path, "/") {
			fault("endpoints."+path, "the path does not start with /", "")
		}
		for _, method := range sortedKeys(top.Endpoints[path]) {
			where := "endpoints." + path + "." + method
			if !slices.Contains(methods, strings.ToUpper(method)) {
				fault(where, "is not an HTTP method", "use one of "+strings.ToLower(strings.Join(methods, ", ")))
				continue
			}
			var p properties
			if err := decodeOne(top.Endpoints[path][method], &p); err != nil {
				fault(where, err.Error(), "")
				continue
			}
			out = append(out, checkProperties(p, where, fault))
		}
	}
	return out
}

func checkProperties(p properties, where string, fault func(where, text, hint string)) endpoint {
	e := endpoint{where: where}
	needText := func(name string, v *string) string {
		if v == nil || *v == "" {
			fault(where+"."+name, "is missing", "")
			return ""
		}
		return *v
	}
	oneOf := func(name string, v *string, allowed []string, required bool) {
		switch {
		case v == nil && required:
			fault(where+"."+name, "is missing", "use one of "+strings.Join(allowed, ", "))
		case v != nil && !slices.Contains(allowed, *v):
			fault(where+"."+name, fmt.Sprintf("%q is not known", *v), "use one of "+strings.Join(allowed, ", "))
		}
	}
	e.module = needText("js_module", p.JSModule)
	e.function = needText("js_function", p.JSFunction)
	oneOf("mode", p.Mode, modes, true)
	oneOf("forwarding_required", p.ForwardingRequired, forwarding, true)
	oneOf("redirection_strategy", p.RedirectionStrategy, redirections, false)
	if p.AuthnPolicies == nil {
		fault(where+".authn_policies", "is missing", `use [] for an endpoint that anybody may call`)
	}
	for i, raw := range p.AuthnPolicies {
		checkPolicy(raw, fmt.Sprintf("%s.authn_policies[%d]", where, i), fault)
	}
	if t := bytes.TrimSpace(p.OpenAPI); len(t) > 0 && t[0] != '{' && string(t) != "null" {
		fault(where+".openapi", "is not an object", "")
	}
	checkFeed(p.OpenAPI, where+".openapi", fault)
	return e
}

// checkFeed looks at what makes an endpoint a change feed: see docs/history.md.
func checkFeed(openapi json.RawMessage, where string, fault func(where, text, hint string)) {
	var has struct {
		Feed json.RawMessage `json:"x-synod-feed"`
	}
	if json.Unmarshal(openapi, &has) != nil || has.Feed == nil {
		return
	}
	var feed struct{ Maps []string }
	if err := json.Unmarshal(has.Feed, &feed); err != nil || len(feed.Maps) == 0 {
		fault(where+".x-synod-feed", "names no maps", `use {"maps": ["public:records"]}`)
	}
}

func checkPolicy(raw json.RawMessage, where string, fault func(where, text, hint string)) {
	known := "use one of " + strings.Join(policies, ", ")
	var name string
	if json.Unmarshal(raw, &name) == nil {
		if !slices.Contains(policies, name) {
			fault(where, fmt.Sprintf("%q is not known", name), known)
		}
		return
	}
	var all struct {
		AllOf []string `json:"all_of"`
	}
	if json.Unmarshal(raw, &all) != nil || len(all.AllOf) == 0 {
		fault(where, `is neither a policy's name nor {"all_of":[names]}`, known)
		return
	}
	for _, name := range all.AllOf {
		if !slices.Contains(policies, name) {
			fault(where+".all_of", fmt.Sprintf("%q is not known", name), known)
		}
	}
}

func decodeOne(b []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	if err := dec.Decode(v); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("is empty")
		}
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is data after the JSON value")
	}
	return nil
}

// position finds line and column of a JSON error, or 0, 0.
func position(b []byte, err error) (line, column int) {
	var offset int64
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &typ):
		offset = typ.Offset
	case errors.Is(err, io.ErrUnexpectedEOF):
		offset = int64(len(b))
	default:
		return 0, 0
	}
	before := b[:min(int(offset), len(b))]
	return 1 + bytes.Count(before, []byte("\n")), max(1, len(before)-bytes.LastIndexByte(before, '\n')-1)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
