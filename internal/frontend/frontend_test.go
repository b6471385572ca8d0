package frontend

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"synod"
	"synod/app"
)

func routes(t *testing.T, list ...string) *router {
	t.Helper()
	a := app.New("test")
	for _, x := range list {
		method, path, _ := strings.Cut(x, " ")
		a.Handle(method, path, func(*app.Context) error { return nil })
	}
	r, err := newRouter(a.Endpoints())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestMatch(t *testing.T) {
	r := routes(t,
		"GET /a", "POST /a", "GET /nodes/self", "GET /nodes/{id}", "DELETE /nodes/{id}",
		"POST /members/{memberId}:ack", "GET /a/{x}/c", "GET /a/{y}/{z}",
	)
	for path, want := range map[string]string{
		"GET /a":                "/a []",
		"PUT /a":                "allow GET,POST",
		"GET /nodes/self":       "/nodes/self []",
		"GET /nodes/n1":         "/nodes/{id} [{id n1}]",
		"DELETE /nodes/1":       "/nodes/{id} [{id 1}]",
		"PUT /nodes/self":       "allow GET,DELETE,GET",
		"DELETE /nodes/self":    "/nodes/{id} [{id self}]",
		"POST /members/m:ack":   "/members/{memberId}:ack [{memberId m}]",
		"POST /members/m:x:ack": "nothing",
		"GET /nodes/":           "nothing",
		"GET /nodes/a/b":        "nothing",
		"GET /a/1/2":            "/a/{y}/{z} [{y 1} {z 2}]",
		"GET /b":                "nothing",
	} {
		method, p, _ := strings.Cut(path, " ")
		m, err := r.match(method, p)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		got := "nothing"
		switch {
		case m != nil && m.Endpoint != nil:
			got = fmt.Sprint(m.Endpoint.Path, " ", m.Params)
			if m.Params == nil {
				got = m.Endpoint.Path + " []"
			}
		case m != nil:
			got = "allow " + strings.Join(m.Allow, ",")
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	_, err := r.match("GET", "/a/b/c")
	var e *synod.Error
	if !errors.As(err, &e) || e.Status != 500 || !strings.Contains(e.Message, "/a/{x}/c") || !strings.Contains(e.Message, "/a/{y}/{z}") {
		t.Errorf("two templates match: got %v", err)
	}
}

func TestMethodNotAllowed(t *testing.T) {
	r := notAllowed("PUT", []string{"POST", "GET", "GET"})
	if r.Status != 405 || r.Header.Get("allow") != "OPTIONS, GET, POST" || !strings.Contains(string(r.Body), "UnsupportedHttpVerb") {
		t.Errorf("got %d %v %s", r.Status, r.Header, r.Body)
	}
	if r := notAllowed("OPTIONS", []string{"GET"}); r.Status != 204 || r.Header.Get("allow") != "OPTIONS, GET" || r.Body != nil {
		t.Errorf("OPTIONS: got %d %v %s", r.Status, r.Header, r.Body)
	}
}

func TestChooseApplication(t *testing.T) {
	s := &Server{mounts: map[string]*mount{"/app": {Mount: Mount{Prefix: "/app"}}, "/node": {Mount: Mount{Prefix: "/node"}}}}
	for path, want := range map[string]string{
		"/node/state": "/node /state", "/app/log": "/app /log", "/log": "/app /log", "/node": "/app /node",
		"/nodes/x": "/app /nodes/x", "/": "/app /", "/node/": "/node /",
	} {
		m, rest := s.choose(path)
		if got := m.Prefix + " " + rest; got != want {
			t.Errorf("%s goes to %s, want %s", path, got, want)
		}
	}
}

func TestOperationID(t *testing.T) {
	if got, want := operationID("GET", "/app/log/private/raw_text/{id}"), "GetAppLogPrivateRawTextId"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWaitMode(t *testing.T) {
	for value, want := range map[string]wait{"": waitNone, "committed": waitCommitted, "receipt": waitReceipt} {
		req := &app.Request{Header: app.Header{{Name: "x-synod-wait", Value: value}}}
		if got, err := waitMode(req); err != nil || got != want {
			t.Errorf("%q: got %d, %v", value, got, err)
		}
	}
	if _, err := waitMode(&app.Request{Header: app.Header{{Name: "x-synod-wait", Value: "forever"}}}); err == nil {
		t.Error("an unknown value is accepted")
	}
}
