package httpd

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"synod/app"
)

const panicVariable = "HTTPD_TEST_PANIC" // the protocol whose handler is to panic

// TestPanic wants a panic of the Handler to end the process over either
// protocol. It runs itself as the process that ends.
func TestPanic(t *testing.T) {
	if protocol := os.Getenv(panicVariable); protocol != "" {
		l := start(t, Interface{AppProtocol: protocol}, handlerFunc(func(context.Context, *Session, *app.Request) *app.Response {
			panic("a broken invariant")
		}))
		if protocol == HTTP2Protocol {
			do(t, client2(t, l, nil), l, "GET", "/", "")
			return
		}
		c := dial(t, l, nil)
		c.wantGet("/", "")
		return
	}
	for _, protocol := range []string{HTTP1Protocol, HTTP2Protocol} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPanic$")
		cmd.Env = append(os.Environ(), panicVariable+"="+protocol)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "a broken invariant") || !strings.Contains(string(out), "panic_test.go") {
			t.Errorf("%s: %v\n%s", protocol, err, out)
		}
	}
}
