package node_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"synod"
	"synod/client"
	"synod/internal/js"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/tables"
	"synod/receipt"
)

// checklistOnNode are the lines of the conformance checklist of scripts that
// need a node; package js has the whole list and looks for their names here.
// The answers are the same on both back ends; package js compares memories too.
var checklistOnNode = map[string]func(*testing.T, *service){
	"Modules/js_metrics bytecode states (disabled, enabled, redeployed, refreshed)": bytecodeStates,
	"Modules/gov API read-back of app and modules":                                  readBack,
	"Dispatch/404/405/OPTIONS + allow":                                              allowHeaders,
	"Dispatch/empty authn_policies open to anyone":                                  openToAnyone,
	"Dispatch/redeploy changes auth at once":                                        redeployedAuth,
	"Dispatch/remove_js_app → 404 and module key deleted in the ledger":             removedApp,
	"Errors/options reset when omitted":                                             optionsReset,
	"Auth/user data roles":                                                          userRoles,
	"rpc/claims digest appears in receipts":                                         claimsInReceipts,
	"Reuse/flush on redeploy on all nodes":                                          flushedReuse,
	"Time/random/Date within 1 s":                                                   hostClock,
}

func TestChecklistOnNode(t *testing.T) {
	for _, b := range []js.Backend{js.Wasm2Go, js.Wazero} {
		t.Run(string(b), func(t *testing.T) {
			s := setup{scripts: b}.start(t)
			s.open()
			for name, f := range checklistOnNode {
				t.Run(name, func(t *testing.T) { f(t, s) })
			}
		})
	}
}

// scripts is set_js_app with one module for endpoints "METHOD /path export"
// with these properties besides.
func scripts(source string, props map[string]any, endpoints ...string) client.Action {
	paths := map[string]map[string]any{}
	for _, e := range endpoints {
		f := strings.Fields(e)
		p := map[string]any{"js_module": "main.js", "js_function": f[2], "forwarding_required": "sometimes", "authn_policies": []any{"no_auth"}, "mode": "readwrite"}
		for k, v := range props {
			p[k] = v
		}
		if paths[f[1]] == nil {
			paths[f[1]] = map[string]any{}
		}
		paths[f[1]][f[0]] = p
	}
	return client.Action{Name: "set_js_app", Args: map[string]any{"bundle": map[string]any{
		"metadata": map[string]any{"endpoints": paths},
		"modules":  []any{map[string]any{"name": "main.js", "module": source}},
	}}}
}

// ask sends a request and returns the answer, whatever its status.
func (s *service) ask(c *client.Client, method, path, body string) *client.Response {
	s.t.Helper()
	resp, err := c.Do(s.t.Context(), client.Request{Method: method, Path: path, Body: []byte(body)})
	var e *synod.Error
	if err != nil && !errors.As(err, &e) {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp
}

type scriptMetrics struct {
	Size uint64 `json:"bytecode_size"`
	Used bool   `json:"bytecode_used"`
	Heap uint64 `json:"max_heap_size"`
	Time uint64 `json:"max_execution_time"`
}

func (s *service) metrics() (m scriptMetrics) {
	s.t.Helper()
	if _, err := s.dial(nil).Get(s.t.Context(), "/node/js_metrics", &m); err != nil {
		s.t.Fatal(err)
	}
	return m
}

func bytecodeStates(t *testing.T, s *service) {
	app := scripts(`export function f() { return {} }`, nil, "GET /a f")
	disabled := app
	disabled.Args = map[string]any{"bundle": app.Args.(map[string]any)["bundle"], "disable_bytecode_cache": true}
	for _, step := range []struct {
		name   string
		action client.Action
		cached bool
	}{
		{"disabled", disabled, false},
		{"enabled", app, true},
		{"redeployed", app, true},
		{"disabled again", disabled, false},
		{"refreshed", client.Action{Name: "refresh_js_app_bytecode_cache"}, true},
		{"removed", client.Action{Name: "remove_js_app"}, false},
	} {
		s.pass(step.action)
		if m := s.metrics(); m.Used != step.cached || (m.Size > 0) != step.cached {
			t.Errorf("%s: %+v", step.name, m)
		}
	}
}

func readBack(t *testing.T, s *service) {
	const source = "export function f() { return { body: 'é' } }\n"
	s.pass(scripts(source, map[string]any{"openapi": map[string]any{"summary": "x"}}, "get /a/{b} f"))
	c := s.dial(nil)
	for path, want := range map[string]string{
		"/gov/service/javascript-app?api-version=2024-07-01&case=original":                          `{"endpoints":{"/a/{b}":{"GET":{"authn_policies":["no_auth"],"forwarding_required":"sometimes","js_function":"f","js_module":"/main.js","mode":"readwrite","openapi":{"summary":"x"}}}}}`,
		"/gov/service/javascript-modules?api-version=2024-07-01":                                    `{"value":[{"moduleName":"/main.js"}]}`,
		"/gov/service/javascript-modules/" + url.PathEscape("/main.js") + "?api-version=2024-07-01": source,
	} {
		if got := s.ask(c, "GET", path, ""); got.Status != 200 || string(got.Body) != want {
			t.Errorf("%s: %d %s", path, got.Status, got.Body)
		}
	}
	var camel struct {
		Endpoints map[string]map[string]map[string]any
	}
	if _, err := c.Get(t.Context(), "/gov/service/javascript-app?api-version=2024-07-01", &camel); err != nil || camel.Endpoints["/a/{b}"]["GET"]["jsModule"] != "/main.js" {
		t.Error(camel, err)
	}
}

func allowHeaders(t *testing.T, s *service) {
	s.pass(scripts(`export function f() { return {} }`, nil, "GET /a f", "POST /a f", "PUT /t/{x} f"))
	c := s.dial(nil)
	for request, want := range map[string]struct {
		status int
		allow  []string
	}{
		"GET /app/a":           {200, nil},
		"GET /a":               {200, nil}, // paths without a prefix are the application's
		"DELETE /app/a":        {405, []string{"GET", "POST", "OPTIONS"}},
		"OPTIONS /app/a":       {204, []string{"GET", "POST", "OPTIONS"}},
		"GET /app/t/1":         {405, []string{"PUT", "OPTIONS"}},
		"OPTIONS /app/t/1":     {204, []string{"PUT", "OPTIONS"}},
		"GET /app/nothing":     {404, nil},
		"OPTIONS /app/nowhere": {404, nil},
		"GET /app/t/1/2":       {404, nil},
	} {
		method, path, _ := strings.Cut(request, " ")
		got := s.ask(c, method, path, "")
		allow := got.Header.Get("allow")
		if got.Status != want.status || (want.allow == nil) != (allow == "") {
			t.Errorf("%s: %d, allow %q", request, got.Status, allow)
		}
		for _, verb := range want.allow {
			if !strings.Contains(allow, verb) {
				t.Errorf("%s: allow %q lacks %s", request, allow, verb)
			}
		}
	}
}

// TestScriptsBeforeCommonEndpoints has a bundle take over common endpoints, as
// applications of CCF do with /receipt.
func TestScriptsBeforeCommonEndpoints(t *testing.T) {
	s := start(t, nil)
	s.open()
	s.pass(scripts(`export function f(r) { return { body: "mine" } }`, nil, "GET /receipt f", "GET /{a} f", "POST /commit f"))
	c := s.dial(nil)
	for request, want := range map[string]string{
		"GET /app/receipt?transaction_id=2.1": "mine",
		"GET /app/tx?transaction_id=2.1":      "mine",
		"POST /app/commit":                    "mine",
	} {
		method, path, _ := strings.Cut(request, " ")
		if got := s.ask(c, method, path, ""); got.Status != 200 || string(got.Body) != want {
			t.Errorf("%s: %d %s", request, got.Status, got.Body)
		}
	}
	s.pass(client.Action{Name: "remove_js_app"})
	got := s.ask(c, "GET", "/app/tx?transaction_id=2.1", "")
	if got.Status != 200 || !strings.Contains(string(got.Body), "Committed") || got.Header.Get("x-ms-ccf-transaction-id") != "" {
		t.Errorf("/tx after the bundle is gone: %d %s %v", got.Status, got.Body, got.Header)
	}
}

const callerScript = `export function f(r) { return { body: { caller: r.caller } } }`

func openToAnyone(t *testing.T, s *service) {
	s.pass(scripts(callerScript, map[string]any{"authn_policies": []any{}}, "GET /open f"))
	for _, c := range []*client.Client{s.dial(nil), s.dial(s.user)} {
		if got := s.ask(c, "GET", "/app/open", ""); got.Status != 200 || string(got.Body) != `{"caller":null}` {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	}
}

func redeployedAuth(t *testing.T, s *service) {
	nobody, user := s.dial(nil), s.dial(s.user)
	for _, step := range []struct {
		policies     []any
		nobody, user int
	}{
		{[]any{"no_auth"}, 200, 200},
		{[]any{"user_cert"}, 401, 200},
		{[]any{"member_cert"}, 401, 401},
		{[]any{"member_cert", "no_auth"}, 200, 200},
		{[]any{map[string]any{"all_of": []any{"user_cert", "no_auth"}}}, 401, 200},
	} {
		s.pass(scripts(callerScript, map[string]any{"authn_policies": step.policies}, "GET /auth f"))
		if a, b := s.ask(nobody, "GET", "/app/auth", ""), s.ask(user, "GET", "/app/auth", ""); a.Status != step.nobody || b.Status != step.user {
			t.Errorf("%v: %d %d", step.policies, a.Status, b.Status)
		}
	}
}

func removedApp(t *testing.T, s *service) {
	s.pass(scripts(callerScript, nil, "GET /gone f"))
	c := s.dial(nil)
	if got := s.ask(c, "GET", "/app/gone", ""); got.Status != 200 {
		t.Fatal(got.Status)
	}
	s.pass(client.Action{Name: "remove_js_app"})
	if got := s.ask(c, "GET", "/app/gone", ""); got.Status != 404 {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if got := s.ask(c, "GET", "/gov/service/javascript-modules?api-version=2024-07-01", ""); string(got.Body) != `{"value":[]}` {
		t.Error(string(got.Body))
	}
	// The newest entry that touches the module removes it. A governance call
	// is answered when it is applied, which is before its entry is on disk.
	s.poll("the module's removal at the ledger's end", func() error {
		removed := false
		err := ledger.Walk("ledger", ledger.WalkOptions{Uncommitted: true}, func(_ ledger.Place, e *ledger.Entry) error {
			maps, err := kv.DecodeDomain(e.PublicMaps, true)
			for _, m := range maps {
				if m.Name == tables.Modules {
					removed = len(m.Writes) == 0 && len(m.Removes) == 1 && string(m.Removes[0]) == "/main.js"
				}
			}
			return err
		})
		var corrupt *ledger.CorruptError
		if err != nil && (!errors.As(err, &corrupt) || !corrupt.Tail) {
			t.Fatal(err)
		}
		if !removed {
			return errors.New("the newest entry of the module is not its removal")
		}
		return nil
	})
}

func optionsReset(t *testing.T, s *service) {
	s.pass(scripts(`export function f() { throw new Error("why") }`, nil, "GET /f f"))
	set := func(args map[string]any) {
		all := map[string]any{"max_heap_bytes": 50 << 20, "max_stack_bytes": 1 << 20, "max_execution_time_ms": 4000}
		for k, v := range args {
			all[k] = v
		}
		s.pass(client.Action{Name: "set_js_runtime_options", Args: all})
	}
	c := s.dial(nil)
	for _, step := range []struct {
		args  map[string]any
		shown bool
	}{{nil, false}, {map[string]any{"return_exception_details": true}, true}, {map[string]any{"log_exception_details": true}, false}} {
		set(step.args)
		if got := s.ask(c, "GET", "/app/f", ""); got.Status != 500 || bytes.Contains(got.Body, []byte("why")) != step.shown {
			t.Errorf("%v: %d %s", step.args, got.Status, got.Body)
		}
	}
	if m := s.metrics(); m.Heap != 50<<20 || m.Time != 4000 {
		t.Errorf("%+v", m)
	}
}

func userRoles(t *testing.T, s *service) {
	s.pass(scripts(`export function f(r) { return r.caller.data?.role === "admin" ? { body: r.caller.data } : { statusCode: 403 } }`,
		map[string]any{"authn_policies": []any{"user_cert"}}, "GET /role f"))
	c := s.dial(s.user)
	for _, step := range []struct {
		data   any
		status int
	}{{nil, 403}, {map[string]any{"role": "guest"}, 403}, {map[string]any{"role": "admin"}, 200}} {
		args := map[string]any{"cert": s.user.CertPEM}
		if step.data != nil {
			args["user_data"] = step.data
		}
		s.pass(client.Action{Name: "set_user", Args: args})
		if got := s.ask(c, "GET", "/app/role", ""); got.Status != step.status {
			t.Errorf("%v: %d %s", step.data, got.Status, got.Body)
		}
	}
}

func claimsInReceipts(t *testing.T, s *service) {
	s.pass(scripts(`export function f(r) { ccf.kv["public:t"].set(ccf.strToBuf("k"), r.body.arrayBuffer()); ccf.rpc.setClaimsDigest(ccf.crypto.digest("SHA-256", r.body.arrayBuffer())); return {} }`, nil, "POST /claim f"))
	c := s.dial(nil)
	resp, err := c.Do(t.Context(), client.Request{Method: http.MethodPost, Path: "/app/claim", Body: []byte("a claim"), Wait: client.WaitCommitted})
	if err != nil {
		t.Fatal(err)
	}
	claims := sha256.Sum256([]byte("a claim"))
	got, err := c.Receipt(t.Context(), resp.TxID, receipt.Options{Claims: &claims})
	if err != nil {
		t.Fatal(err)
	}
	var raw struct {
		LeafComponents struct {
			ClaimsDigest string `json:"claims_digest"`
		} `json:"leaf_components"`
	}
	if err := json.Unmarshal(got.JSON, &raw); err != nil || raw.LeafComponents.ClaimsDigest != hex.EncodeToString(claims[:]) {
		t.Errorf("%s, %v", got.JSON, err)
	}
}

func flushedReuse(t *testing.T, s *service) {
	c := s.dial(nil)
	for _, version := range []string{"one", "two"} {
		s.pass(scripts(`globalThis.n = 0; export function f() { return { body: "`+version+` " + ++globalThis.n } }`,
			map[string]any{"interpreter_reuse": map[string]any{"key": "k"}}, "GET /n f"))
		for _, want := range []string{version + " 1", version + " 2"} {
			if got := s.ask(c, "GET", "/app/n", ""); string(got.Body) != want {
				t.Errorf("got %s, want %s", got.Body, want)
			}
		}
	}
}

func hostClock(t *testing.T, s *service) {
	s.pass(scripts(`export function f(r) { const before = new Date(); ccf.enableUntrustedDateTime(r.query === "on"); return { body: [before, new Date()] } }`, nil, "GET /now f"))
	c := s.dial(nil)
	for _, query := range []string{"", "?on", "?off"} {
		var at []time.Time
		start := time.Now()
		if _, err := c.Get(t.Context(), "/app/now"+query, &at); err != nil {
			t.Fatal(err)
		}
		for _, x := range at {
			if x.Before(start.Add(-time.Second)) || x.After(time.Now().Add(time.Second)) {
				t.Errorf("%s: %v is not about %v", query, x, start)
			}
		}
	}
}
