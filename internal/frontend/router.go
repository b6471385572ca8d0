package frontend

import (
	"fmt"
	"regexp"
	"sort"
	"strings"

	"synod"
	"synod/app"
)

// router finds declared endpoints: exact paths first, then templates.
type router struct {
	exact     map[string]map[string]*app.Endpoint // path, method
	templates []*template
}

// template is one path with parameters and its endpoints by method.
type template struct {
	path    string
	names   []string
	pattern *regexp.Regexp
	methods map[string]*app.Endpoint
}

func newRouter(endpoints []*app.Endpoint) (*router, error) {
	r := &router{exact: map[string]map[string]*app.Endpoint{}}
	byPath := map[string]*template{}
	for _, e := range endpoints {
		if !strings.Contains(e.Path, "{") {
			if r.exact[e.Path] == nil {
				r.exact[e.Path] = map[string]*app.Endpoint{}
			}
			r.exact[e.Path][e.Method] = e
			continue
		}
		t := byPath[e.Path]
		if t == nil {
			var err error
			if t, err = compileTemplate(e.Path); err != nil {
				return nil, err
			}
			byPath[e.Path] = t
			r.templates = append(r.templates, t)
		}
		t.methods[e.Method] = e
	}
	return r, nil
}

// compileTemplate turns {name} into one or more characters other than "/",
// and other than the character that follows it in the template
// (CCF: src/endpoints/endpoint_registry.cpp).
func compileTemplate(path string) (*template, error) {
	t := &template{path: path, methods: map[string]*app.Endpoint{}}
	var b strings.Builder
	b.WriteByte('^')
	for rest := path; rest != ""; {
		open := strings.IndexByte(rest, '{')
		if open < 0 {
			b.WriteString(regexp.QuoteMeta(rest))
			break
		}
		shut := strings.IndexByte(rest, '}')
		if shut < open {
			return nil, fmt.Errorf("path template %q: a { without }", path)
		}
		b.WriteString(regexp.QuoteMeta(rest[:open]))
		t.names = append(t.names, rest[open+1:shut])
		rest = rest[shut+1:]
		if rest != "" && rest[0] != '/' {
			b.WriteString("([^/" + regexp.QuoteMeta(rest[:1]) + "]+)")
		} else {
			b.WriteString("([^/]+)")
		}
	}
	b.WriteByte('$')
	pattern, err := regexp.Compile(b.String())
	if err != nil {
		return nil, fmt.Errorf("path template %q: %w", path, err)
	}
	t.pattern = pattern
	return t, nil
}

// match looks a path up. It returns nil if the path is unknown to it.
func (r *router) match(method, path string) (*app.Match, error) {
	if e := r.exact[path][method]; e != nil {
		return &app.Match{Endpoint: e}, nil
	}
	allow := methodsOf(r.exact[path])
	var found []*template
	var params []app.Param
	for _, t := range r.templates {
		m := t.pattern.FindStringSubmatch(path)
		if m == nil {
			continue
		}
		if t.methods[method] == nil {
			allow = append(allow, methodsOf(t.methods)...)
			continue
		}
		found = append(found, t)
		params = make([]app.Param, len(t.names))
		for i, n := range t.names {
			params[i] = app.Param{Name: n, Value: m[i+1]}
		}
	}
	switch {
	case len(found) > 1:
		return nil, ambiguous(path, found)
	case len(found) == 1:
		return &app.Match{Endpoint: found[0].methods[method], Params: params}, nil
	case allow != nil:
		return &app.Match{Allow: allow}, nil
	}
	return nil, nil
}

func ambiguous(path string, found []*template) error {
	paths := make([]string, len(found))
	for i, t := range found {
		paths[i] = t.path
	}
	return synod.Errorf(500, synod.CodeInternalError,
		"Found multiple potential matches for path %s: %s.", path, strings.Join(paths, ", "))
}

func methodsOf(m map[string]*app.Endpoint) []string {
	var list []string
	for method := range m {
		list = append(list, method)
	}
	sort.Strings(list)
	return list
}
