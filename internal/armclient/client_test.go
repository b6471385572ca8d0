package armclient

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func serve(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	c, err := Dial(Config{URL: server.URL, Authority: authority, Token: "secret", APIVersion: "2026-11-01-synod"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestDo(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" || r.URL.Query().Get("api-version") != "2026-11-01-synod" {
			t.Errorf("asked with %v %v", r.Header, r.URL)
		}
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("x-ms-request-id", "r1")
		switch r.URL.Path {
		case "/good":
			fmt.Fprint(w, `{"name":"bank"}`)
		case "/empty":
			w.WriteHeader(http.StatusAccepted)
		case "/text":
			fmt.Fprint(w, "hello")
		case "/bad":
			w.WriteHeader(http.StatusConflict)
			fmt.Fprint(w, `{"error":{"code":"InvalidRequestContent","message":"Two things are wrong.","target":"properties","details":[{"code":"x","message":"a"},{"code":"y","message":"b","target":"t"}]}}`)
		case "/odd":
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprint(w, "<html>")
		case "/elsewhere":
			http.Redirect(w, r, "https://other.example/", http.StatusFound)
		}
	})
	var out struct{ Name string }
	a, err := c.Do(t.Context(), Call{Method: "GET", Path: "/good"}, &out)
	if err != nil || out.Name != "bank" || a.ETag != `"1"` || a.RequestID != "r1" {
		t.Errorf("%v, %v, %v", a, out, err)
	}
	if _, err := c.Do(t.Context(), Call{Method: "POST", Path: "/empty", In: 1}, &out); err != nil {
		t.Error(err)
	}
	if _, err := c.Do(t.Context(), Call{Method: "GET", Path: "/text"}, &out); err == nil {
		t.Error("text was taken for JSON")
	}
	var refused *Error
	_, err = c.Do(t.Context(), Call{Method: "GET", Path: "/bad"}, nil)
	if !errors.As(err, &refused) || refused.Status != http.StatusConflict || refused.Target != "properties" || len(refused.Details) != 2 || refused.RequestID != "r1" {
		t.Errorf("%+v", err)
	}
	if want := "InvalidRequestContent (properties): Two things are wrong.; a; b"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	if _, err = c.Do(t.Context(), Call{Method: "GET", Path: "/odd"}, nil); !errors.As(err, &refused) || refused.Status != http.StatusBadGateway {
		t.Errorf("%v", err)
	}
	if _, err = c.Do(t.Context(), Call{Method: "GET", Path: "/elsewhere"}, nil); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a redirect was followed: %v", err)
	}
	if _, err = c.Do(t.Context(), Call{Method: "GET", Path: "https://other.example/x"}, nil); err == nil {
		t.Error("the token was sent elsewhere")
	}
}

func TestAnotherServerIsRefusedWithAHint(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // what it says of the handshake
	server.StartTLS()
	t.Cleanup(server.Close)
	c, err := Dial(Config{URL: server.URL}) // the system's authorities do not know it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	_, err = c.Do(t.Context(), Call{Method: "GET", Path: "/x"}, nil)
	var hinted interface{ Hint() string }
	if !errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), "--server-ca") {
		t.Errorf("%v", err)
	}
}

func TestDialRefuses(t *testing.T) {
	for _, cfg := range []Config{{URL: "http://a:1"}, {URL: "a:1"}, {URL: "https://a:1", Authority: []byte("no PEM")}} {
		if _, err := Dial(cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}

func TestList(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("page") == "2" {
			fmt.Fprint(w, `{"value":[3]}`)
			return
		}
		fmt.Fprintf(w, `{"value":[1,2],"nextLink":"https://%s/list?api-version=x&page=2"}`, r.Host)
	})
	var got []int
	if err := List(t.Context(), c, "/list", func(n int) error { got = append(got, n); return nil }); err != nil || fmt.Sprint(got) != "[1 2 3]" {
		t.Errorf("%v, %v", got, err)
	}
	stop := errors.New("enough")
	if err := List(t.Context(), c, "/list", func(int) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}

func TestWait(t *testing.T) {
	for _, test := range []struct{ last, want string }{
		{`{"status":"Succeeded","properties":{"message":"done"}}`, ""},
		{`{"status":"Failed","error":{"code":"NodeStartFailed","message":"No port is free."}}`, "NodeStartFailed: No port is free."},
		{`{"status":"Canceled"}`, "Canceled"},
	} {
		polls := 0
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if polls++; polls < 3 {
				fmt.Fprint(w, `{"status":"Running","steps":[{"name":"StartNode","status":"Running"}]}`)
				return
			}
			fmt.Fprint(w, test.last)
		})
		seen := 0
		op, err := c.Wait(t.Context(), "/status/1", func(*Operation) { seen++ })
		if seen != 3 || !op.Ended() {
			t.Errorf("%s: seen %d times", test.last, seen)
		}
		if (err == nil) != (test.want == "") || err != nil && !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: %v", test.last, err)
		}
		var out struct{ Message string }
		if err == nil && (op.Result(&out) != nil || out.Message != "done") {
			t.Errorf("result %v", out)
		}
	}
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"status":"Running"}`) })
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := c.Wait(ctx, "/status/1", func(*Operation) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
