package unittest

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"synod"
	"synod/app"
	"synod/internal/bundle"
	"synod/internal/js"
	"synod/internal/kv"
	"synod/internal/tables"
)

// prefix is where a service has its application.
const prefix = "/app"

// service is what one test acts on: a store with the application in it.
type service struct {
	ctx   context.Context
	store *kv.Store
	app   *app.App
	tx    *kv.Tx // of the test's own ccf.kv
}

// newService makes a store with the bundle installed, as set_js_app does
// (CCF: samples/constitutions/default/actions.js).
func newService(ctx context.Context, a *app.App, b *bundle.Bundle) (*service, error) {
	s := &service{ctx: ctx, store: kv.New(), app: a}
	tx := s.store.Begin()
	defer tx.Release()
	for _, m := range b.Modules {
		tx.Put(tables.Modules, []byte("/"+m.Name), []byte(m.Source))
	}
	var metadata struct {
		Endpoints map[string]map[string]map[string]json.RawMessage `json:"endpoints"`
	}
	if err := json.Unmarshal(b.Metadata, &metadata); err != nil {
		return nil, fmt.Errorf("app.json: %w", err)
	}
	for path, methods := range metadata.Endpoints {
		for method, properties := range methods {
			var module string
			if err := json.Unmarshal(properties["js_module"], &module); err != nil {
				return nil, fmt.Errorf("app.json: %s %s: js_module: %w", method, path, err)
			}
			properties["js_module"], _ = json.Marshal("/" + strings.TrimPrefix(module, "/")) //nolint:errchkjson // a string
			row, err := json.Marshal(properties)
			if err != nil {
				return nil, fmt.Errorf("app.json: %w", err)
			}
			tx.Put(tables.Endpoints, []byte(strings.ToUpper(method)+" "+path), row)
		}
	}
	if err := tables.PutJSON(tx, tables.JSRuntime, tables.UnitKey(), map[string]any{
		"max_heap_bytes": 100 << 20, "max_stack_bytes": 1 << 20, "max_execution_time_ms": 5000, "return_exception_details": true,
	}); err != nil {
		return nil, err
	}
	if err := s.commit(tx); err != nil {
		return nil, err
	}
	s.tx = s.store.Begin()
	return s, nil
}

func (s *service) close() { s.tx.Release() }

// commit installs what a transaction wrote. There is nobody to conflict with.
func (s *service) commit(tx *kv.Tx) error {
	tip := s.store.Tip()
	return s.store.Commit(tx.WriteSet(), synod.TxID{View: 2, SeqNo: tip.SeqNo + 1})
}

// request is what a test sends, response what it gets; see harness.js.
type request struct {
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers"`
	Body    []int             `json:"body"`
	Caller  *caller           `json:"caller"`
}

type response struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    []int             `json:"body"`
}

// caller is who a test says calls: at most one of these, or several for an
// endpoint that wants all of them.
type caller struct {
	User   *entity         `json:"user"`
	Member *entity         `json:"member"`
	JWT    json.RawMessage `json:"jwt"` // payload
}

type entity struct {
	ID   string          `json:"id"`
	Data json.RawMessage `json:"data"`
}

// call commits what the test wrote itself, answers a request in a transaction
// of its own, and begins another for the test.
func (s *service) call(text string) (string, app.Tx, error) {
	var req request
	if err := json.Unmarshal([]byte(text), &req); err != nil {
		return "", nil, fmt.Errorf("app.call: %w", err)
	}
	if err := s.commit(s.tx); err != nil {
		return "", nil, err
	}
	s.tx.Release()
	tx := s.store.Begin()
	resp, apply := s.answer(tx, &req)
	var err error
	if apply {
		err = s.commit(tx)
	}
	tx.Release()
	s.tx = s.store.Begin()
	if err != nil {
		return "", nil, err
	}
	out, err := json.Marshal(resp)
	return string(out), s.tx, err
}

// answer routes a request as a front end does.
func (s *service) answer(tx *kv.Tx, in *request) (*response, bool) {
	target := in.Path
	if !strings.HasPrefix(target, prefix+"/") {
		target = prefix + target
	}
	path, query, _ := strings.Cut(target, "?")
	req := &app.Request{Method: in.Method, URL: target, Path: path, Query: query, Body: bytesOf(in.Body)}
	for name, value := range in.Headers {
		req.Header.Set(name, value)
	}
	c := app.NewContext(s.ctx, req, tx, nil, nil)
	if err := s.dispatch(c, req, tx, in.Caller); err != nil {
		var shown *synod.Error
		if !errors.As(err, &shown) {
			shown = synod.Errorf(500, synod.CodeInternalError, "%s", err)
		}
		c.Fail(shown)
		return responseOf(c.Response()), false
	}
	return responseOf(c.Response()), c.AppliesWrites()
}

// dispatch fills c by the endpoint's handler. c itself is replaced, since a
// context belongs to an endpoint.
func (s *service) dispatch(c *app.Context, req *app.Request, tx *kv.Tx, who *caller) error {
	match, err := s.app.Resolver().Resolve(tx, req.Method, strings.TrimPrefix(req.Path, prefix))
	switch {
	case err != nil:
		return err
	case match == nil:
		return synod.Errorf(404, synod.CodeResourceNotFound, "Unknown path: %s.", req.Path)
	case match.Endpoint == nil:
		return synod.Errorf(405, synod.CodeUnsupportedHTTPVerb, "Allowed methods for '%s' are: %s.", req.Path, strings.Join(match.Allow, ", "))
	}
	*c = *app.NewContext(s.ctx, req, tx, match.Endpoint, match.Params)
	c.Prefix = prefix
	if c.Caller, err = who.as(match.Endpoint.Policies); err != nil {
		return err
	}
	return match.Endpoint.Handler(c)
}

// as finds the first policy that the caller can meet.
func (who *caller) as(policies []app.Policy) (*app.Caller, error) {
	if len(policies) == 0 {
		return nil, nil
	}
	for _, p := range policies {
		if found := who.meets(p); found != nil {
			return found, nil
		}
	}
	return nil, synod.Errorf(401, synod.CodeInvalidAuthenticationInfo, "Invalid authentication credentials.")
}

func (who *caller) meets(p app.Policy) *app.Caller {
	if parts := p.Parts(); parts != nil {
		all := &app.Caller{Policy: p.Name(), AllOf: map[string]*app.Caller{}}
		for _, part := range parts {
			found := who.meets(part)
			if found == nil {
				return nil
			}
			all.AllOf[part.Name()] = found
		}
		return all
	}
	if who == nil {
		who = &caller{}
	}
	switch p.Name() {
	case app.NoAuth.Name():
		return &app.Caller{Policy: p.Name()}
	case app.UserCert.Name():
		return who.User.as(p)
	case app.MemberCert.Name():
		return who.Member.as(p)
	case app.JWT.Name():
		if who.JWT != nil {
			return &app.Caller{Policy: p.Name(), JWT: &app.JWTIdentity{
				KeyIssuer: "https://issuer.test", Header: json.RawMessage(`{"alg":"ES256","kid":"test"}`), Payload: who.JWT,
			}}
		}
	}
	return nil
}

// as makes an entity a caller; an ID that is not given is that of nobody real.
func (e *entity) as(p app.Policy) *app.Caller {
	if e == nil {
		return nil
	}
	id := e.ID
	if id == "" {
		id = hex.EncodeToString(make([]byte, 32))
	}
	return &app.Caller{Policy: p.Name(), ID: id, Data: e.Data}
}

func bytesOf(numbers []int) []byte {
	b := make([]byte, len(numbers))
	for i, n := range numbers {
		b[i] = byte(n)
	}
	return b
}

func responseOf(r *app.Response) *response {
	out := &response{Status: r.Status, Headers: map[string]string{}, Body: make([]int, len(r.Body))}
	for i, b := range r.Body {
		out.Body[i] = int(b)
	}
	for _, f := range r.Header {
		out.Headers[f.Name] = f.Value
	}
	return out
}

// host answers ccf.consensus: everything is committed at once.
type host struct{ s **service }

func (h host) LastCommitted() synod.TxID { return (*h.s).store.Tip() }

func (h host) Status(id synod.TxID) synod.TxStatus {
	tip := (*h.s).store.Tip()
	return synod.StatusOf(id, tip.View, tip)
}

func (h host) ViewOf(n synod.SeqNo) (synod.View, bool) {
	tip := (*h.s).store.Tip()
	return tip.View, n <= tip.SeqNo
}

// History is not there: a test's service has no ledger.
func (host) History() app.History { return nil }

var _ js.AppHost = host{}
