package app

import (
	"errors"
	"testing"

	"synod"
)

// The headers of CCF: tests/js-custom-authorization/custom_authorization.py,
// test_accept_header, and entries at the edge of the grammar.
func TestTakesJSON(t *testing.T) {
	for accept, want := range map[string]int{
		"nonsense":                        400,
		"/json":                           400,
		"text/html,":                      400,
		"text/":                           400,
		"a/b;q=x":                         400,
		"text/html":                       406,
		"*/html":                          406,
		"text/json":                       406,
		"*/*":                             0,
		"application/*":                   0,
		"*/json":                          0,
		"application/json":                0,
		"APPLICATION/JSON; charset=utf-8": 0,
		"text/html;q=0.9,image/jpeg;video/mpeg;q=0.8":                        406,
		"text/html;q=0.9,image/jpeg;video/mpeg;q=0.8,*/*;q=0.1":              0,
		"text/html;q=0.9,image/jpeg;video/mpeg;q=0.8,application/json;q=0.1": 0,
		"text/html;q=0.9;level=1, application/json;q=0.1;charset=utf-8":      0,
	} {
		got := 0
		var refused *synod.Error
		if errors.As(takesJSON(accept), &refused) {
			got = refused.Status
		}
		if got != want {
			t.Errorf("%q: status %d, want %d", accept, got, want)
		}
	}
}
