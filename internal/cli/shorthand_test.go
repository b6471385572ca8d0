package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestShorthand(t *testing.T) {
	type object = map[string]any
	for _, c := range []struct {
		text string
		want any
	}{
		{"word", "word"},
		{" word ", "word"},
		{"null", nil},
		{"'null'", "null"},
		{"{}", object{}},
		{"[]", []any{}},
		// The Azure CLI's own example for managedccfs create.
		{
			"[{certificate:'c:/documents/member0_cert.pem',identifier:'it@acme.com',group:'IT'},{certificate:'c:/documents/member1_cert.pem',identifier:'finance@acme.com',group:'Finance'}]",
			[]any{
				object{"certificate": "c:/documents/member0_cert.pem", "identifier": "it@acme.com", "group": "IT"},
				object{"certificate": "c:/documents/member1_cert.pem", "identifier": "finance@acme.com", "group": "Finance"},
			},
		},
		{"{a: b, c : {d:[x, 'y z',null]}}", object{"a": "b", "c": object{"d": []any{"x", "y z", nil}}}},
		{"{a:'it'/s'}", object{"a": "it's"}},
		{`{"a":[1,true]}`, object{"a": []any{1.0, true}}},
	} {
		got, err := parseShorthand(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
		} else if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", c.text, d)
		}
	}
	for text, want := range map[string]string{
		"":                       "a value is missing",
		"{a}":                    "no colon",
		"{a:}":                   "a value is missing",
		"{a:b":                   "closing brace",
		"[a":                     "closing bracket",
		"{a:b,a:c}":              "twice",
		"'a":                     "not closed",
		"a b,c":                  "something follows",
		"{a:b}}":                 "something follows",
		strings.Repeat("[", 100): "too deep",
	} {
		if v, err := parseShorthand(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v, want %q", text, v, err, want)
		}
	}
}

func FuzzShorthand(f *testing.F) {
	f.Add("[{certificate:'a b',group:null},{x:{y:z}}]")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := parseShorthand(s)
		if err != nil {
			return
		}
		if _, err := json.Marshal(v); err != nil {
			t.Error(err)
		}
	})
}
