package node_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"synod"
	"synod/client"
	"synod/receipt"
)

// scriptApp is a bundle with one module and an endpoint for each export.
func scriptApp(source string, exports ...string) client.Action {
	endpoints := map[string]any{}
	for _, name := range exports {
		endpoints["/"+name] = map[string]any{"post": map[string]any{
			"js_module": "main.js", "js_function": name, "forwarding_required": "always",
			"authn_policies": []string{"user_cert"}, "mode": "readwrite",
		}}
	}
	return client.Action{Name: "set_js_app", Args: map[string]any{"bundle": map[string]any{
		"metadata": map[string]any{"endpoints": endpoints},
		"modules":  []any{map[string]any{"name": "main.js", "module": source}},
	}}}
}

func TestScriptApplication(t *testing.T) {
	s := start(t, nil)
	s.open()
	s.pass(scriptApp(`
const records = ccf.kv["records"];
export function put(request) {
  const { key, value } = request.body.json();
  records.set(ccf.strToBuf(key), ccf.strToBuf(value));
  ccf.rpc.setClaimsDigest(ccf.crypto.digest("SHA-256", ccf.strToBuf(value)));
  return { body: { stored: key, by: request.caller.id } };
}
export function get(request) {
  const value = records.get(request.body.arrayBuffer());
  return value === undefined ? { statusCode: 404 } : { body: ccf.bufToStr(value) };
}
export function fail() { throw new Error("on purpose"); }
export function loop() { for (;;); }
export function recurse() { return recurse() + 1; }
export function allocate() { const a = []; for (;;) a.push(new Uint8Array(1 << 20)); }
`, "put", "get", "fail", "loop", "recurse", "allocate"))
	s.pass(client.Action{Name: "set_js_runtime_options", Args: map[string]any{
		"max_heap_bytes": 10 << 20, "max_stack_bytes": 1 << 20, "max_execution_time_ms": 500,
		"return_exception_details": true,
	}})
	c := s.dial(s.user)
	post := func(path, body string) (*client.Response, error) {
		return c.Do(t.Context(), client.Request{Method: http.MethodPost, Path: path, Body: []byte(body), Wait: client.WaitReceipt})
	}
	resp, err := post("/app/put", `{"key":"k","value":"v"}`)
	if err != nil {
		t.Fatal(err)
	}
	var stored struct{ Stored, By string }
	if err := json.Unmarshal(resp.Body, &stored); err != nil || stored.Stored != "k" || len(stored.By) != 64 {
		t.Errorf("put answered %s", resp.Body)
	}
	if _, err := c.VerifyReceipt(resp.TxID, resp.Receipt, receipt.Options{}); err != nil {
		t.Errorf("receipt in the answer: %v", err)
	}
	if got, err := post("/app/get", "k"); err != nil || string(got.Body) != "v" {
		t.Errorf("get: %+v, %v", got, err)
	}
	for path, want := range map[string]string{
		"fail": "Error: on purpose", "loop": "InternalError: interrupted",
		"recurse": "InternalError: stack overflow", "allocate": "InternalError: out of memory",
	} {
		_, err := post("/app/"+path, "")
		var e *synod.Error
		if !errors.As(err, &e) || e.Status != 500 || len(e.Details) != 1 || !strings.Contains(e.Details[0].Message, want) {
			t.Errorf("%s: got %v %+v, want %s", path, err, e, want)
		}
	}
	if got, err := post("/app/get", "k"); err != nil || string(got.Body) != "v" {
		t.Errorf("get after the failures: %+v, %v", got, err)
	}
	fmt.Fprintln(t.Output(), "served after", s.Replica().Committed())
}
