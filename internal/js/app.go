package js

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"synod"
	"synod/app"
	"synod/internal/tables"
)

// NewApp returns the application "js", which serves the bundle that is in
// the tables: which endpoints there are is looked up in each request's own
// transaction, so that a bundle holds from the transaction that brought it.
// log receives what CCF logs of calls; scripts print to the engine's log.
func NewApp(e *Engine, host AppHost, log *slog.Logger) *app.App {
	s := newScriptApp(e, host, log)
	return app.New("js").Describe("JavaScript application", "Endpoints of the JavaScript bundle", "1.0.0").Resolve(s)
}

// NewResolver serves the endpoints of a space. Its scripts ask the node of the
// request about consensus.
func NewResolver(e *Engine, space Space, log *slog.Logger) (app.Resolver, error) {
	s := newScriptApp(e, nil, log)
	text, err := space.preamble()
	if err != nil {
		return nil, err
	}
	s.space, s.tables = &space, space.Tables()
	if len(space.Globals) > 0 {
		s.preamble = text
	}
	return s, nil
}

func newScriptApp(e *Engine, host AppHost, log *slog.Logger) *scriptApp {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &scriptApp{eng: e, host: host, log: log, tables: (*Space)(nil).Tables(), endpoints: map[string]*scriptEndpoint{}}
	s.programs.entries = map[string]*programEntry{}
	return s
}

// scriptApp is the Resolver of the application.
type scriptApp struct {
	eng      *Engine
	host     AppHost // nil: the request's node
	space    *Space  // nil for governance's
	tables   SpaceTables
	preamble string // of the space's globals, "" for none
	log      *slog.Logger
	programs programCache
	reuse    reuseCache

	mu        sync.Mutex
	endpoints map[string]*scriptEndpoint // guarded by mu; by key of the table
}

// endpointsMax bounds the cache of parsed endpoints.
const endpointsMax = 4096

// scriptEndpoint is a row of the endpoints table, parsed.
type scriptEndpoint struct {
	row      []byte
	endpoint *app.Endpoint
	props    tables.EndpointProperties
	feed     []string // the maps that it is a feed of; nil for none
	err      error    // what a request to it is answered
}

// Resolve looks for the exact path, then for templates.
func (s *scriptApp) Resolve(tx app.Tx, method, path string) (*app.Match, error) {
	key := method + " " + path
	if row, ok := tx.Get(s.tables.Endpoints, []byte(key)); ok {
		e := s.endpoint(key, row)
		if e.err != nil {
			return nil, e.err
		}
		return &app.Match{Endpoint: e.endpoint}, nil
	}
	return s.resolveTemplate(tx, method, path)
}

func (s *scriptApp) resolveTemplate(tx app.Tx, method, path string) (*app.Match, error) {
	var found *scriptEndpoint
	var matching, allow []string
	var params []app.Param
	tx.ForEach(s.tables.Endpoints, func(k, row []byte) bool {
		verb, template, ok := strings.Cut(string(k), " ")
		if !ok {
			return true
		}
		values, ok := matchTemplate(template, path)
		if !ok {
			return true
		}
		if !slices.Contains(allow, verb) {
			allow = append(allow, verb)
		}
		if verb == method {
			if matching = append(matching, template); len(matching) == 1 {
				found, params = s.endpoint(string(k), row), values
			}
		}
		return true
	})
	switch {
	case len(matching) > 1:
		return nil, synod.Errorf(500, synod.CodeInternalError, "Multiple potential matches for path: %s\n  %s",
			path, strings.Join(matching, "\n  "))
	case found != nil && found.err != nil:
		return nil, found.err
	case found != nil:
		return &app.Match{Endpoint: found.endpoint, Params: params}, nil
	case len(allow) > 0:
		return &app.Match{Allow: allow}, nil
	default:
		return nil, nil
	}
}

// List returns every endpoint that can be served.
func (s *scriptApp) List(tx app.Tx) ([]*app.Endpoint, error) {
	var out []*app.Endpoint
	tx.ForEach(s.tables.Endpoints, func(k, row []byte) bool {
		if e := s.endpoint(string(k), row); e.endpoint != nil {
			out = append(out, e.endpoint)
		}
		return true
	})
	return out, nil
}

// endpoint parses a row, or finds it parsed.
func (s *scriptApp) endpoint(key string, row []byte) *scriptEndpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.endpoints[key]; e != nil && (&dependency{source: e.row}).same(row, true) {
		return e
	}
	e := s.parseEndpoint(key, row)
	if len(s.endpoints) >= endpointsMax {
		clear(s.endpoints)
	}
	s.endpoints[key] = e
	return e
}

func (s *scriptApp) parseEndpoint(key string, row []byte) *scriptEndpoint {
	e := &scriptEndpoint{row: row}
	method, path, ok := strings.Cut(key, " ")
	if !ok {
		e.err = synod.Errorf(500, synod.CodeInternalError, "Endpoint %q has no method", key)
		return e
	}
	if err := json.Unmarshal(row, &e.props); err != nil {
		e.err = synod.Errorf(500, synod.CodeInternalError, "Endpoint %s is malformed: %s", key, err)
		return e
	}
	e.endpoint = &app.Endpoint{
		Method: method, Path: path,
		Mode:        app.Mode(orDefault(e.props.Mode, string(app.ReadWrite))),
		Forwarding:  app.Forwarding(e.props.ForwardingRequired),
		Redirection: app.Redirection(orDefault(e.props.RedirectionStrategy, string(app.RedirectToPrimary))),
		OpenAPI:     e.props.OpenAPI,
		Hidden:      e.props.OpenAPIHidden,
		Handler:     func(c *app.Context) error { return s.run(c, e) },
	}
	// A bad policy is an error when the endpoint is called, not before: the
	// endpoint stays in the list.
	if e.endpoint.Policies, e.err = policiesOf(e.props.AuthnPolicies); e.err != nil {
		e.err = synod.Errorf(500, synod.CodeInternalError, "%s", e.err)
	}
	feed, err := feedOf(e.endpoint)
	if e.feed = feed; err != nil && e.err == nil {
		e.err = synod.Errorf(500, synod.CodeInternalError, "Endpoint %s: %s", key, err)
	}
	return e
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// policiesOf resolves names and {"all_of": [...]}
// (CCF: include/ccf/endpoints/authentication/js.h).
func policiesOf(raw []json.RawMessage) ([]app.Policy, error) {
	var out []app.Policy
	for _, r := range raw {
		var name string
		if json.Unmarshal(r, &name) == nil {
			p, ok := app.PolicyByName(name)
			if !ok {
				return nil, fmt.Errorf("Unknown auth policy: %s", name)
			}
			out = append(out, p)
			continue
		}
		var group struct {
			AllOf []string `json:"all_of"`
		}
		if err := json.Unmarshal(r, &group); err != nil || len(group.AllOf) == 0 {
			return nil, fmt.Errorf("Unsupported auth policy. Policies must be either a string, or an object "+
				"containing an \"all_of\" key with list-of-strings value. Unsupported value: %s", r)
		}
		parts := make([]app.Policy, len(group.AllOf))
		for i, name := range group.AllOf {
			p, ok := app.PolicyByName(name)
			if !ok {
				return nil, fmt.Errorf("Unknown auth policy: %s", name)
			}
			parts[i] = p
		}
		out = append(out, app.AllOf(parts...))
	}
	return out, nil
}

// matchTemplate matches a whole path against a template and returns the
// values. {name} stands for one or more characters other than "/" and than
// the character that follows the brace. A path without braces matches
// itself; a malformed template matches nothing.
func matchTemplate(template, path string) ([]app.Param, bool) {
	if !strings.Contains(template, "{") {
		return nil, template == path
	}
	var params []app.Param
	for {
		open := strings.IndexByte(template, '{')
		if open < 0 {
			return params, template == path
		}
		end := strings.IndexByte(template, '}')
		if end < open || !strings.HasPrefix(path, template[:open]) {
			return nil, false
		}
		name := template[open+1 : end]
		path, template = path[open:], template[end+1:]
		stop := "/"
		if template != "" && template[0] != '/' {
			stop += template[:1]
		}
		n := strings.IndexAny(path, stop)
		if n < 0 {
			n = len(path)
		}
		if n == 0 {
			return nil, false
		}
		params = append(params, app.Param{Name: name, Value: path[:n]})
		path = path[n:]
	}
}
